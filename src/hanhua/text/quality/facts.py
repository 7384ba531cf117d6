"""What the quality rules ask of a text: numbers, counted once a document.

Thirty rules over one document would read it thirty times. The compiled part counts everything in
one go; without it each number is counted when the first rule asks (document.py, sample.py), to the
same result.
"""

from __future__ import annotations

from hanhua.text.native import NATIVE
from hanhua.text.quality.document import SHORT_LINE_CHARS, base_language
from hanhua.text.quality.flags import flag_table, line_table
from hanhua.text.quality.sample import (
    FEW_UNITS,
    LONG_TOKEN_CHARS,
    SAMPLE_CHARS,
    Facts,
    function_table,
)  # fmt: skip
from hanhua.text.scripts import Profile

__all__ = ["COUNTED", "FEW_UNITS", "LONG_TOKEN_CHARS", "Facts", "base_language", "facts_of"]

COUNTED = (
    "lines", "empty_lines", "ended_lines", "bullet_lines", "ellipsis_lines", "short_lines",
    "open_lines", "open_line_chars", "longest_line", "repeated_lines", "repeated_line_chars",
    "sample_chars", "breaks", "blanks", "token_chars", "particles", "rare_han",
    "ad_beginnings", "stretches", "longest_stretch", "unbroken_chars", "long_token_chars", "units",
    "words", "lettered_words", "function_words", "top_pair", "top_quad", "repeated_grams",
    "ad_bytes",
)  # fmt: skip
"""What the compiled part counts, in its order (native/measure.c)."""


def facts_of(text: str, profile: Profile, language: str) -> Facts:
    """The facts of a document, all counted at once where the compiled part is built."""
    facts = Facts(text, profile, language)
    if NATIVE is not None:
        unspaced = facts.unspaced
        counts = NATIVE.measure(
            text, flag_table(), line_table(), function_table(), SAMPLE_CHARS[unspaced],
            SHORT_LINE_CHARS[unspaced], FEW_UNITS, unspaced,
        )  # fmt: skip
        facts.__dict__.update(zip(COUNTED, counts, strict=True))
    return facts
