"""The compiled part, if it was built: what lies between a model's products, each in one pass.

Everything works without it, on PyTorch's operations. ``HANHUA_PURE=1`` leaves it aside.
"""

from __future__ import annotations

import importlib
import os
from typing import Any


def _load() -> Any:
    if os.environ.get("HANHUA_PURE", "0") not in ("", "0"):
        return None
    try:
        return importlib.import_module("hanhua.model._native")
    except ImportError:
        return None


NATIVE: Any = _load()
"""The module ``hanhua.model._native``, or None."""
