"""The compiled parts, each built where there was a C compiler; every one has a slower double."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from collections.abc import Iterable
from typing import Any


def compiled(name: str, wanted: Iterable[str]) -> Any:
    """A compiled module, or None where there is none to use.

    That is so where it was not built, where ``HANHUA_PURE=1`` leaves it aside, and where it was
    built from an older source and so lacks a part; the last is told in one line.

    Args:
        name: of the module, such as ``hanhua.text._native``.
        wanted: names in it that this version of the package uses.
    """
    if os.environ.get("HANHUA_PURE", "0") not in ("", "0"):
        return None
    try:
        found = importlib.import_module(name)
    except ImportError:
        return None
    missing = [part for part in wanted if not hasattr(found, part)]
    if not missing:
        return found
    if multiprocessing.parent_process() is None:  # workers would all say the same
        sys.stderr.write(
            f"hanhua: the compiled part {name} is of an older version (it lacks "
            f"{', '.join(missing)}), so slower code does its work; install the package again "
            "(make setup, or pip install)\n"
        )
    return None
