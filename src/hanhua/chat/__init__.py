"""Many instruction formats into one conversation type, and the one template registry."""
