"""Batches through the kernel, in the processes of this machine.

Each batch becomes one file, written aside and renamed. After a kill of everything the files that
are there are not made again; after a kill of one worker (the system does that when memory runs
out) only its batch is. Where batches are cut depends on the records alone, so the files do not
depend on how many workers there are.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hanhua.core.errors import ResourceError
from hanhua.core.files import storage_errors

Kernel = Callable[[pa.RecordBatch], pa.RecordBatch]
MAX_TRIES = 3

_kernel: Kernel | None = None


def _begin(kernel: Kernel) -> None:
    """In a worker: take the kernel once; the parent alone answers Ctrl-C."""
    global _kernel
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _kernel = kernel


def _work(payload: bytes, path: Path) -> None:
    if _kernel is None:
        raise AssertionError("the worker was not begun")
    write_part(_kernel(from_bytes(payload)), path)


def write_part(batch: pa.RecordBatch, path: Path) -> None:
    """Write one batch to a Parquet file that is whole or absent."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path):
        pq.write_table(pa.Table.from_batches([batch]), aside, compression="lz4")
        os.replace(aside, path)


@dataclass(slots=True)
class _Job:
    path: Path
    payload: bytes = b""
    future: Future[None] | None = None
    tries: int = 0


@dataclass(slots=True)
class _Crew:
    """Worker processes that are begun when first wanted, and again when one was killed."""

    kernel: Kernel
    workers: int
    pool: ProcessPoolExecutor | None = None
    waiting: deque[_Job] = field(default_factory=deque)

    def submit(self, job: _Job) -> None:
        """Hand over one job. A pool that lost a worker since it was last looked at takes none."""
        while job.future is None:
            if self.pool is None:
                self.pool = ProcessPoolExecutor(
                    self.workers, get_context("spawn"), _begin, (self.kernel,)
                )
            job.tries += 1
            try:
                job.future = self.pool.submit(_work, job.payload, job.path)
            except BrokenProcessPool as error:
                self._lost(job, error)

    def finish(self, job: _Job) -> None:
        """Wait for one job. Where a worker was killed, those under way are done again, each
        alone, so that the one that kills is known.
        """
        while job.payload:
            if job.future is None:
                self.submit(job)
            try:
                if job.future is not None:
                    job.future.result()
                job.future, job.payload = None, b""
            except BrokenProcessPool as error:
                self._lost(job, error)

    def _lost(self, first: _Job, error: BrokenProcessPool) -> None:
        """Begin anew without the pool that lost a worker; what was under way is done again."""
        if first.tries >= MAX_TRIES:
            raise _killed(first.path) from error
        self.close()
        for job in (first, *self.waiting):
            job.future = None
            if job.path.exists():
                job.payload = b""

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)
            self.pool = None


def _killed(path: Path) -> ResourceError:
    return ResourceError(
        "A worker process was killed, three times on the same batch.", where=path,
        found="most often the system's answer when memory runs out",
        fix="set `machine.workers` lower (1 needs the least memory) and run the same command again",
    )  # fmt: skip


def run_batches(
    batches: Iterable[pa.RecordBatch], kernel: Kernel, folder: Path, workers: int
) -> Iterator[Path]:
    """Take batches through the kernel, a few at once, into ``part-00000.parquet`` and so on.

    Args:
        batches: in order; no more than the workers need are held.
        kernel: can be pickled, and gives the same for the same.
        folder: of the parts; those that are there are taken as they are.
        workers: processes; with one, all is done in this one.

    Yields:
        The parts' paths, in order, each when it is there.

    Raises:
        ResourceError: when workers are killed over and over.
    """
    folder.mkdir(parents=True, exist_ok=True)
    crew = _Crew(kernel, workers)
    try:
        for number, batch in enumerate(batches):
            job = _Job(folder / f"part-{number:05d}.parquet")
            if job.path.exists():
                pass
            elif workers <= 1:
                write_part(kernel(batch), job.path)
            else:
                job.payload = as_bytes(batch)
                crew.submit(job)
            crew.waiting.append(job)
            while len(crew.waiting) > workers + 1:
                yield _next(crew)
        while crew.waiting:
            yield _next(crew)
    finally:
        crew.close()


def _next(crew: _Crew) -> Path:
    job = crew.waiting.popleft()
    crew.finish(job)
    return job.path


def as_bytes(batch: pa.RecordBatch) -> bytes:
    """One batch as it travels between processes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def from_bytes(payload: bytes) -> pa.RecordBatch:
    """The batch that ``as_bytes`` wrote."""
    return pa.ipc.open_stream(payload).read_next_batch()
