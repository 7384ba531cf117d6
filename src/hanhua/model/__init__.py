"""Loading, new rows, checkpoints, generation."""
