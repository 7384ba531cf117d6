"""What benchmarks/training.py prints."""

from __future__ import annotations

import math
from typing import Any

import torch
import transformers

from hanhua.train.cost.accelerators import TABLE, board_of
from peers.machine import cpu_name

Figures = dict[str, Any]


def case_table(case: Figures) -> str:
    """A table of a case: an engine a line."""
    unit = "tok/CPU-s" if "cpu" in case["unit"] else "tok/s"
    lines = [
        f"\n{case['case']}: {case['documents']}, documents of {case['mean_document_tokens']:g} "
        f"tokens; matrix products {case['matmul_limit_flops'] / 1e9:,.0f} GFLOP/s; "
        f"n = {case['n']}",
        f"{'engine':<32}{unit:>9}{'spread':>16}{'of limit':>9}{'GB':>7}{'loss off by':>12}"
        f"{'hanhua is':>11}{'spread':>13}",
    ]
    for name, found in case["engines"].items():
        if not found:
            lines.append(f"{name:<32}failed: {case['failed'].get(name, '').splitlines()[-1:]}")
            continue
        ratio = case["ratios"].get(name)
        off = found["loss_difference"]
        lines.append(
            f"{name:<32}{found[case['unit']]:>9,.0f}"
            f"{found['min']:>8,.0f}-{found['max']:<7,.0f}{found['share_of_matmul_limit']:>9.0%}"
            f"{found['peak_memory_bytes'] / 1e9:>7.2f}{'' if off is None else f'{off:.1e}':>12}"
            + (_ratio(ratio) if ratio else "")
        )
    return "\n".join(lines)


def _ratio(found: Figures) -> str:
    return f"{found['speed']:>10.2f}x{found['min']:>7.2f}-{found['max']:<5.2f}"


def summary(cases: list[Figures]) -> Figures:
    """The figures that are quoted: of each case, and by engine."""
    found = {}
    for case in cases:
        ratios = case["ratios"]
        ours: Figures = next((x for name, x in case["engines"].items() if _ours(name)), {})
        if not ours:
            continue
        peers = [ratio["memory"] for name, ratio in ratios.items() if not _ours(name)]
        found[case["case"]] = {
            case["unit"]: ours[case["unit"]],
            "share_of_matmul_limit": ours["share_of_matmul_limit"],
            "peak_memory_bytes": ours["peak_memory_bytes"],
            "ratio": {name: ratio["speed"] for name, ratio in ratios.items()},
            "memory_of_leanest": max(peers, default=None),
            "loss_difference": ours["loss_difference"],
            "mfu": ours["mfu"],
        }
    return found


def _ours(name: str) -> bool:
    return name.partition(":")[0] == "hanhua"


def mfu(flops: float) -> float | None:
    """Part of the peak that plans reckon with, where the device is one of theirs."""
    name = board_of(torch.cuda.get_device_name()) if torch.cuda.is_available() else None
    return round(flops / (TABLE[name].peak_flops or math.inf), 4) if name else None


def machine(device: str) -> Figures:
    """What it ran on, and with what."""
    found = {
        "cpu": cpu_name(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    if device == "cuda":
        found["gpu"] = torch.cuda.get_device_name()
    return found
