"""Curves that cross where they were made to, and laws that are trusted only where they hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.mix.curves import FAR, ahead, fit_power, last_crossing, overtaking, tokens_to_reach

LENGTHS = 2.0 ** np.arange(12, 18)
gaps = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=6)


def power(floor, height, falls):
    return floor + height * (LENGTHS / LENGTHS[-1]) ** -falls


@settings(max_examples=40)
@given(st.floats(0.05, 4.9), st.floats(0.01, 2), st.floats(0.01, 2))
def test_lines_over_the_logarithm_cross_exactly_where_they_do(place, first, second):
    """Two lines in log tokens with another fall, through one point."""
    doublings = np.log2(LENGTHS / LENGTHS[0]) - place
    gap = -(first + second) * doublings
    assert last_crossing(LENGTHS, gap) == pytest.approx(LENGTHS[0] * 2**place, rel=1e-6)
    found = overtaking(LENGTHS, gap, np.zeros(6))
    assert found.kind == "within"
    assert found.sure
    assert found.low == pytest.approx(found.tokens) == found.high


@settings(max_examples=40)
@given(gaps, st.floats(0, 0.5))
def test_the_interval_holds_the_crossing_and_grows_with_the_gaps(gap, half):
    gap = np.array(gap)
    tokens, wide = LENGTHS[: len(gap)], np.full(len(gap), half)
    found, wider = overtaking(tokens, gap, wide), overtaking(tokens, gap, 2 * wide)
    assert (found.kind == "beyond") == (gap[-1] > 0)
    assert (found.kind == "within") == (gap[-1] <= 0 and bool((gap > 0).any()))
    if found.kind == "within":
        assert tokens[0] <= found.tokens <= tokens[-1]
        assert found.low is None or found.low <= found.tokens * (1 + 1e-9)
        assert found.high is None or found.high >= found.tokens * (1 - 1e-9)
    assert wider.kind == found.kind
    assert wider.sure <= found.sure
    if found.sure and found.kind == "beyond":
        assert found.low == tokens[-1]
    if found.sure and found.kind == "before":
        assert (gap <= wide).all()
        assert found.high == tokens[0]


@pytest.mark.parametrize(
    ("gap", "half", "kind", "sure"),
    [
        ([0.5, 0.2, 0.1], 0.05, "beyond", True),
        ([0.5, 0.2, 0.1], 0.2, "beyond", False),
        ([-0.1, -0.2, -0.3], 0.05, "before", True),
        ([-0.1, -0.2, -0.3], 0.2, "before", False),
        ([0.1, -0.1, -0.3], 0.05, "within", True),
        ([0.1, -0.1, -0.3], 0.2, "within", False),  # it may have been ahead from the start
        ([0.3, 0.1, -0.1], 0.2, "within", False),  # it may be behind at the end
        ([-0.3, 0.1, 0.3], 0.05, "beyond", True),  # it was ahead, and no longer is
        ([-0.3, 0.1, -0.3], 0.05, "within", True),  # the last of two ways down
    ],
)
def test_what_can_be_told(gap, half, kind, sure):
    found = overtaking(LENGTHS[:3], np.array(gap), np.full(3, half))
    assert (found.kind, found.sure) == (kind, sure)


@settings(max_examples=40)
@given(st.lists(st.floats(0.1, 5), min_size=2, max_size=6), st.floats(0.1, 5))
def test_the_tokens_to_reach_a_loss_are_the_first_on_the_curve(losses, loss):
    losses = np.array(losses)
    tokens = LENGTHS[: len(losses)]
    found = tokens_to_reach(tokens, losses, loss)
    assert (found is None) == bool((losses > loss).all())
    if found is None:
        return
    assert (losses[tokens < found * (1 - 1e-9)] > loss).all()
    there = np.interp(np.log(found), np.log(tokens), losses)
    if losses[0] > loss:
        assert there == pytest.approx(loss, rel=1e-6)
    else:
        assert found == tokens[0]


@settings(max_examples=40)
@given(st.floats(0.0, 2.0), st.floats(0.1, 2.0), st.floats(0.05, 0.8))
def test_a_power_law_is_found_again(floor, height, falls):
    losses = power(floor, height, falls)
    found = fit_power(LENGTHS, losses[None])
    assert found.at(LENGTHS)[0] == pytest.approx(losses, rel=5e-3)
    assert found.floor[0] >= 0
    assert found.height[0] >= 0


def crossing(first, second):
    far = LENGTHS[-1] * np.geomspace(1, FAR, 4000)

    def at(law):
        return law[0] + law[1] * (far / LENGTHS[-1]) ** -law[2]

    closed = far[at(second) <= at(first)]
    return closed[0] if len(closed) else None


def test_an_extrapolated_crossing_is_where_the_laws_cross():
    first, second = (1.2, 0.4, 0.3), (0.8, 1.0, 0.4)
    found = ahead(LENGTHS, power(*first), power(*second), 0.002)
    true = crossing(first, second)
    assert true is not None
    assert true > LENGTHS[-1]
    assert found.tokens == pytest.approx(true, rel=0.1)
    assert found.low <= found.tokens
    assert found.low < true
    assert found.high is None or found.high > true


def test_a_noisier_study_has_a_wider_interval():
    first, second = power(1.2, 0.4, 0.3), power(0.8, 1.0, 0.4)
    quiet, loud = (ahead(LENGTHS, first, second, s) for s in (0.0005, 0.01))
    assert quiet.high is not None
    assert loud.low < quiet.low < quiet.tokens < quiet.high
    assert loud.high is None or loud.high > quiet.high


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (power(1.0, 0.4, 0.3)[:3], power(0.8, 1.0, 0.4)[:3], "needs 4 lengths"),
        (np.array([2.0, 2.1, 2.2, 1.5, 1.4, 1.0]), power(1.5, 1.0, 0.4), "misses it by"),
        (power(1.0, 0.4, 0.3), power(1.1, 1.0, 0.4), "do not cross up to 16"),
    ],
)
def test_no_figure_where_a_law_does_not_support_one(first, second, why):
    found = ahead(LENGTHS[: len(first)], first, second, 0.0)
    assert found.tokens is None
    assert why in found.why


def test_replicates_are_those_of_the_seed():
    losses = power(1.2, 0.4, 0.3), power(0.8, 1.0, 0.4)
    assert ahead(LENGTHS, *losses, 0.01) == ahead(LENGTHS, *losses, 0.01)
    assert ahead(LENGTHS, *losses, 0.01) != ahead(LENGTHS, *losses, 0.01, seed=1)
