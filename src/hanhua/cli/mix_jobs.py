"""Small runs in several processes: each in a folder of its own, moved to the others when whole.

A run folder belongs to one process. So what a small run reads is linked into ``.parts/NAME`` of
the folder of the small runs, where NAME is the artifact to be; a process trains there; and the
artifact is renamed into place by the process that gave the order, which holds the folder all the
while. A training that was cut off goes on from its checkpoint, in one process or in several.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hanhua.core.errors import HanhuaError
from hanhua.core.progress import Silent, duration

if TYPE_CHECKING:
    from hanhua.core.config import Machine
    from hanhua.core.progress import Progress
    from hanhua.core.walk import Step, Walk
    from hanhua.recipe import Recipe

LAST = "pretrain"
PARTS = ".parts"


@dataclass(frozen=True, slots=True)
class Job:
    """One small run to make.

    Args:
        recipe: of the small run.
        title: for people.
        size: tokens that it reads, about.
    """

    recipe: Recipe
    title: str
    size: int


@dataclass(frozen=True, slots=True)
class _Task:
    """What a process is told."""

    recipe: Recipe
    folder: Path


def make_apart(jobs: Sequence[Job], runs: Path, processes: int, progress: Progress) -> None:
    """Make the small runs that are not there, the longest first.

    Args:
        jobs: all small runs of a study; what they share is made.
        runs: folder that holds the runs.
        processes: how many work at a time.
        progress: a line where a run begins, and one where it ends.

    Raises:
        HanhuaError: of the first run that failed, naming it; those begun are ended before.
    """
    from hanhua.core.runner import alone
    from hanhua.core.runner import run as run_walk

    walks = [job.recipe.walk(runs) for job in jobs]
    with alone(walks[0].run_dir):
        left = [at for at, walk in enumerate(walks) if not _last(walk).done]
    left.sort(key=lambda at: -jobs[at].size)
    for at in left:
        rows = _steps(walks[at])["tokens"]
        run_walk(walks[at], Silent() if rows.done else progress, until="tokens")
    if not left:
        return
    machine = jobs[0].recipe.machine
    environments = environments_of(machine, min(processes, len(left)), devices_of(machine))
    machine = machine.model_copy(update={"threads": int(environments[0]["OMP_NUM_THREADS"])})
    with alone(walks[0].run_dir):
        tasks = [
            _Task(jobs[at].recipe.model_copy(update={"machine": machine}), part_of(walks[at]))
            for at in left
        ]
        _run_all([jobs[at] for at in left], tasks, environments, progress)


def _run_all(
    jobs: Sequence[Job], tasks: Sequence[_Task], environments: Sequence[Mapping[str, str]],
    progress: Progress,
) -> None:  # fmt: skip
    from hanhua.mix.spread import Begun, spread

    parts = tasks[0].folder.parent
    told = _Told(jobs, len(environments), progress)
    failed: HanhuaError | None = None
    with closing(spread(train_part, tasks, environments, parts)) as going:
        for event in going:
            if isinstance(event, Begun):
                told.begun(event.job)
            elif event.error is None:
                keep_part(parts.parent, tasks[event.job].folder.name)
                told.ended(event.job)
            else:
                told.failed(event.job, event.error)
                failed = failed or _named(event.error, jobs[event.job].title)
    if failed:
        raise failed
    shutil.rmtree(parts, ignore_errors=True)


class _Told:
    """A line where a run begins and where it ends, with the time that is left."""

    def __init__(self, jobs: Sequence[Job], processes: int, progress: Progress) -> None:
        self.jobs, self.processes, self.progress = jobs, processes, progress
        self.began: dict[int, float] = {}
        self.left = set(range(len(jobs)))
        self.seconds, self.size = 0.0, 0

    def begun(self, job: int) -> None:
        self.began[job] = time.monotonic()
        self.progress.say(f"{self._name(job)} begins: {self.jobs[job].title}")

    def ended(self, job: int) -> None:
        took = time.monotonic() - self.began[job]
        self.left.remove(job)
        self.seconds, self.size = self.seconds + took, self.size + self.jobs[job].size
        ahead = sum(self.jobs[other].size for other in self.left)
        left = duration(ahead * self.seconds / self.size / self.processes)
        more = f", about {left} left" if ahead else ""
        made = len(self.jobs) - len(self.left)
        self.progress.say(f"{self._name(job)} took {duration(took)}; {made} made{more}")

    def failed(self, job: int, error: HanhuaError) -> None:
        self.progress.say(f"{self._name(job)} failed: {error.what} Those begun are ended first.")

    def _name(self, job: int) -> str:
        return f"small run {job + 1} of {len(self.jobs)}"


def _named(error: HanhuaError, title: str) -> HanhuaError:
    """The same error; it says which run it stopped."""
    where = f"small run {title}" + (f"; {error.where}" if error.where else "")
    return type(error)(error.what, where=where, found=error.found, fix=error.fix)


def _steps(walk: Walk) -> dict[str, Step]:
    from hanhua.core.walk import plan

    return {step.name: step for step in plan(walk, LAST)}


def _last(walk: Walk) -> Step:
    """The step that makes a small run; what an interrupted process left of it is taken up."""
    step = _steps(walk)[LAST]
    if not step.done and keep_part(walk.run_dir, step.path.name):
        step = _steps(walk)[LAST]
    return step


def keep_part(folder: Path, name: str) -> bool:
    """Take a small run, whole or its checkpoints, from its own folder; whether it had one.

    Args:
        folder: of all small runs.
        name: of the artifact.
    """
    from hanhua.core.files import storage_errors
    from hanhua.core.stopped import BUILDING

    part = folder / PARTS / name
    if not part.is_dir():
        return False
    with storage_errors(folder):
        for inner in (name, f"{BUILDING}/{name}"):
            if (part / inner).is_dir() and not (folder / inner).exists():
                (folder / inner).parent.mkdir(exist_ok=True)
                os.replace(part / inner, folder / inner)
        shutil.rmtree(part)
    return True


def part_of(walk: Walk) -> Path:
    """A run folder for one small run: links to what it reads, and its checkpoints if it has any."""
    from hanhua.core.files import storage_errors
    from hanhua.core.stopped import BUILDING

    steps = _steps(walk)
    last = steps.pop(LAST)
    part = walk.run_dir / PARTS / last.path.name
    with storage_errors(part):
        shutil.rmtree(part, ignore_errors=True)
        (part / BUILDING).mkdir(parents=True)
        for step in steps.values():
            (part / step.path.name).symlink_to(step.path.resolve(), target_is_directory=True)
        digests = walk.run_dir / ".digests.json"
        if digests.exists():  # files outside are read once, not once a small run
            shutil.copyfile(digests, part / digests.name)
        begun = walk.run_dir / BUILDING / last.path.name
        if begun.is_dir():
            os.replace(begun, part / BUILDING / last.path.name)
    return part


def train_part(task: _Task) -> None:
    """In a process: the training of one small run.

    Raises:
        HanhuaError: whatever the stage refuses.
    """
    from hanhua.cli.runs import quiet_libraries
    from hanhua.core.runner import run as run_walk

    quiet_libraries()
    named = task.recipe.model_copy(update={"name": task.folder.name})
    run_walk(named.walk(task.folder.parent), Silent(), until=LAST)


def environments_of(
    machine: Machine, processes: int, devices: Sequence[str]
) -> list[dict[str, str]]:  # fmt: skip
    """Variables of each process: its part of the cores, and the device that is its own.

    Args:
        machine: the recipe's section; ``threads`` is what all have together.
        processes: how many; if there are fewer devices, several share one.
        devices: names of GPUs.
    """
    threads = max((machine.threads or os.cpu_count() or 1) // processes, 1)
    return [
        {"OMP_NUM_THREADS": str(threads)}
        | ({"CUDA_VISIBLE_DEVICES": devices[i % len(devices)]} if devices else {})
        for i in range(processes)
    ]


def devices_of(machine: Machine) -> list[str]:
    """Names of the GPUs that this process may use."""
    if machine.device == "cpu":
        return []
    import torch

    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return (visible.split(",") if visible else [str(i) for i in range(count)])[:count]
