"""What must not be trained on: evaluation questions and held-out text."""
