"""New pieces for an old tokenizer, the base's ids untouched."""
