"""Text rows among chat rows: all of the chat, the asked share, spread evenly."""

from __future__ import annotations

import numpy as np
import pytest

from hanhua.tokens.rehearsal import add_rehearsal
from hanhua.tokens.rows import PackedRows, Row, RowsWriter, n_targets


def write(path, rows, languages, length, has_targets):
    writer = RowsWriter(path, length, 1000, languages, has_targets=has_targets)
    for row in rows:
        writer.add(row)
    writer.close()
    return PackedRows.open(path)


@pytest.fixture
def chat(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(40):
        n = int(rng.integers(10, 33))
        mask = rng.random(n) < 0.5
        rows.append(Row(np.full(n, i), mask, np.array([n - 5, 5]), "zh"))
    return write(tmp_path / "chat", rows, ["zh"], 32, True)


@pytest.fixture
def text(tmp_path):
    rows = [
        Row(np.full(64, 100 + i), None, np.array([64]), ("en", "zh")[i % 2]) for i in range(200)
    ]
    return write(tmp_path / "text", rows, ["en", "zh"], 64, False)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_share_of_predicted_tokens_is_as_asked(chat, text, tmp_path, share):
    meta = add_rehearsal(chat, text, tmp_path / "out", share=share, seed=3)
    rows = PackedRows.open(tmp_path / "out")
    found = [rows.row(i) for i in range(len(rows))]
    by_kind = [
        sum(n_targets(r) for r in found if (r.tokens[0] >= 100) == kind) for kind in (False, True)
    ]
    assert by_kind[1] / sum(by_kind) == pytest.approx(share, abs=0.05)
    assert meta["rehearsal"]["counted"] == pytest.approx(by_kind[1] / sum(by_kind), abs=1e-6)
    assert [r.tokens[0] for r in found if r.tokens[0] < 100] == list(range(40))  # all, in order
    for row in found:
        if row.tokens[0] < 100:
            assert np.array_equal(row.targets, chat.row(int(row.tokens[0])).targets)
    taken = [int(r.tokens[0]) for r in found if r.tokens[0] >= 100]
    assert len(set(taken)) == len(taken) == meta["rehearsal"]["rows"] > 0
    halves = [sum(r.tokens[0] >= 100 for r in half) for half in (found[: len(found) // 2],
              found[len(found) // 2 :])]  # fmt: skip
    assert abs(halves[0] - halves[1]) <= 2


def test_too_little_text_is_taken_whole_and_said(chat, text, tmp_path):
    meta = add_rehearsal(chat, text, tmp_path / "out", share=0.99, seed=3)
    assert meta["rehearsal"]["rows"] == len(text)
    assert meta["rehearsal"]["counted"] < 0.99


def test_no_share_is_the_chat_alone(chat, text, tmp_path):
    meta = add_rehearsal(chat, text, tmp_path / "out", share=0.0, seed=3)
    assert (meta["n_rows"], meta["rehearsal"]["rows"]) == (len(chat), 0)


@pytest.mark.parametrize("length", [128, 200])
def test_short_rows_of_text_go_end_to_end(text, tmp_path, length):
    talk = Row(np.full(length, 7), np.ones(length, np.bool_), np.array([length]), "zh")
    chat = write(tmp_path / "chat", [talk] * 20, ["zh"], length, True)
    add_rehearsal(chat, text, tmp_path / "out", share=0.5, seed=3)
    rows = PackedRows.open(tmp_path / "out")
    found = [row for row in map(rows.row, range(len(rows))) if row.tokens[0] >= 100]
    room = length // 64
    full = [row for row in found if len(row.lengths) == room]
    assert len(full) >= len(found) - 2  # at most one of each language has room left
    for row in found:
        assert row.lengths.tolist() == [64] * len(row.lengths)
        assert len({int(t) % 2 for t in row.tokens}) == 1  # of one language, as text has them
        assert ("en", "zh")[int(row.tokens[0]) % 2] == row.language
    taken = np.concatenate([row.tokens[::64] for row in found])
    assert len(set(taken.tolist())) == len(taken)
    assert rows.meta["rehearsal"]["counted"] == pytest.approx(0.5, abs=0.05)
