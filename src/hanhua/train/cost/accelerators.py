"""Devices to plan for: peak rate and memory, from memory of their vendors' data sheets.

The pages named were not opened when this was written: check a figure before relying on it.

Peak is of dense products in bf16 that add up in fp32; figures "with sparsity" are twice that and
of no use for training. Memory is taken as 10^9 bytes a GB: boards hold a few percent more.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hanhua.core.config import AcceleratorName

MFU = 0.4
"""Share of the peak that training reaches, where nobody says: an assumption, not a measurement.
7B-class training with FSDP2 was published at about 0.5 of an H100's peak, plain trainers reach
less; measure a few steps and set ``machine.mfu``."""
DRIVER = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A kind of device.

    Args:
        name: as ``machine.accelerator`` has it.
        peak_flops: a second, dense bf16; None: measured constants count (a CPU).
        memory_bytes: of a device.
        bandwidth_bytes: a second, of its memory.
        source: the vendor's page to check them against.
    """

    name: str
    peak_flops: float | None
    memory_bytes: int
    bandwidth_bytes: float | None
    source: str

    @property
    def cuda(self) -> bool:
        """Whether it is a GPU (AMD's answer to PyTorch by the same name)."""
        return self.peak_flops is not None


_AMPERE = (
    "https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/"
    "nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf"
)
_GA102 = (
    "https://www.nvidia.com/content/PDF/nvidia-ampere-ga-102-gpu-architecture-whitepaper-v2.pdf"
)
_ADA = "https://images.nvidia.com/aem-dam/Solutions/geforce/ada/nvidia-ada-gpu-architecture.pdf"
_MI300X = (
    "https://www.amd.com/content/dam/amd/en/documents/instinct-tech-docs/data-sheets/"
    "amd-instinct-mi300x-data-sheet.pdf"
)

TABLE = {
    found.name: found
    for found in (
        Accelerator("a100-40gb", 312e12, 40 * 10**9, 1.555e12, _AMPERE),
        Accelerator("a100-80gb", 312e12, 80 * 10**9, 2.039e12, _AMPERE),
        Accelerator(
            "h100-80gb", 989e12, 80 * 10**9, 3.35e12, "https://www.nvidia.com/en-us/data-center/h100/"
        ),
        Accelerator(
            "h200-141gb", 989e12, 141 * 10**9, 4.8e12,
            "https://www.nvidia.com/en-us/data-center/h200/",
        ),
        Accelerator(
            "l40s", 362e12, 48 * 10**9, 0.864e12, "https://www.nvidia.com/en-us/data-center/l40s/"
        ),
        Accelerator("rtx-3090", 71e12, 24 * 10**9, 0.936e12, _GA102),
        Accelerator("rtx-4090", 165.2e12, 24 * 10**9, 1.008e12, _ADA),
        Accelerator("mi300x", 1307.4e12, 192 * 10**9, 5.3e12, _MI300X),
    )
}  # fmt: skip

_BOARDS = (
    (("H200",), "h200-141gb"), (("H100", "HBM3"), "h100-80gb"), (("A100", "80GB"), "a100-80gb"),
    (("A100", "40GB"), "a100-40gb"), (("L40S",), "l40s"), (("RTX 4090",), "rtx-4090"),
    (("RTX 3090",), "rtx-3090"),
)  # fmt: skip
"""What the driver calls them; the first whose words are all there. "RTX 3090 Ti" and "RTX 4090 D"
are other boards, and so is an H100 on PCIe."""


def accelerator(name: AcceleratorName | None, device: str = "auto") -> Accelerator:
    """The device to plan for.

    Args:
        name: of the table, or ``cpu``; None: this machine's GPU where there is one that the table
            has, else its CPU.
        device: ``machine.device``; ``cpu`` looks for no GPU.
    """
    if name is None and device != "cpu":
        name = this_gpu()
    if name is None or name == "cpu":
        return Accelerator("cpu", None, this_memory(), None, "this machine")
    return TABLE[name]


def this_gpu(driver: Path = DRIVER) -> AcceleratorName | None:
    """The name of this machine's first NVIDIA GPU, asked of the driver's files; None: unknown."""
    for path in sorted(driver.glob("*/information")):
        try:
            text = path.read_text(encoding="utf-8")
        except OSError:
            continue
        model = next((line for line in text.splitlines() if line.startswith("Model:")), "")
        if name := board_of(model.removeprefix("Model:").strip()):
            return name
    return None


def board_of(model: str) -> AcceleratorName | None:
    """The table's name of a board by what its driver calls it; None: unknown."""
    for words, name in _BOARDS:
        if all(word in model for word in words) and not model.endswith((" Ti", " D")):
            return name  # type: ignore[return-value]
    return None


def this_memory() -> int:
    """Memory of the machine that this runs on, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
