"""Blocks of rows: the same files and counts as row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.core.errors import ArtifactError
from hanhua.tokens import rows_writer
from hanhua.tokens.row import as_block, n_targets
from hanhua.tokens.rows import PackedRows, Row, RowsWriter

LENGTH = 16


def make_rows(seed, n, has_targets):
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        lengths = rng.integers(1, 6, rng.integers(1, 4))
        tokens = rng.integers(0, 90, lengths.sum())
        targets = rng.random(len(tokens)) < 0.5 if has_targets else None
        rows.append(Row(tokens, targets, lengths, ("en", "zh")[rng.integers(2)]))
    return rows


def content(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


@settings(max_examples=25)
@given(st.integers(0, 999), st.lists(st.integers(1, 9), min_size=1, max_size=4), st.booleans())
def test_blocks_give_the_same_files_as_single_rows(tmp_path_factory, seed, sizes, has_targets):
    folder = tmp_path_factory.mktemp("rows")
    rows = make_rows(seed, sum(sizes), has_targets)
    for name in ("one", "blocks"):
        writer = RowsWriter(folder / name, LENGTH, 100, ["en", "zh"], has_targets=has_targets)
        at = 0
        for size in sizes:
            part, at = rows[at : at + size], at + size
            if name == "one":
                for row in part:
                    writer.add(row)
            else:
                writer.add(part[0])  # both ways in one file
                if part[1:]:
                    writer.add_block(as_block(part[1:], LENGTH, writer.dtype, writer.languages))
        writer.close()
    assert content(folder / "one") == content(folder / "blocks")
    found = PackedRows.open(folder / "blocks")
    for language, count in found.meta["counts_by_language"].items():
        mine = [row for row in rows if row.language == language]
        assert count == {
            "rows": len(mine), "segments": sum(len(row.lengths) for row in mine),
            "tokens": sum(len(row.tokens) for row in mine),
            "targets": sum(map(n_targets, mine)),
        }  # fmt: skip


def test_rows_are_written_before_all_are_there(tmp_path, monkeypatch):
    monkeypatch.setattr(rows_writer, "WAITING_TOKENS", 4 * LENGTH)
    writer = RowsWriter(tmp_path, LENGTH, 100, ["en", "zh"])
    for row in make_rows(1, 10, False):
        writer.add(row)
    assert writer.n_rows == 8
    writer.close()
    assert len(PackedRows.open(tmp_path)) == 10


def test_a_block_that_does_not_fit_is_refused(tmp_path):
    writer = RowsWriter(tmp_path, LENGTH, 100, ["en"])
    block = as_block([Row(np.arange(18), None, np.array([18]), "en")], 20, "<u2", ["en"])
    with pytest.raises(ValueError, match="row of 18 tokens"):
        writer.add_block(block)
    writer.let_go()


@pytest.mark.parametrize("name", ["segments.bin", "row_segments.bin", "row_languages.bin"])
def test_a_table_that_is_cut_off_is_an_artifact_error(tmp_path, name):
    writer = RowsWriter(tmp_path, LENGTH, 100, ["en", "zh"])
    for row in make_rows(2, 10, False):
        writer.add(row)
    writer.close()
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match="isn't whole"):
        PackedRows.open(tmp_path)
