"""The compiled part, if it was built: counting, folding and hashing characters.

Everything works without it, with the same results. ``HANHUA_PURE=1`` leaves it aside.
"""

from __future__ import annotations

import importlib
import os
from typing import Any


def _load() -> Any:
    if os.environ.get("HANHUA_PURE", "0") not in ("", "0"):
        return None
    try:
        return importlib.import_module("hanhua.text._native")
    except ImportError:
        return None


NATIVE: Any = _load()
"""The module ``hanhua.text._native``, or None."""
