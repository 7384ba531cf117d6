"""A worker that is killed between two batches, when the next is handed over."""

from __future__ import annotations

import multiprocessing
import time

import pyarrow as pa
import pyarrow.parquet as pq

from hanhua.text.pool import run_batches


def same(batch):
    """A kernel that changes nothing."""
    return batch


def numbers(n):
    return pa.RecordBatch.from_pydict({"n": list(range(n))})


def test_a_batch_that_a_broken_pool_refuses_is_done_by_the_next(tmp_path):
    killed = []

    def batches():
        yield numbers(1)
        yield numbers(2)
        for worker in multiprocessing.active_children():
            worker.kill()  # the pool may have ended it already, as it lost another
            killed.append(worker)
        time.sleep(0.5)  # until the pool knows
        yield numbers(3)

    paths = list(run_batches(batches(), same, tmp_path, workers=2))
    assert [pq.read_table(path).num_rows for path in paths] == [1, 2, 3]
    assert killed
