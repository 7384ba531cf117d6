"""The processes that train together: who is here, and what they tell each other.

``torchrun`` (one process a device, on one machine or many) says through its variables who a
process is. Without it every function here answers for one process alone, at no cost.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from hanhua.core.config import Machine
from hanhua.core.ranks import started_ranks

T = TypeVar("T")
PATIENCE = timedelta(days=30)
"""How long the others wait for the first, which may clean a corpus meanwhile."""
_patient: list[dist.ProcessGroup] = []
"""The group that waits so long, while processes are joined."""


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def first() -> bool:
    """Whether this process writes and prints."""
    return rank() == 0


def wait() -> None:
    """Wait until all processes are here."""
    if size() > 1:
        dist.barrier()


def wait_for_first() -> None:
    """Wait until the first process has made something, which may take it hours."""
    if _patient:
        dist.barrier(group=_patient[0])


def share(value: T) -> T:
    """The first process's value, on all."""
    if size() == 1:
        return value
    found = [value]
    dist.broadcast_object_list(found, 0)
    return found[0]


def total(values: Tensor) -> Tensor:
    """The sum over all processes, in place, the same bits on each."""
    if size() > 1:
        dist.all_reduce(values)
    return values


def most(value: int) -> int:
    """The largest of the processes' numbers."""
    if size() == 1:
        return value
    found = torch.tensor([value], dtype=torch.int64)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found)


def writers() -> dist.ProcessGroup | None:
    """A group of all processes for what they write together in the background, by gloo."""
    return dist.new_group(backend="gloo", timeout=PATIENCE) if size() > 1 else None


def device_of(machine: Machine) -> str:
    """Where this process computes."""
    cuda = machine.device == "cuda" or (machine.device == "auto" and torch.cuda.is_available())
    if not cuda:
        return "cpu"
    if started_ranks() == 1:
        return "cuda"
    # some launchers show each process one GPU alone, which is its first then
    return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % max(torch.cuda.device_count(), 1)}"


class Together:
    """The processes of a run, for the runner."""

    def __init__(self, group: dist.ProcessGroup) -> None:
        self.group = group

    @property
    def first(self) -> bool:
        """Whether this is the first."""
        return first()

    def announce(self, task: Mapping[str, Any] | None) -> None:
        """Tell the others."""
        dist.broadcast_object_list([task], 0, group=self.group)

    def hear(self) -> Mapping[str, Any] | None:
        """Wait for the first."""
        found: list[Mapping[str, Any] | None] = [None]
        dist.broadcast_object_list(found, 0, group=self.group)
        return found[0]


@contextmanager
def joined(machine: Machine) -> Iterator[Together]:
    """Meet the other processes, for the time of the with block.

    Numbers on the CPU travel by gloo, on GPUs by NCCL.
    """
    device = device_of(machine)
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
        dist.init_process_group("cpu:gloo,cuda:nccl")
    else:
        dist.init_process_group("gloo")
    _patient.append(dist.new_group(backend="gloo", timeout=PATIENCE))
    try:
        yield Together(_patient[0])
    finally:
        _patient.clear()
        dist.destroy_process_group()
