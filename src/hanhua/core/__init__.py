"""What every stage stands on: errors, files, artifacts, the runner. Knows nothing of language models."""
