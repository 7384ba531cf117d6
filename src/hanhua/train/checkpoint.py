"""Checkpoints of a run that may be killed: all of it, or none, and exactly the same afterwards.

A checkpoint is a folder written aside, synced and renamed; the newest whole one counts. It holds
the fp32 masters, the optimiser and a small state as JSON, so the next step is the one that would
have come, bit for bit on CPU. Random numbers need no keeping: each step seeds its own.

Tensors are in PyTorch's distributed format: every process writes its part, and any number of
processes reads them again (https://docs.pytorch.org/docs/stable/distributed.checkpoint.html).
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save, save

from hanhua.core.errors import TrainingError
from hanhua.core.files import read_json, write_json
from hanhua.train import parallel
from hanhua.train.checkpoint_errors import damaged, let_go, why, written
from hanhua.train.optim import Masters
from hanhua.train.precision import Precision
from hanhua.train.shard import like

TENSORS = "tensors"
"""The folder of the tensors in a checkpoint."""
_NAME = "checkpoint-{:09d}"
BACKGROUND = "alone, in the background"
ALONE = "torch.distributed is disabled"
AVERAGES = ("exp_avg", "exp_avg_sq")


class Writing:
    """A checkpoint on its way to the disk; all processes of a run make it together.

    Args:
        work: folder that survives a kill, the same for all processes.
        step: optimiser steps taken.
        masters: weights and optimiser.
        state: what else is needed, as JSON.
        group: write in the background, from a copy, with the other processes of this group
            (``BACKGROUND`` where there are none); None: it is written when this returns.
    """

    def __init__(
        self, work: Path, step: int, masters: Masters, state: Mapping[str, Any], group: Any = None
    ) -> None:
        self.path = work / _NAME.format(step)
        self.aside = work / f".{self.path.name}.tmp"
        with written(work):
            if parallel.first():
                shutil.rmtree(self.aside, ignore_errors=True)
                self.aside.mkdir(parents=True)
                facts = {"step": step, "averaged": sorted(_averaged(masters))}
                write_json(self.aside / "state.json", {**state, **facts})
            parallel.wait()
            self.copied = _write(_tensors(masters), self.aside / TENSORS, group)

    def done(self) -> bool:
        """Whether all tensors are written, as far as this process knows."""
        return self.copied is None or self.copied.done()

    def put(self) -> None:
        """Wait for the tensors; on the first process rename what is whole, and delete older ones.

        The first knows when all processes have written: it writes the list of their files last.
        """
        with written(self.path.parent):
            if self.copied is not None:
                self.copied.result()
            if parallel.first():
                self.path = put(self.aside, self.path)


def put(aside: Path, final: Path) -> Path:
    """Sync what was written, rename it, and only then delete the older ones.

    Returns:
        Where it is: a step that was written before, as by a run that was killed amid its work,
        gets a name behind that one, so that at every moment one of them is there.
    """
    for path in [*aside.rglob("*"), aside]:
        sync(path)
    final = _free_name(final)
    os.replace(aside, final)
    sync(final.parent)
    for old in checkpoints(final.parent):
        if old != final:
            shutil.rmtree(old, ignore_errors=True)
    return final


def _free_name(path: Path) -> Path:
    """``checkpoint-000000007``, or ``-2``, ``-3`` … behind it where that step is there already."""
    stem = path.name[: len(_NAME.format(0))]
    last = max((_order(found)[1] for found in path.parent.glob(f"{stem}*")), default=0)
    return path.with_name(f"{stem}-{last + 1}" if last else stem)


def _order(path: Path) -> tuple[int, int]:
    """The step of a checkpoint, and the how manieth of that step it is."""
    step, _, times = path.name.removeprefix("checkpoint-").partition("-")
    return int(step), int(times or 1)


def checkpoints(work: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    return sorted(work.glob("checkpoint-*"), key=_order)


def kept_precision(work: Path) -> Precision | None:
    """The arithmetic of the newest checkpoint; None where there is none (or an old one)."""
    found = checkpoints(work)
    return _state(found[-1]).get("precision") if found else None


def load_checkpoint(work: Path, masters: Masters, identity: str) -> dict[str, Any] | None:
    """Take up the newest checkpoint, if there is one; all processes of a run call it together.

    Args:
        work: folder of checkpoints.
        masters: filled with its weights and optimiser.
        identity: what the run is; must be what the checkpoint was made by.

    Returns:
        Its state, or None.

    Raises:
        TrainingError: when it belongs to another run, doesn't fit the model or is damaged.
    """
    found = checkpoints(work)
    path = parallel.share(found[-1] if found else None)
    if path is None:
        return None
    state = _state(path)
    averaged = state.get("averaged", [])
    masters.optimizer.state.clear()
    for name in averaged:
        if name in masters.weights:
            masters.optimizer.state[masters.weights[name]] = _no_averages(masters.weights[name])
    tensors = _tensors(masters)
    if state["identity"] != identity or _shapes(path) != {k: v.shape for k, v in tensors.items()}:
        raise TrainingError(
            "This checkpoint belongs to another run.", where=path,
            found=f"run {state['identity'][:12]}, this is {identity[:12]}",
            fix="delete the folder to start this training anew",
        )  # fmt: skip
    try:
        with torch.no_grad(), _quietly():
            load(tensors, checkpoint_id=path / TENSORS, no_dist=parallel.size() == 1)
    except CheckpointException as error:
        let_go(error)
        raise damaged(path, why(error)) from error
    masters.copy_down()
    return state


def _state(path: Path) -> dict[str, Any]:
    """What a checkpoint keeps besides tensors.

    Raises:
        TrainingError: when it can't be read.
    """
    try:
        return dict(read_json(path / "state.json"))
    except (OSError, ValueError) as error:
        raise damaged(path, f"state.json: {error}") from error


def _write(tensors: dict[str, Any], folder: Path, group: Any) -> Future[Any] | None:
    alone = parallel.size() == 1
    if group is None:
        with _quietly():
            save(tensors, checkpoint_id=folder, no_dist=alone)
        return None
    others = None if group is BACKGROUND else group
    warnings.filterwarnings("ignore", message=ALONE)  # for its thread, which goes on behind us
    found = async_save(tensors, checkpoint_id=folder, process_group=others, no_dist=alone)
    assert isinstance(found, Future)
    return found


@contextmanager
def _quietly() -> Iterator[None]:
    """A single process needs no warning that it is one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=ALONE)
        yield


