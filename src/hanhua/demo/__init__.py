"""The built-in tiny English LLaMA and its bilingual texts, all written by this project."""
