"""Rows read by language in shares that change on the way."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanhua.core.errors import MixtureError
from hanhua.tokens.mixed import MixedRows, MixedState
from hanhua.tokens.rows import PackedRows, Row, RowsWriter

ROOM = 16


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """60 rows of en, 30 of zh, 10 of fr, each with its number as its tokens."""
    folder = tmp_path_factory.mktemp("rows")
    writer = RowsWriter(folder / "rows", ROOM, 200, ["en", "fr", "zh"])
    for i in range(100):
        n = ROOM - i % 3
        language = "fr" if i % 10 == 0 else ("zh" if i % 10 < 4 else "en")
        writer.add(Row(np.full(n, i), None, np.array([n], np.int32), language))
    writer.close()
    return PackedRows.open(folder / "rows")


def read(mixed, steps, shares, state=None):
    """Batches of five rows."""
    found, state = [], state or MixedState()
    for _ in range(steps):
        batch, state = mixed.read(state, 5, shares)
        found += batch.rows
    return found, state


@given(st.floats(0.05, 0.85), st.integers(1, 20))
def test_any_stretch_holds_its_shares_to_a_row(rows, zh, steps):
    shares = {"zh": zh, "fr": 0.1, "en": 0.9 - zh}
    found, state = read(MixedRows(rows, 1, 9.0), steps, shares)
    for n in range(1, len(found) + 1):
        total = sum(len(row.tokens) for row in found[:n])
        for name, share in shares.items():
            own = sum(len(row.tokens) for row in found[:n] if row.language == name)
            assert abs(own - share * total) <= 2 * ROOM
    assert sum(state.tokens.values()) == total


@given(st.floats(0.3, 0.6), st.floats(0.3, 0.6), st.integers(1, 8))
def test_the_order_is_a_function_of_the_state(rows, before, after, steps):
    """Read again from a state that went through JSON; the share changes on the way."""
    first, second = ({"zh": part, "en": 1 - part} for part in (before, after))
    mixed = MixedRows(rows, 1, 9.0)
    _, state = read(mixed, steps, first)
    again = json.loads(json.dumps(asdict(state)))
    one, end = read(mixed, 4, second, state)
    other, same = read(MixedRows(rows, 1, 9.0), 4, second, MixedState(**again))
    assert [row.tokens.tolist() for row in one] == [row.tokens.tolist() for row in other]
    assert asdict(end) == asdict(same)


def test_every_row_once_a_pass_and_another_order_in_each(rows):
    found, _ = read(MixedRows(rows, 1, 3.0), 18, {"zh": 1.0})
    places = [int(row.tokens[0]) for row in found]
    passes = [places[:30], places[30:60], places[60:]]
    assert all(sorted(one) == sorted(passes[0]) for one in passes)
    assert passes[0] == sorted(passes[0])  # as they were written
    assert len({tuple(one) for one in passes}) == 3


def test_a_language_that_ran_dry_leaves_its_place_to_the_others(rows):
    mixed = MixedRows(rows, 1, 1.0)
    found, state = read(mixed, 18, {"zh": 0.5, "en": 0.5})
    counts = Counter(row.language for row in found)
    assert counts == {"zh": 30, "en": 60}
    assert {row.language for row in found[-25:]} == {"en"}
    rest, state = read(mixed, 2, {"zh": 0.5, "en": 0.5}, state)
    assert {row.language for row in rest} == {"fr"}  # better than nothing
    with pytest.raises(MixtureError, match="as often as they may be") as error:
        mixed.read(state, 1, {"zh": 0.5, "en": 0.5})
    assert "max_passes" in error.value.message
