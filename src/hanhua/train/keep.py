"""What a run keeps on disk: the newest checkpoint to go on from, and some to go back to.

Ordinary checkpoints come by the clock and each replaces the one before. A held checkpoint stands
in a folder of its own, by hard links, so that it costs no second writing and no more room until
the next ordinary one is written.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hanhua.core.artifact import Digests
from hanhua.core.artifact import identity as section_identity
from hanhua.core.files import canonical_json, link_or_copy, sha256_text, storage_errors
from hanhua.tokens.loader import LoaderState
from hanhua.tokens.rows import PackedRows
from hanhua.train import parallel
from hanhua.train.checkpoint import BACKGROUND, Writing, checkpoints, load_checkpoint, put
from hanhua.train.config import OptimConfig
from hanhua.train.gate import GateState
from hanhua.train.guard import GuardState
from hanhua.train.optim import Masters
from hanhua.train.steer_state import SteerState

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
        steer: of ``steer.py``; then ``data`` is not used.
    """

    step: int = 0
    tokens: int = 0
    data: LoaderState = field(default_factory=LoaderState)
    guard: GuardState = field(default_factory=GuardState)
    gate: GateState = field(default_factory=GateState)
    steer: SteerState = field(default_factory=SteerState)

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> State:
        """From a checkpoint's JSON; one of an older version lacks some."""
        return cls(
            found["step"], found["tokens"], LoaderState(**found["data"]),
            GuardState(**found.get("guard", {})), GateState(**found.get("gate", {})),
            SteerState.read(found.get("steer", {})),
        )  # fmt: skip


def run_identity(config: OptimConfig, rows: PackedRows, seed: int) -> str:
    """What a checkpoint must have in common with the run that takes it up.

    Fields that came later count once they are set, as in a stage's identity.
    """
    section = section_identity(config, Digests(), "training")
    return sha256_text(canonical_json([section, dict(rows.meta), seed]))


class Keeper:
    """Saves and brings back one run; all processes of the run call its methods alike.

    On an accelerator a checkpoint is copied to the machine's memory and written from there while
    training goes on; on a CPU, whose cores and memory training needs, it is written at once.

    Args:
        work: folder that survives a kill.
        masters: weights and optimiser.
        identity: see :func:`run_identity`.
        background: whether to write while training goes on.
    """

    def __init__(self, work: Path, masters: Masters, identity: str, background: bool) -> None:
        self.work = work
        self.masters = masters
        self.identity = identity
        self.group = (parallel.writers() or BACKGROUND) if background else None
        self.saved = time.monotonic()
        self.writing: tuple[Writing, tuple[str, ...]] | None = None

    def late(self, minutes: float) -> bool:
        """Whether the newest checkpoint is older than that, by the first process's clock."""
        return parallel.share(time.monotonic() - self.saved > 60 * minutes)

    def resume(self) -> State:
        """The newest checkpoint's state, weights and optimiser; a fresh state without one.

        Raises:
            TrainingError: when it belongs to another run.
        """
        found = load_checkpoint(self.work, self.masters, self.identity)
        return State() if found is None else self._read(found)

    def _read(self, found: Mapping[str, Any]) -> State:
        self.masters.routed = found.get("routed")
        return State.read(found)

    def save(self, state: State, *names: str) -> Path:
        """Write the checkpoint to go on from, and hold it under names until others take them.

        The named places come first: a run that is killed between then goes on from an older
        checkpoint and comes to the same step again, but never goes on without what it held.
        """
        self.finish()
        config = self.masters.config
        facts: dict[str, Any] = {"identity": self.identity, "precision": config.precision}
        if self.masters.routed is not None:
            facts["routed"] = self.masters.routed
        first, *others = (*names, ".")
        writing = Writing(
            self.work / first, state.step, self.masters, facts | asdict(state), self.group
        )
        self.writing = writing, tuple(others)
        self.saved = time.monotonic()
        self.poll()
        if self.group is None:
            parallel.wait()
        return self.work / writing.path.name

    def poll(self) -> None:
        """Put a checkpoint in its place that was written meanwhile."""
        if self.writing is not None and self.writing[0].done():
            self._put()

    def finish(self) -> None:
        """Wait until every checkpoint is in its place."""
        if self.writing is not None:
            self._put()
        parallel.wait()

    def _put(self) -> None:
        assert self.writing is not None
        writing, others = self.writing
        writing.put()
        path = writing.path
        for place in others if parallel.first() else ():
            path = _link(path, self.work / place)
        self.writing = None

    def holds(self, name: str) -> bool:
        """Whether there is a checkpoint under a name."""
        self.finish()
        return parallel.share(bool(checkpoints(self.work / name)))

    def go_back(self, name: str) -> State:
        """Weights and optimiser of a held checkpoint, and its state."""
        self.finish()
        found = load_checkpoint(self.work / name, self.masters, self.identity)
        assert found is not None, name
        return self._read(found)


def _link(path: Path, place: Path) -> Path:
    """A checkpoint in another folder too, in place of those there: all of it, or none."""
    aside = place / f".{path.name}.tmp"
    with storage_errors(place):
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(path, aside, copy_function=link_or_copy)
        return put(aside, place / path.name)
