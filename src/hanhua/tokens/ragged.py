"""Lists of different lengths as flat arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def ranges(starts: npt.NDArray[Any], sizes: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """``[sum of sizes]``: start, start + 1, … of each range, one after another."""
    sizes = np.asarray(sizes, np.int64)
    before = np.cumsum(sizes) - sizes
    found = np.repeat(np.asarray(starts, np.int64) - before, sizes)
    found += np.arange(len(found))
    return found
