"""Hashes of n-grams, for whole arrays at once: polynomials of the hashes of their units."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Units: TypeAlias = npt.NDArray[np.uint32]

_MULTIPLIER = 0x9E3779B1
POWERS = {n: np.array(pow(_MULTIPLIER, n, 1 << 32), dtype=np.uint32) for n in (1, 2, 4)}
AFTER_SPACE = (0x20 * _MULTIPLIER) % (1 << 32)
_BIN_SHIFT = np.array(22, dtype=np.uint32)
_BIN_MULTIPLIER = np.array(0x85EBCA77, dtype=np.uint32)


def join(left: Units, right: Units, right_units: int) -> Units:
    """Hashes of n-grams (polynomials) from those of their beginnings and of their ends.

    Args:
        left: hashes of the first units of each n-gram; those without an end are left out.
        right: hashes of the units that follow.
        right_units: how many these are.
    """
    joined = left[: len(right)] * POWERS[right_units]
    joined += right
    return joined


def most_of(grams: Units) -> int:
    """How often the commonest n-gram occurs, at most; 1,024 bins, so a few others count in."""
    bins = grams * _BIN_MULTIPLIER
    bins >>= _BIN_SHIFT
    return int(np.bincount(bins).max())
