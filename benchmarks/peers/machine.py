"""What a benchmark ran on."""

from __future__ import annotations

import platform


def cpu_name() -> str:
    """The processor's name, as the system has it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()
