"""The same function over many jobs in the processes of this machine, results in order."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, Generic, TypeVar

from hanhua.core.errors import ResourceError

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")

_work: Callable[[Any], Any] | None = None


def _begin(work: Callable[[Any], Any]) -> None:
    """In a worker: take the function once; the parent alone answers Ctrl-C."""
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # a process a core is enough
    _work = work


def _do(job: Any) -> Any:
    if _work is None:
        raise AssertionError("the worker was not begun")
    return _work(job)


class Crew(Generic[JobT, ResultT]):
    """Worker processes that do one kind of job, begun when first wanted.

    Args:
        work: can be pickled, and gives the same for the same job.
        workers: processes; with one, all is done in this one.
    """

    def __init__(self, work: Callable[[JobT], ResultT], workers: int) -> None:
        self.work, self.workers = work, workers
        self._pool: ProcessPoolExecutor | None = None

    def run(self, jobs: Iterable[JobT], here: bool = False) -> Iterator[ResultT]:
        """Do jobs, a few more than there are workers at a time; results come in order.

        Args:
            jobs: taken as they are needed.
            here: do them in this process: for few.

        Raises:
            ResourceError: when a worker is killed.
        """
        if here or self.workers <= 1:
            yield from map(self.work, jobs)
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.workers, get_context("spawn"), _begin, (self.work,)
            )
        waiting: deque[Future[ResultT]] = deque()
        try:
            for job in jobs:
                waiting.append(self._pool.submit(_do, job))
                if len(waiting) > 2 * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise ResourceError(
                "A worker process was killed.", where="machine.workers", found=self.workers,
                fix="run the same command again; what is done is kept. If memory ran out, set "
                "machine.workers lower (1 needs the least)",
            ) from error  # fmt: skip

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
