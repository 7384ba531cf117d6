"""The compiled part, if it was built: counting, folding and hashing characters.

Everything works without it, with the same results. ``HANHUA_PURE=1`` leaves it aside.
"""

from __future__ import annotations

from typing import Any

from hanhua.core.compiled import compiled

NATIVE: Any = compiled("hanhua.text._native")
"""The module ``hanhua.text._native``, or None."""
