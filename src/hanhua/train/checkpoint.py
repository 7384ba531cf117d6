"""Checkpoints of a run that may be killed: all of it, or none, and exactly the same afterwards.

A checkpoint is a folder written aside, synced and renamed; the newest whole one counts. It holds
the fp32 masters, the optimiser, the random state and a small state as JSON, so the next step is
the one that would have come, bit for bit on CPU.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from hanhua.core.errors import TrainingError
from hanhua.core.files import read_json, storage_errors, write_json
from hanhua.train.optim import Masters
from hanhua.train.precision import Precision


def save_checkpoint(work: Path, step: int, masters: Masters, state: Mapping[str, Any]) -> Path:
    """Write a checkpoint and delete older ones.

    Args:
        work: folder that survives a kill.
        step: optimiser steps taken.
        masters: weights and optimiser.
        state: what else is needed, as JSON.
    """
    final = work / f"checkpoint-{step:09d}"
    aside = work / f".{final.name}.tmp"
    with storage_errors(work):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        save_file(dict(masters.weights), aside / "masters.safetensors")
        torch.save(masters.optimizer.state_dict(), aside / "optimizer.pt")
        torch.save(random_state(), aside / "random.pt")
        write_json(aside / "state.json", {**state, "step": step})
        for path in aside.iterdir():
            sync(path)
        shutil.rmtree(final, ignore_errors=True)
        os.replace(aside, final)
        sync(work)
    for old in checkpoints(work):
        if old != final:
            shutil.rmtree(old, ignore_errors=True)
    return final


def checkpoints(work: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    return sorted(work.glob("checkpoint-*"))


def kept_precision(work: Path) -> Precision | None:
    """The arithmetic of the newest checkpoint; None where there is none (or an old one)."""
    found = checkpoints(work)
    return read_json(found[-1] / "state.json").get("precision") if found else None


def load_checkpoint(work: Path, masters: Masters, identity: str) -> dict[str, Any] | None:
    """Take up the newest checkpoint, if there is one.

    Args:
        work: folder of checkpoints.
        masters: filled with its weights and optimiser.
        identity: what the run is; must be what the checkpoint was made by.

    Returns:
        Its state, or None.

    Raises:
        TrainingError: when it belongs to another run or doesn't fit the model.
    """
    found = checkpoints(work)
    if not found:
        return None
    state: dict[str, Any] = read_json(found[-1] / "state.json")
    weights = load_file(found[-1] / "masters.safetensors")
    shapes = {name: tuple(w.shape) for name, w in masters.weights.items()}
    if state["identity"] != identity or {n: tuple(w.shape) for n, w in weights.items()} != shapes:
        raise TrainingError(
            "This checkpoint belongs to another run.", where=found[-1],
            found=f"run {state['identity'][:12]}, this is {identity[:12]}",
            fix="delete the folder to start this training anew",
        )  # fmt: skip
    for name, weight in weights.items():
        masters.weights[name].copy_(weight)
    masters.copy_down()
    masters.optimizer.load_state_dict(torch.load(found[-1] / "optimizer.pt", weights_only=True))
    set_random_state(torch.load(found[-1] / "random.pt", weights_only=True))
    return state


def random_state() -> dict[str, Any]:
    """The generators' states."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put the generators where they were."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def sync(path: Path) -> None:
    """Wait until a file (or a folder's list of names) is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
