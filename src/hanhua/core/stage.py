"""What a stage is: a function from typed inputs and one recipe section to one artifact.

A stage reads only its context, writes only into ``context.out``, and is seeded. What it wants
to find again after a kill (checkpoints) it keeps in ``context.work``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from hanhua.core.artifact import Artifact
from hanhua.core.config import Machine, Section
from hanhua.core.progress import Progress

SectionT = TypeVar("SectionT", bound=Section)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Generic[SectionT]):
    """Everything a stage may read, and the two folders that it may write.

    Args:
        config: the stage's section, paths already absolute.
        inputs: earlier artifacts by role, e.g. ``inputs["model"]``.
        out: an empty folder; it becomes the artifact when the stage returns.
        work: a folder that survives a kill and goes when the artifact is whole.
        seed: the recipe's seed.
        target: the language to reach, e.g. "zh".
        source: the language of the base, e.g. "en".
        machine: devices and threads; must not change what is computed.
        progress: bars with rate and time left.
    """

    config: SectionT
    inputs: Mapping[str, Artifact]
    out: Path
    work: Path
    seed: int
    machine: Machine
    progress: Progress
    target: str = "zh"
    source: str = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What goes into the record beside the files: counts (integers) and metrics (JSON)."""

    counts: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the walk.

    Args:
        name: also the artifact folder's prefix.
        version: raised by hand when the same section gives other bytes.
        run: the work.
        title: one phrase for people.
        estimate: tokens, steps, seconds, bytes as far as they can be told beforehand.
        together: whether all processes of a run (see ``ranks.py``) work on it; what it returns
            on the first counts.
        check: looks at the finished artifact, in every run anew, and may end the run with an
            error; the artifact stays.
        refuse: looks at the section while the run is planned, before any stage has run, and
            raises what the stage itself would raise much later.
    """

    name: str
    version: int
    run: Callable[[Context[Any]], Result]
    title: str
    estimate: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]] | None = None
    together: bool = False
    check: Callable[[Any, Artifact], None] | None = None
    refuse: Callable[[Any], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A stage in one walk: with its section and the stages that fill its input roles."""

    stage: Stage
    config: Section
    inputs: Mapping[str, str]
    """role -> name of the earlier stage"""
