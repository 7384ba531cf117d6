"""Jobs spread over processes of this machine, each of which takes the next when it is free.

Unlike a pool, one that dies takes nothing with it: the others end what they have begun. Each
process has its own environment, set before anything heavy is imported in it, so that it can be
bound to cores or to a device.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

from hanhua.core.errors import HanhuaError, ResourceError

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Begun:
    """A job was taken up.

    Args:
        job: its number.
    """

    job: int


@dataclass(frozen=True, slots=True)
class Ended(Generic[ResultT]):
    """A job came to its end.

    Args:
        job: its number.
        result: what it gave; None when it failed.
        error: why it failed.
    """

    job: int
    result: ResultT | None = None
    error: HanhuaError | None = None


@dataclass(slots=True)
class _Worker:
    """A process, this side of the pipe to it, its log, and the job that it is at."""

    process: Any
    pipe: Connection
    log: Path
    job: int | None = None


def spread(
    work: Callable[[JobT], ResultT], jobs: Sequence[JobT],
    environments: Sequence[Mapping[str, str]], logs: Path,
) -> Generator[Begun | Ended[ResultT], None, None]:  # fmt: skip
    """Do all jobs, in order of their beginning; after one has failed no more are begun.

    Every process has gone when the iterator ends, is closed (``contextlib.closing``), or is
    interrupted.

    Args:
        work: a function of a module that can be imported.
        jobs: what it is called with.
        environments: one process for each, with these variables besides those of this process.
        logs: a folder for what the processes print; nothing of it reaches the screen.
    """
    logs.mkdir(parents=True, exist_ok=True)
    ahead = deque(range(len(jobs)))
    workers: list[_Worker] = []
    try:
        for number, environment in enumerate(environments[: len(jobs)], start=1):
            workers.append(_start(work, environment, logs / f"worker-{number}.log"))
        for worker in workers:
            yield _give(worker, ahead, jobs)
        while busy := {worker.pipe: worker for worker in workers if worker.job is not None}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                ended = _hear(worker)
                yield ended
                if ended.error is not None:
                    ahead.clear()
                elif ahead:
                    yield _give(worker, ahead, jobs)
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()
            worker.process.close()
            worker.pipe.close()


def _start(work: Callable[..., Any], environment: Mapping[str, str], log: Path) -> _Worker:
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(work, dict(environment), log, there))
    process.start()
    there.close()  # so that the pipe ends with the process
    return _Worker(process, here, log)


def _give(worker: _Worker, ahead: deque[int], jobs: Sequence[Any]) -> Begun:
    worker.job = ahead.popleft()
    try:
        worker.pipe.send(jobs[worker.job])
    except BrokenPipeError:
        pass  # it died; so the pipe says when it is heard
    return Begun(worker.job)


def _hear(worker: _Worker) -> Ended[Any]:
    assert worker.job is not None
    job, worker.job = worker.job, None
    try:
        result, error = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        return Ended(job, error=_died(worker))
    return Ended(job, result, error)


def _died(worker: _Worker) -> ResourceError:
    code = worker.process.exitcode
    how = f"exit code {code}" if code >= 0 else f"signal {-code} ({signal.Signals(-code).name})"
    return ResourceError(
        "A process died.", where=worker.log, found=how,
        fix="run the same command again: what is done is kept. If memory ran out, use fewer "
        "processes",
    )  # fmt: skip


def _serve(
    work: Callable[[Any], Any], environment: Mapping[str, str], log: Path, pipe: Connection
) -> None:
    """In a process: do one job after another until it is ended from outside."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, and that ends this
    threading.Thread(target=_go_with_parent, daemon=True).start()
    with log.open("w", encoding="utf-8") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(work, job))


def _answer(work: Callable[[Any], Any], job: Any) -> tuple[Any, HanhuaError | None]:
    try:
        return work(job), None
    except HanhuaError as error:
        return None, error
    except MemoryError:
        return None, ResourceError("Out of memory.", fix="use fewer processes")
    except Exception as error:
        traceback.print_exc()
        sys.stderr.flush()
        return None, HanhuaError(
            "Something went wrong that hanhua did not foresee.",
            found=f"{type(error).__name__}: {error}",
            fix="run again with one process and --debug, and report what it prints",
        )


def _go_with_parent() -> None:
    """A parent that was killed cannot end its processes; they see it go."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
