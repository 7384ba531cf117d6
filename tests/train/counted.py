"""What PyTorch itself counts: bytes of tensors at the fullest moment, and FLOPs of products."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode


def peak_bytes(work: Callable[[], object]) -> int:
    """The most that PyTorch's CPU allocator had given out at once while something ran."""
    gc.collect()  # what earlier tests left would else be freed now and be taken off
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    events = [e for e in found.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    assert len(events) > 100, "the profiler saw the allocator"
    return most


def _grouped_flops(a, b, *args, out_shape=None, **kwargs) -> int:
    """Rows times the matrix of their group, or (the gradient of that) groups of rows by rows."""
    return 2 * a[0] * a[1] * b[-1]


def product_flops(work: Callable[[], object]) -> tuple[int, int]:
    """FLOPs of products with weights (mm, addmm, of groups) and of batched ones (bmm)."""
    grouped = {torch.ops.aten._grouped_mm: _grouped_flops}
    with FlopCounterMode(display=False, custom_mapping=grouped) as counter:
        work()
    found = {str(op): count for op, count in counter.get_flop_counts()["Global"].items()}
    weights = found.pop("aten.mm", 0) + found.pop("aten.addmm", 0)
    weights += found.pop("aten._grouped_mm", 0)
    batched = found.pop("aten.bmm", 0) + found.pop("aten.baddbmm", 0)
    assert not found, found
    assert torch.is_grad_enabled()
    return weights, batched
