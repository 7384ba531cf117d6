"""What a run keeps on disk: the newest checkpoint to go on from, and some to go back to.

Ordinary checkpoints come by the clock and each replaces the one before. A held checkpoint stands
in a folder of its own, by hard links, so that it costs no second writing and no more room until
the next ordinary one is written.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hanhua.core.files import canonical_json, sha256_text, storage_errors
from hanhua.tokens.loader import LoaderState
from hanhua.tokens.rows import PackedRows
from hanhua.train.checkpoint import checkpoints, load_checkpoint, save_checkpoint, sync
from hanhua.train.config import OptimConfig
from hanhua.train.gate import GateState
from hanhua.train.guard import GuardState
from hanhua.train.optim import Masters

ANCHOR = "anchor"
"""The folder of the step that a run gone astray goes back to."""
GOOD = "good"
"""The folder of the last step within the gate's limit."""


@dataclass(slots=True)
class State:
    """Where training stands; goes into every checkpoint.

    Args:
        step: places of the plan that are behind us, passed-over ones too.
        tokens: that the weights have learnt from.
        data: where reading stands.
        guard: of ``guard.py``.
        gate: of ``gate.py``.
    """

    step: int = 0
    tokens: int = 0
    data: LoaderState = field(default_factory=LoaderState)
    guard: GuardState = field(default_factory=GuardState)
    gate: GateState = field(default_factory=GateState)

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> State:
        """From a checkpoint's JSON; one of an older version has no guard or gate."""
        return cls(
            found["step"], found["tokens"], LoaderState(**found["data"]),
            GuardState(**found.get("guard", {})), GateState(**found.get("gate", {})),
        )  # fmt: skip


def run_identity(config: OptimConfig, rows: PackedRows, seed: int) -> str:
    """What a checkpoint must have in common with the run that takes it up."""
    return sha256_text(canonical_json([config.model_dump(mode="json"), dict(rows.meta), seed]))


class Keeper:
    """Saves and brings back one run.

    Args:
        work: folder that survives a kill.
        masters: weights and optimiser.
        identity: see :func:`run_identity`.
    """

    def __init__(self, work: Path, masters: Masters, identity: str) -> None:
        self.work = work
        self.masters = masters
        self.identity = identity
        self.saved = time.monotonic()

    def late(self, minutes: float) -> bool:
        """Whether the newest checkpoint is older than that."""
        return time.monotonic() - self.saved > 60 * minutes

    def resume(self) -> State:
        """The newest checkpoint's state, weights and optimiser; a fresh state without one.

        Raises:
            TrainingError: when it belongs to another run.
        """
        found = load_checkpoint(self.work, self.masters, self.identity)
        return State() if found is None else State.read(found)

    def save(self, state: State, *names: str) -> Path:
        """Write the checkpoint to go on from, and hold it under names until others take them.

        The named places come first: a run that is killed between then goes on from an older
        checkpoint and comes to the same step again, but never goes on without what it held.
        """
        facts = {"identity": self.identity, "precision": self.masters.config.precision}
        first, *others = [*(self.work / name for name in names), self.work]
        path = save_checkpoint(first, state.step, self.masters, facts | asdict(state))
        for place in others:
            path = _link(path, place)
        self.saved = time.monotonic()
        return path

    def holds(self, name: str) -> bool:
        """Whether there is a checkpoint under a name."""
        return bool(checkpoints(self.work / name))

    def go_back(self, name: str) -> State:
        """Weights, optimiser and random state of a held checkpoint, and its state."""
        found = load_checkpoint(self.work / name, self.masters, self.identity)
        assert found is not None, name
        return State.read(found)


def _link(path: Path, place: Path) -> Path:
    """A checkpoint in another folder too, in place of those there: all of it, or none."""
    final, aside = place / path.name, place / f".{path.name}.tmp"
    with storage_errors(place):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        for file in path.iterdir():
            try:
                os.link(file, aside / file.name)
            except OSError:  # a file system without hard links
                shutil.copyfile(file, aside / file.name)
                sync(aside / file.name)
        sync(aside)
        shutil.rmtree(final, ignore_errors=True)
        os.replace(aside, final)
        sync(place)
        for old in checkpoints(place):
            if old != final:
                shutil.rmtree(old, ignore_errors=True)
    return final
