from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hanhua.core.errors import InputError, ResourceError
from hanhua.text.pool import run_batches


def batches(count):
    return [pa.RecordBatch.from_pydict({"n": [k, k + 100]}) for k in range(count)]


def double(batch):
    return pa.RecordBatch.from_pydict({"n": [2 * n for n in batch.column("n").to_pylist()]})


def dies(batch, *, where: Path, on: int, times: int):
    """Does its work, but is killed for a batch the first few times."""
    if batch.column("n")[0].as_py() == on:
        for go in range(times):
            mark = where / f"killed-{go}"
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
    return double(batch)


def refuses(batch):
    if batch.column("n")[0].as_py() == 3:
        raise InputError("No.", where="here", found=3, fix="do not")
    return double(batch)


def rows(paths):
    return [pq.read_table(path).column("n").to_pylist() for path in paths]


def as_files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


EXPECTED = [[2 * k, 2 * k + 200] for k in range(7)]


@pytest.mark.parametrize("workers", [1, 2])
def test_parts_come_in_order(tmp_path, workers):
    paths = list(run_batches(batches(7), double, tmp_path / "parts", workers))
    assert [path.name for path in paths] == [f"part-{n:05d}.parquet" for n in range(7)]
    assert rows(paths) == EXPECTED


def test_workers_do_not_change_the_bytes(tmp_path):
    for workers in (1, 3):
        list(run_batches(batches(5), double, tmp_path / str(workers), workers))
    assert as_files(tmp_path / "1") == as_files(tmp_path / "3")


def test_a_killed_worker_costs_its_batch_only(tmp_path):
    kernel = partial(dies, where=tmp_path, on=2, times=1)
    paths = list(run_batches(batches(7), kernel, tmp_path / "parts", 2))
    assert (tmp_path / "killed-0").exists()
    assert rows(paths) == EXPECTED
    assert len(list((tmp_path / "parts").iterdir())) == 7


def test_a_batch_that_always_kills_is_named(tmp_path):
    kernel = partial(dies, where=tmp_path, on=1, times=99)
    with pytest.raises(ResourceError, match=r"three times(.|\n)*part-00001") as caught:
        list(run_batches(batches(3), kernel, tmp_path / "parts", 2))
    assert "workers" in caught.value.message


def test_parts_that_are_there_are_not_made_again(tmp_path):
    folder = tmp_path / "parts"
    generator = run_batches(batches(7), double, folder, 1)
    for _ in range(3):
        next(generator)
    generator.close()
    done = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert 3 <= len(done) < 7
    time.sleep(0.01)
    assert rows(list(run_batches(batches(7), double, folder, 2))) == EXPECTED
    assert all((folder / name).stat().st_mtime_ns == stamp for name, stamp in done.items())


def test_an_error_of_the_kernel_comes_through(tmp_path):
    with pytest.raises(InputError, match="do not") as caught:
        list(run_batches(batches(7), refuses, tmp_path / "parts", 2))
    assert (caught.value.where, caught.value.found) == ("here", "3")
