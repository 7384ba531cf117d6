"""One model over many processes: each keeps a part of every weight (FSDP2).

A decoder block's weights are gathered when it is computed and let go again; embeddings, final
norm and head are one more such group. What a process keeps is fp32 and is what its optimiser
steps; what is gathered is in the precision of the arithmetic. Gradients are added up over the
processes in fp32 and never averaged: the loss is already divided by all targets of the step.

Source: https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html, and the paper on
its predecessor, https://arxiv.org/abs/2304.11277.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from hanhua.model.lora import keeps_fp32
from hanhua.train import parallel
from hanhua.train.blocks import blocks_of

T = TypeVar("T")


class Root(nn.Module):
    """Where all use of a model passes, so that its weights are at hand: ``root(function, …)``."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Callable[..., T], *args: Any) -> T:
        """``function(model, …)``."""
        return function(self.model, *args)


def shard(model: Any, dtype: torch.dtype, device: str) -> Root:
    """Cut every weight of a model over the processes, along its first side.

    Weights on the meta device stay there (see :mod:`hanhua.train.fill`).

    Args:
        model: a causal LM, trained weights in fp32, frozen ones in ``dtype``.
        dtype: of the arithmetic.
        device: of this process.
    """
    mesh = init_device_mesh(torch.device(device).type, (parallel.size(),))
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    whole = {p for name, p in model.named_parameters() if keeps_fp32(name)}
    root = Root(model)
    for module in [*blocks_of(model), root]:
        fully_shard(module, mesh=mesh, mp_policy=policy, ignored_params=whole)
    for group in fsdp_modules(root):
        group.set_force_sum_reduction_for_comms(True)  # gloo can't divide
        group.set_gradient_divide_factor(1.0)
    return root


def settle(root: Root) -> None:
    """Let FSDP look at its weights once, while all that will ever learn may learn.

    It decides then in which precision gradients are added up, and doesn't decide again.
    """
    with torch.no_grad():
        root(lambda model: None)
    let_go(root)


def let_go(root: Root) -> None:
    """Let go of gathered weights, so that the next use sees which of them learn."""
    for module in fsdp_modules(root):
        module.reshard()


def fsdp_modules(root: nn.Module) -> list[FSDPModule]:
    """The modules whose weights are gathered as one; none in a single process."""
    return [module for module in root.modules() if isinstance(module, FSDPModule)]


def local(tensor: Tensor) -> Tensor:
    """A tensor's part on this process, in the same memory; a plain tensor is its own part."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def first_row(tensor: Tensor) -> int:
    """Which row of the whole the part of this process begins with."""
    if not isinstance(tensor, DTensor):
        return 0
    rows = -(-tensor.shape[0] // parallel.size())
    return min(rows * parallel.rank(), tensor.shape[0])


def like(part: Tensor, whole: Tensor) -> Tensor:
    """A part of this process as a tensor cut as ``whole`` is (or the part itself)."""
    if not isinstance(whole, DTensor):
        return part
    return DTensor.from_local(
        part, whole.device_mesh, whole.placements, run_check=False, shape=whole.shape,
        stride=whole.stride(),
    )  # fmt: skip


@torch.no_grad()
def gathered(tensor: Tensor) -> Tensor | None:
    """The whole of a tensor on the first process's CPU, None on the others; all must call."""
    found = tensor.detach()
    found = found.full_tensor() if isinstance(found, DTensor) else found
    return found.cpu() if parallel.first() else None
