"""hanhua: take an English-centric open LLM to Chinese from one recipe, and prove gain and loss."""

__version__ = "0.1.0"
