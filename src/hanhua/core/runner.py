"""Run a walk: the stages that are not done, and the ledger.

The order of writing makes a kill harmless: a stage writes into ``.building/<stage>-<fp>/out``,
its record comes last, one rename makes it an artifact, and the ledger is rewritten whole.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hanhua.core.artifact import RECORD, Artifact, check_whole
from hanhua.core.errors import ArtifactError, HanhuaError, StorageError
from hanhua.core.files import storage_errors, write_json
from hanhua.core.progress import Progress, Silent, duration
from hanhua.core.ranks import Alone, Ranks
from hanhua.core.record import Meter, make_record
from hanhua.core.stage import Context, Node
from hanhua.core.stopped import BUILDING, noting
from hanhua.core.walk import Step, Walk, plan

ALONE = Alone()
LEDGER = "ledger.json"
SPENT = "spent.json"


def run(
    walk: Walk,
    progress: Progress,
    *,
    until: str | None = None,
    summarise: Callable[[Path, Mapping[str, Any]], Mapping[str, Any]] | None = None,
    command: str = "",
    ranks: Ranks = ALONE,
    on_stop: Callable[[Path], None] | None = None,
) -> dict[str, Any]:
    """Run what is not done yet and return the ledger, which is also written after each stage.

    Args:
        walk: what to run.
        progress: where to show it.
        until: the last stage to run; all when None.
        summarise: makes the ledger's summary from the finished stages.
        command: how it was called, for people who want to run it again.
        ranks: the processes of this run, of which this is the first; the others call
            :func:`follow`.
        on_stop: see :func:`hanhua.core.stopped.noting`.

    Raises:
        HanhuaError: whatever a stage refuses, or its check; finished stages stay.
    """
    with storage_errors(walk.run_dir):
        walk.run_dir.mkdir(parents=True, exist_ok=True)
    with alone(walk.run_dir), noting(walk.run_dir, command, on_stop) as going:
        steps = plan(walk, until)
        _check_places(steps)
        every = _every(walk, steps)
        finished: dict[str, Artifact] = {}
        for number, step in enumerate(steps, start=1):
            going.enter(step.name, step.node.stage.title, number, len(steps))
            title = f"[{number}/{len(steps)}] {step.name}: {step.node.stage.title}"
            if step.done:
                finished[step.name] = Artifact.load(step.path)
                check_whole(finished[step.name])
                progress.say(f"{title} (done before)")
            else:
                progress.say(title)
                finished[step.name] = _carry_out(walk, step, finished, progress, ranks)
                progress.say(f"      {_facts(finished[step.name])}")
            there = _there(every, finished)
            complete = len(there) == len(walk.nodes)
            ledger = make_ledger(walk, every, there, complete)
            ledger["command"] = command
            ledger["summary"] = dict(summarise(walk.run_dir, ledger["stages"])) if summarise else {}
            # not sorted: stages stay in walk order
            write_json(walk.run_dir / LEDGER, ledger, sort_keys=False)
            going.leave(complete)
            if step.node.stage.check is not None:
                step.node.stage.check(step.node.config, finished[step.name])
        if len(finished) == len(walk.nodes):  # else another walk of the folder may go on with it
            shutil.rmtree(walk.run_dir / BUILDING, ignore_errors=True)
    ranks.announce(None)
    return ledger


def _check_places(steps: Sequence[Step]) -> None:
    """Refuse a place that is taken before hours of work go into what is to stand there.

    Raises:
        ArtifactError: when a stage's folder is there without its record.
    """
    for step in steps:
        if not step.done and step.path.exists():
            raise ArtifactError(
                "This artifact has lost its record, so it is not known to be whole.",
                where=step.path, found=f"no {RECORD}",
                fix=f"delete the folder {step.path.name} and run the same command again",
            )  # fmt: skip


def _every(walk: Walk, steps: list[Step]) -> list[Step]:
    """The steps to take and those behind ``until``, which may be done from before."""
    if len(steps) == len(walk.nodes):
        return steps
    try:
        return plan(walk)
    except HanhuaError:  # e.g. a file of a later stage, which nobody asked for
        return steps


def _there(every: Sequence[Step], finished: Mapping[str, Artifact]) -> dict[str, Artifact]:
    """What the ledger names: a walk that ends early takes no finished model out of it.

    A later artifact holds even where one before it is damaged or gone: its fingerprint covers
    everything that it was made from.
    """
    found: dict[str, Artifact] = {}
    for step in every:
        if step.name in finished:
            found[step.name] = finished[step.name]
        elif step.done:
            with suppress(ArtifactError):
                found[step.name] = Artifact.load(step.path)
    return found


def _facts(artifact: Artifact) -> str:
    record = artifact.record
    peak = record["peak_rss_bytes"] / 2**20
    return f"{duration(record['seconds'])}, peak memory {peak:,.0f} MB, {artifact.path.name}"


def _carry_out(
    walk: Walk, step: Step, finished: Mapping[str, Artifact], progress: Progress, ranks: Ranks
) -> Artifact:
    """Run one stage aside, record it, and rename it into place."""
    aside = walk.run_dir / BUILDING / step.path.name
    out, work = aside / "out", aside / "work"
    with storage_errors(walk.run_dir):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        work.mkdir(exist_ok=True)
        inputs = {role: finished[name] for role, name in step.node.inputs.items()}
        context = _context(walk, step.node, inputs, aside, progress)
        if step.node.stage.together:
            paths = {role: str(artifact.path) for role, artifact in inputs.items()}
            ranks.announce({"stage": step.name, "aside": str(aside), "inputs": paths})
        with Meter(aside / SPENT) as meter:
            result = step.node.stage.run(context)
        record = make_record(
            stage=step.node.stage, fingerprint=step.fingerprint, identity=step.identity,
            inputs=inputs, context=walk.context, result=result, meter=meter, folder=out,
            machine=walk.machine,
        )  # fmt: skip
        write_json(out / RECORD, record)
        os.replace(out, step.path)
        shutil.rmtree(aside, ignore_errors=True)
    return Artifact.load(step.path)


def _context(
    walk: Walk, node: Node, inputs: Mapping[str, Artifact], aside: Path, progress: Progress
) -> Context[Any]:
    return Context(
        config=node.config, inputs=inputs, out=aside / "out", work=aside / "work", seed=walk.seed,
        target=walk.target, source=walk.source, machine=walk.machine, progress=progress,
    )  # fmt: skip


def follow(walk: Walk, ranks: Ranks) -> None:
    """What the processes behind the first do: their part of stages that all work on.

    Args:
        walk: the same as the first's; the run folder is one that all of them see.
        ranks: the processes.
    """
    nodes = {node.stage.name: node for node in walk.nodes}
    while (task := ranks.hear()) is not None:
        node = nodes[task["stage"]]
        inputs = {role: Artifact.load(Path(path)) for role, path in task["inputs"].items()}
        node.stage.run(_context(walk, node, inputs, Path(task["aside"]), Silent()))


def make_ledger(
    walk: Walk, steps: Sequence[Step], finished: Mapping[str, Artifact], complete: bool
) -> dict[str, Any]:
    """The ledger: each finished stage, what it was made by, and whether that is all."""
    by_name = {step.name: step for step in steps}
    newest = max(finished.values(), key=lambda a: a.record["finished_at"]).record
    return {
        "name": walk.name,
        "hanhua": newest["hanhua"],
        "complete": complete,
        **walk.context,
        "versions": newest["versions"],
        "machine": newest["machine"],
        "stages": {name: _entry(by_name[name], artifact) for name, artifact in finished.items()},
        **_limits(walk),
    }


def _limits(walk: Walk) -> dict[str, Any]:
    """The recipe's gates, which are part of no artifact; for the report."""
    found = {k: v for n in walk.nodes for k, v in dict(getattr(n.config, "gates", {})).items()}
    return {"gates": found} if found else {}


def _entry(step: Step, artifact: Artifact) -> dict[str, Any]:
    keys = ("counts", "metrics", "seconds", "cpu_seconds", "peak_rss_bytes", "content_sha256")
    return {
        "path": artifact.path.name,
        "fingerprint": artifact.fingerprint,
        "title": step.node.stage.title,
        "inputs": dict(step.node.inputs),
        **{key: artifact.record[key] for key in keys},
    }


@contextmanager
def alone(run_dir: Path) -> Iterator[None]:
    """Hold the run folder for one process; the lock goes with the process, however it ends."""
    with storage_errors(run_dir):
        file = (run_dir / ".lock").open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(
                "Another hanhua is running in this folder.", where=run_dir,
                fix="wait for it, or give this run another name or --runs folder",
            ) from error  # fmt: skip
        yield
