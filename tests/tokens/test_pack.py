"""Packing: every token once, no row too full, next to no padding."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.tokens.pack import pack, padding


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
