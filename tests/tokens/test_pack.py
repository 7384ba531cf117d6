"""Packing: every token once, no row too full, next to no padding."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.tokens.pack import Packed, best_fit, cut, pack, padding


def spread(rows):
    """How often each (document, token) stands in the rows."""
    return Counter(
        (piece.document, at)
        for row in rows
        for piece in row
        for at in range(piece.start, piece.start + piece.length)
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(1, 90), min_size=1, max_size=120),
    st.integers(8, 40),
)
def test_every_token_is_in_exactly_one_row(lengths, seq_len_tokens):
    rows = pack(np.array(lengths), seq_len_tokens)
    seen = spread(rows)
    assert seen == {(d, i): 1 for d, n in enumerate(lengths) for i in range(n)}
    assert all(0 < sum(p.length for p in row) <= seq_len_tokens for row in rows)
    # padding never passes half a percent by more than the last rows
    size = len(rows) * seq_len_tokens
    assert padding(rows, seq_len_tokens) <= max(0.005 * size, 2 * seq_len_tokens)


def test_long_documents_are_cut_and_short_ones_stay_whole():
    rng = np.random.default_rng(1)
    lengths = np.concatenate([rng.integers(600, 5000, 40), rng.integers(2, 300, 2000)])
    rows = pack(lengths, 512)
    pieces = Counter(piece.document for row in rows for piece in row)
    assert all(pieces[d] >= 2 for d in range(40))
    assert sum(pieces[d] > 1 for d in range(40, 2040)) == 0
    assert padding(rows, 512) < 0.005 * len(rows) * 512


def test_documents_of_awkward_length_are_laid_end_to_end():
    rows = pack(np.full(1000, 300), 512)  # two never fit into a row
    assert padding(rows, 512) < 0.005 * len(rows) * 512
    assert sum(spread(rows).values()) == 300_000


@pytest.mark.parametrize("seq_len_tokens", [512, 4096])
def test_a_hundred_thousand_documents(seq_len_tokens):
    lengths = np.random.default_rng(3).lognormal(4.6, 1.0, 100_000).astype(np.int64) + 2
    rows = pack(lengths, seq_len_tokens)
    assert sum(p.length for row in rows for p in row) == int(lengths.sum())
    assert padding(rows, seq_len_tokens) < 0.005 * len(rows) * seq_len_tokens


def best_fit_one_by_one(lengths, seq_len_tokens):
    """Best-fit decreasing as the books have it: the tokens of each row."""
    rows = []
    for length in sorted(lengths, reverse=True):
        fitting = [i for i, used in enumerate(rows) if used + length <= seq_len_tokens]
        if fitting:
            rows[max(fitting, key=lambda i: rows[i])] += length
        else:
            rows.append(length)
    return rows


@settings(max_examples=150)
@given(st.lists(st.integers(1, 40), max_size=150), st.integers(8, 40))
def test_it_is_best_fit_exactly(lengths, seq_len_tokens):
    pieces = cut(np.array(lengths, np.int64), seq_len_tokens)
    rows = best_fit(pieces, seq_len_tokens)
    expected = best_fit_one_by_one(pieces.length.tolist(), seq_len_tokens)
    assert sorted(rows.row_tokens().tolist()) == sorted(expected)
    assert all(row == sorted(row, key=lambda piece: -piece.length) for row in rows)


def test_the_same_lengths_give_the_same_rows():
    lengths = np.random.default_rng(5).integers(1, 700, 5000)
    assert list(pack(lengths, 512)) == list(pack(lengths, 512))


def test_rows_are_a_sequence_that_can_be_taken_from():
    rows = pack(np.array([5, 9, 3, 8, 8]), 8)
    assert isinstance(rows, Packed)
    assert rows[-1] == rows[len(rows) - 1]
    assert rows[:2] == [rows[0], rows[1]]
    with pytest.raises(IndexError):
        rows[len(rows)]
    order = np.array([2, 0])
    assert list(rows.take(order)) == [rows[2], rows[0]]


def test_nothing_and_documents_without_tokens():
    assert len(pack(np.zeros(0, np.int64), 8)) == 0
    assert spread(pack(np.array([0, 3, 0]), 8)) == {(1, i): 1 for i in range(3)}
