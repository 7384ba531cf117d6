"""Which arithmetic to train in, when the recipe leaves it to the machine.

bf16 doubles the speed where the hardware multiplies it. Where it doesn't, PyTorch emulates it: a
Zen 3 core multiplied matrices at 1.9 GFLOP/s in bf16 and at 42 in fp32 (benchmarks/precision.py).
Master weights and optimiser are fp32 in either case.
"""

from __future__ import annotations

import platform
import re
from functools import lru_cache
from pathlib import Path
from typing import Literal

Precision = Literal["bf16", "fp32"]

_FLAGS = re.compile(r"^(?:flags|Features)\s*:(.*)$", re.MULTILINE)
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}


def choose_precision(
    asked: Literal["auto", "bf16", "fp32"], device: str, kept: Precision | None = None
) -> Precision:
    """The arithmetic of a run.

    Args:
        asked: what the recipe says.
        device: ``cpu`` or ``cuda``.
        kept: what the run's checkpoint was trained in; a run that moves to another machine goes
            on in it, so that it stays one run.
    """
    if kept is not None:
        return kept
    if asked != "auto":
        return asked
    return "bf16" if multiplies_bf16(device) else "fp32"


def multiplies_bf16(device: str) -> bool:
    """Whether the device has instructions for bf16 products."""
    if device == "cpu":
        return cpu_multiplies_bf16()
    import torch

    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


@lru_cache(maxsize=1)
def cpu_multiplies_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor has them, without importing torch (``hanhua plan`` asks).

    Linux says; elsewhere (macOS, Windows) PyTorch's CPU build gains nothing from bf16.
    """
    if platform.system() != "Linux":
        return False
    try:
        found = _FLAGS.search(cpuinfo.read_text(encoding="utf-8"))
    except OSError:
        return False
    return found is not None and not _BF16_FLAGS.isdisjoint(found[1].split())
