"""Batches through the kernel on a cluster: Daft, on Ray or in one process.

The kernels are those of pool.py and know nothing of this. Each batch travels as one value, so no
engine can cut it differently, and what comes back is written to the same files: the corpus is
the same, byte for byte. Reading, the search for copies and writing stay with the driver. The second
kernel reads the parts of the first, so the run's folder must be on a disk that all machines share.

Ray does a batch again elsewhere when its worker is lost. Daft and Ray are the extra ``cluster``.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from hanhua.core.errors import DependencyError
from hanhua.text.pool import Kernel, as_bytes, from_bytes, write_part

BATCHES_AT_ONCE = 16
"""Batches under way for each worker; the driver holds so many."""


class Remote:
    """The kernel on a worker: unpickled once, then called for each batch."""

    def __init__(self, kernel: bytes) -> None:
        self._kernel: Kernel = pickle.loads(kernel)

    def __call__(self, payload: bytes) -> bytes:
        """One batch, as bytes both ways."""
        return as_bytes(self._kernel(from_bytes(payload)))


@cache
def _daft(address: str) -> Any:
    """Daft, told where to run, which a process can do once.

    Raises:
        DependencyError: when it is not installed.
    """
    try:
        import daft  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise DependencyError(
            "A cluster is asked for, but Daft is not installed.", where="machine.cluster",
            fix='pip install "hanhua[cluster]"',
        ) from error  # fmt: skip
    if address == "native":
        daft.set_runner_native()
    else:
        daft.set_runner_ray(address=None if address == "local" else address)
    return daft


def run_on_cluster(
    batches: Iterable[pa.RecordBatch], kernel: Kernel, folder: Path, workers: int, address: str
) -> Iterator[Path]:
    """Take batches through the kernel on a cluster, into ``part-00000.parquet`` and so on.

    Args:
        batches: in order.
        kernel: can be pickled; the workers need hanhua installed.
        folder: of the parts, on the driver; those that are there are taken as they are.
        workers: how many on the cluster.
        address: of the Ray cluster; "local" begins one here, "native" is Daft without Ray.

    Yields:
        The parts' paths, in order.

    Raises:
        DependencyError: when Daft is not installed.
    """
    daft = _daft(address)
    folder.mkdir(parents=True, exist_ok=True)
    remote = daft.cls(Remote, max_concurrency=workers)(pickle.dumps(kernel))
    numbered = enumerate(batches)
    while several := list(itertools.islice(numbered, BATCHES_AT_ONCE * workers)):
        paths = [folder / f"part-{number:05d}.parquet" for number, _ in several]
        todo = [(n, batch) for n, batch in several if not paths[n - several[0][0]].exists()]
        for number, payload in _through(daft, remote, todo):
            write_part(from_bytes(payload), paths[number - several[0][0]])
        yield from paths


def _through(
    daft: Any, remote: Any, batches: list[tuple[int, pa.RecordBatch]]
) -> Iterator[tuple[int, bytes]]:
    """(number, payload) of each batch, in the order in which they are done."""
    if not batches:
        return
    frame = daft.from_pydict({
        "number": [number for number, _ in batches],
        "payload": [as_bytes(batch) for _, batch in batches],
    }).into_partitions(len(batches))  # fmt: skip
    column = daft.col("payload")
    for row in frame.with_column("payload", remote(column)).iter_rows():
        yield int(row["number"]), bytes(row["payload"])
