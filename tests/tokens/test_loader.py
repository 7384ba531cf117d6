"""Rows on disk and the batches read from them."""

from __future__ import annotations

import numpy as np
import pytest

from hanhua.core.errors import ArtifactError
from hanhua.tokens.loader import LoaderState, read_batch
from hanhua.tokens.rows import PackedRows, Row, RowsWriter, n_targets


@pytest.fixture
def rows(tmp_path):
    writer = RowsWriter(tmp_path / "rows", 8, 70_000, ["en", "zh"], has_targets=True)
    for i in range(10):
        lengths = np.array([3, 2 + i % 3], np.int32)
        tokens = np.full(lengths.sum(), 65_000 + i, np.uint32)
        targets = np.arange(len(tokens)) % 2 == 1
        writer.add(Row(tokens, targets, lengths, "zh" if i % 2 else "en"))
    writer.close()
    return PackedRows.open(tmp_path / "rows")


def test_rows_come_back_as_written(rows):
    assert len(rows) == 10
    assert rows.tokens.dtype == np.uint32
    row = rows.row(4)
    assert row.tokens.tolist() == [65_004] * 6
    assert row.lengths.tolist() == [3, 3]
    assert row.targets.tolist() == [False, True] * 3
    assert rows.row(5).language == "zh"
    assert rows.n_tokens == sum(len(rows.row(i).tokens) for i in range(10))
    counts = rows.meta["counts_by_language"]
    assert counts["en"]["targets"] == sum(n_targets(rows.row(i)) for i in range(0, 10, 2))


def test_small_vocabularies_take_two_bytes(tmp_path):
    writer = RowsWriter(tmp_path, 8, 32_000, ["en"])
    writer.add(Row(np.array([1, 31_999]), None, np.array([2], np.int32), "en"))
    with pytest.raises(ValueError, match="id 32000 >= vocabulary 32000"):
        writer.add(Row(np.array([32_000]), None, np.array([1], np.int32), "en"))
    with pytest.raises(ValueError, match="row of 9 tokens"):
        writer.add(Row(np.zeros(9, int), None, np.array([9], np.int32), "en"))
    writer.close()
    assert (tmp_path / "tokens.bin").stat().st_size == 16


def test_a_broken_folder_is_an_artifact_error(rows):
    (rows.path / "tokens.bin").write_bytes(b"\0" * 10)
    with pytest.raises(ArtifactError, match="isn't whole"):
        PackedRows.open(rows.path)


def test_the_order_does_not_depend_on_how_it_is_read(rows):
    def read(sizes):
        state, found = LoaderState(), []
        for n in sizes:
            batch, state = read_batch(rows, state, n, seed=3)
            found += [int(row.tokens[0]) for row in batch.rows]
        return found, state

    one, state = read([25])
    many, same = read([1, 7, 2, 10, 5])
    assert one == many
    assert state == same == LoaderState(epoch=2, row=5)
    first, second = one[:10], one[10:20]
    assert first == [65_000 + i for i in range(10)]  # as written
    assert sorted(second) == first != second  # all of it again, in another order


def test_seeking_is_arithmetic(rows):
    whole, _ = read_batch(rows, LoaderState(), 30, seed=3)
    part, _ = read_batch(rows, LoaderState(epoch=1, row=4), 3, seed=3)
    assert [r.tokens[0] for r in part.rows] == [r.tokens[0] for r in whole.rows[14:17]]


def test_micro_batches_keep_order_and_size(rows):
    batch, _ = read_batch(rows, LoaderState(), 10, seed=3)
    parts = list(batch.micro_batches(12))
    assert [r.tokens[0] for p in parts for r in p.rows] == [r.tokens[0] for r in batch.rows]
    assert all(part.n_tokens <= 12 for part in parts)
    assert len(list(batch.micro_batches(1))) == 10  # a row is never cut
