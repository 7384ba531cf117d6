"""What packing will give, told before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hanhua.tokens.config import TokensConfig

TOKENS_PER_S = 1_500_000
"""Encoded and written by one process on a busy core, Llama-2's tokenizer; only for the time that a
plan shows. Tokenizers of another kind than SentencePiece's BPE take several times as long."""


def estimate(config: TokensConfig, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Tokens, rows, bytes on disk and seconds.

    Args:
        config: the section.
        facts: ``vocab_size`` where it is known.
    """
    width = 2 if facts.get("vocab_size", 32_000) <= 1 << 16 else 4
    rows = -(-config.budget_tokens // config.seq_len_tokens)
    written = config.budget_tokens + sum(map(config.spare_tokens, config.shares))
    return {
        "tokens": config.budget_tokens,
        "rows": rows,
        "bytes": written * width + -(-written // config.seq_len_tokens) * 64,
        "seconds": written / TOKENS_PER_S,
    }
