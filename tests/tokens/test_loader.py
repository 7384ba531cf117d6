"""Rows on disk and the batches read from them."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from hanhua.core.errors import ArtifactError
from hanhua.core.progress import Silent
from hanhua.text.shards import read_language
from hanhua.tokens.build import build_rows
from hanhua.tokens.config import TokensConfig
from hanhua.tokens.encode import encode_documents
from hanhua.tokens.loader import Batch, LoaderState, read_batch
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


@pytest.fixture(scope="module")
def built(tokenizer, corpus, tmp_path_factory):
    """The whole small corpus packed once, and its documents' ids."""
    texts = {name: [d.text for d in read_language(corpus, name)] for name in ("en", "zh")}
    documents = {name: list(encode_documents(tokenizer, found)) for name, found in texts.items()}
    sizes = {name: sum(map(len, found)) for name, found in documents.items()}
    total = sum(sizes.values())
    section = TokensConfig(
        seq_len_tokens=256, budget_tokens=total, max_epochs=1.01, tolerance=0.02,
        shares={"en": sizes["en"] / total, "zh": 1 - sizes["en"] / total},
    )  # fmt: skip
    out = tmp_path_factory.mktemp("built") / "rows"
    build_rows(tokenizer, 400, corpus, section, out, seed=5, progress=Silent())
    return PackedRows.open(out), documents


def read_pass(rows, epoch, n_rows, seed=3):
    """The rows of one pass, in batches of some size."""
    state, found = LoaderState(epoch), []
    while state.epoch == epoch:
        n = min(n_rows, len(rows) - state.row)
        batch, state = read_batch(rows, state, n, seed)
        found += batch.rows
    return found


def put_together(document, pieces):
    """Take a document out of the pieces, whole or in parts; whether that went."""
    while document:
        starts = [n for n in range(len(document), 0, -2) if pieces[document[:n]]]
        if not starts:
            return False
        pieces[document[: starts[0]]] -= 1
        document = document[starts[0] :]
    return True


def test_every_document_token_is_read_once_a_pass(built):
    rows, documents = built
    ids = [x.astype(rows.tokens.dtype) for found in documents.values() for x in found]
    for epoch in range(3):
        found = read_pass(rows, epoch, 7)
        assert len(found) == len(rows)
        pieces = Counter()
        for row in found:
            ends = np.cumsum(row.lengths)[:-1]
            pieces.update(part.tobytes() for part in np.split(row.tokens, ends))
        whole = sum((pieces & Counter(x.tobytes() for x in ids)).values())
        assert all(put_together(x.tobytes(), pieces) for x in sorted(ids, key=len))
        assert pieces.total() == 0  # and there was nothing else
        assert 100 < whole < len(ids)  # both whole documents and cut ones occurred


@pytest.mark.parametrize("epoch", [0, 2])
def test_no_split_and_no_number_of_ranks_changes_the_order(built, epoch):
    rows, _ = built
    expected = [row.tokens.tolist() for row in read_pass(rows, epoch, len(rows))]
    splits = 0
    for batch_rows, ranks, micro_tokens in [(1, 1, 64), (5, 2, 100), (8, 3, 1), (12, 8, 10**6)]:
        state, found = LoaderState(epoch), []
        while state.epoch == epoch:
            n = min(batch_rows, len(rows) - state.row)
            batches = []
            for _ in range(ranks):  # each rank reads for itself
                batch, after = read_batch(rows, state, n, seed=3)
                batches.append(batch)
            for rank, batch in enumerate(batches):
                mine = Batch(batch.rows[n * rank // ranks : n * (rank + 1) // ranks])
                parts = list(mine.micro_batches(micro_tokens))
                found += [row.tokens.tolist() for part in parts for row in part.rows]
                splits += len(parts) > 1
            state = after
        assert found == expected
    assert splits > 0


def test_passes_are_read_in_other_orders(built):
    rows, _ = built
    orders = {tuple(bytes(row.tokens) for row in read_pass(rows, epoch, 9)) for epoch in range(4)}
    assert len(orders) == 4
    one, other = (read_pass(rows, 1, 9, seed=seed) for seed in (3, 4))
    assert [bytes(r.tokens) for r in one] != [bytes(r.tokens) for r in other]


def test_rows_beyond_four_gigabytes_are_found_at_once(tmp_path):
    """A folder of 3 billion tokens that takes no room: files with holes."""
    n_rows, length = 750_000, 4096
    meta = {
        "n_rows": n_rows, "seq_len_tokens": length, "dtype": "<u2", "has_targets": False,
        "languages": ["zh"], "tokens_by_language": {"zh": n_rows * length},
    }  # fmt: skip
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    for name, size in (("tokens", 2 * length), ("segments", 4), ("row_languages", 1)):
        with (tmp_path / f"{name}.bin").open("wb") as file:
            file.truncate(size * n_rows)
    np.arange(n_rows + 1, dtype="<i8").tofile(tmp_path / "row_segments.bin")
    with (tmp_path / "segments.bin").open("r+b") as file:
        file.seek(4 * (n_rows - 1))
        file.write(np.array([3], "<i4").tobytes())
    with (tmp_path / "tokens.bin").open("r+b") as file:
        file.seek(2 * length * (n_rows - 1))
        file.write(np.array([7, 8, 9], "<u2").tobytes())
    tracemalloc.start()
    rows = PackedRows.open(tmp_path)
    batch, state = read_batch(rows, LoaderState(0, n_rows - 1), 1, seed=1)
    read_batch(rows, LoaderState(3, n_rows - 9), 9, seed=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert batch.rows[0].tokens.tolist() == [7, 8, 9]
    assert state == LoaderState(1, 0)
    assert peak < n_rows  # less than a byte a row
