"""A model's tokenizer. It lives with the vocabulary, which stands below the model."""

from hanhua.vocab.tokenizer import TokenizerFiles, read_tokenizer

__all__ = ["TokenizerFiles", "read_tokenizer"]
