"""Memory between steps, and on the way to a GPU.

Every step of training on a CPU allocates and frees the same hundreds of megabytes. glibc gives
large blocks back at once, and the system then clears every page again for the next step: about
8 % of a step (15M parameters, 8,192 tokens, one Zen 4 core). Two settings of malloc end that.
https://man7.org/linux/man-pages/man3/mallopt.3.html
"""

from __future__ import annotations

import ctypes
import sys

import torch
from torch import Tensor

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Keep freed memory for the next step; returns whether it could (glibc on Linux only)."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def onto(x: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on a device, without waiting until a GPU has done what it was given.

    (A copy from ordinary memory waits for all that; one from pinned memory takes its turn.)
    """
    if device.type == "cuda" and x.device.type == "cpu":
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)
