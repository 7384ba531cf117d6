"""The compiled parts, each built where there was a C compiler; every one has a slower double."""

from __future__ import annotations

import importlib
import os
from typing import Any


def compiled(name: str) -> Any:
    """A compiled module, or None where it was not built or ``HANHUA_PURE=1`` leaves it aside.

    Args:
        name: of the module, such as ``hanhua.text._native``.
    """
    if os.environ.get("HANHUA_PURE", "0") not in ("", "0"):
        return None
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
