"""One stage by itself, on files, without a recipe: the same artifact, in a folder of its own."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hanhua.core.config import Machine, Section
from hanhua.core.errors import (
    HanhuaError,
    InputError,
    MixtureError,
    RecipeError,
    StorageError,
    UsageError,
)
from hanhua.core.files import storage_errors
from hanhua.core.progress import Progress
from hanhua.core.stage import Node, Stage

if TYPE_CHECKING:
    from hanhua.core.walk import Walk


def make_alone(
    stage: Stage, config: Section, out: Path, progress: Progress, *, seed: int = 0,
    machine: Machine | None = None, keep_on_mistake: bool = False,
) -> None:  # fmt: skip
    """Make one artifact; ``out`` is there whole or not at all.

    What a kill or a full disk leaves is beside the folder to make, and the same call goes on from
    it. What the user must mend (a broken file, a wrong key) changes the call, so nothing is left.

    Args:
        stage: one that needs no earlier artifact.
        config: its section.
        out: the folder to make.
        progress: bars.
        seed: as in a recipe.
        machine: workers and memory; all cores where not given.
        keep_on_mistake: leave what was begun also where the user must mend something.

    Raises:
        StorageError: when the folder is there and not empty.
        HanhuaError: whatever the stage refuses.
    """
    from hanhua.core.runner import run as run_walk
    from hanhua.core.walk import Walk

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StorageError(
            "The folder is there already.", where=out, fix="choose another --out, or remove it"
        )
    aside = out.absolute().parent / f".{out.name}.building"
    walk = Walk(
        name=out.name, nodes=[Node(stage=stage, config=config, inputs={})], seed=seed, target="zh",
        source="en", machine=machine or Machine(), run_dir=aside,
    )  # fmt: skip
    try:
        ledger = run_walk(walk, progress)
    except (InputError, MixtureError, RecipeError, UsageError):
        if not keep_on_mistake:
            _clear(walk)
        raise
    with storage_errors(out):
        if out.exists():
            out.rmdir()
        os.replace(aside / ledger["stages"][stage.name]["path"], out)
        shutil.rmtree(aside, ignore_errors=True)


def _clear(walk: Walk) -> None:
    """Take away what a refused call began; what a kill of another call left stays."""
    from hanhua.core.stopped import BUILDING
    from hanhua.core.walk import plan

    with suppress(HanhuaError):
        for step in plan(walk):
            shutil.rmtree(walk.run_dir / BUILDING / step.path.name, ignore_errors=True)
    if not any((walk.run_dir / BUILDING).glob("*")):
        shutil.rmtree(walk.run_dir, ignore_errors=True)