def _tensors(masters: Masters) -> dict[str, Any]:
    """Masters, optimiser, average by name; views of what training uses, cut as the model is."""
    found: dict[str, Any] = {}
    for name, weight in masters.weights.items():
        whole = masters.working[name]
        found[f"weights.{name}"] = like(weight, whole)
        state = masters.optimizer.state.get(weight)
        if state:
            found |= {f"{key}.{name}": like(state[key], whole) for key in AVERAGES}
            found[f"step.{name}"] = state["step"]
    if masters.average is not None:
        mean = masters.average.values
        found |= {f"average.{n}": like(part, masters.working[n]) for n, part in mean.items()}
        found["average_count"] = masters.average.count
    return found


def _averaged(masters: Masters) -> list[str]:
    """The weights that have been stepped."""
    return [name for name, weight in masters.weights.items() if masters.optimizer.state.get(weight)]


def _no_averages(weight: Tensor) -> dict[str, Tensor]:
    """AdamW's state of a weight, to be filled."""
    step = torch.zeros((), dtype=torch.float32, device=weight.device)
    return {"step": step, **{key: torch.zeros_like(weight) for key in AVERAGES}}


def _shapes(path: Path) -> dict[str, torch.Size] | None:
    """The shapes of a checkpoint's tensors; None where it is of another format."""
    if not (path / TENSORS).is_dir():
        return None
    try:
        found = FileSystemReader(path / TENSORS).read_metadata().state_dict_metadata
    except Exception as error:  # whatever unpickling a spoilt list of tensors raises
        raise damaged(path, f"{TENSORS}/.metadata: {error}") from error
    return {n: entry.size for n, entry in found.items() if isinstance(entry, TensorStorageMetadata)}


def sync(path: Path) -> None:
    """Wait until a file (or a folder's list of names) is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
