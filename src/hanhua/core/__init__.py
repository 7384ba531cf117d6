"""What every stage stands on: errors, files, artifacts, the runner; nothing of language models."""
