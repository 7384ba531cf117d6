"""The compiled part, if it was built: counting, folding and hashing characters.

Everything works without it, with the same results. ``HANHUA_PURE=1`` leaves it aside.
"""

from __future__ import annotations

from typing import Any

from hanhua.core.compiled import compiled

USED = (
    "band_row", "begins", "canonical", "grams", "line_keys", "marks", "measure", "profile",
    "reword", "scan", "sign", "winnow",
)  # fmt: skip
"""What this version calls: a library without one of them is an older one."""
NATIVE: Any = compiled("hanhua.text._native", USED)
"""The module ``hanhua.text._native``, or None."""
