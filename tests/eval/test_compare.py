from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanhua.eval import compare


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_tail(gained: int, lost: int) -> None:
    n = gained + lost
    tail = sum(math.comb(n, k) for k in range(min(gained, lost) + 1)) / 2**n
    assert compare.mcnemar(gained, lost) == pytest.approx(min(1.0, 2 * tail))
    assert compare.mcnemar(gained, lost) == compare.mcnemar(lost, gained)


def test_mcnemar_of_many_items_does_not_overflow() -> None:
    assert compare.mcnemar(5000, 5000) == pytest.approx(1.0)
    assert 0 <= compare.mcnemar(9000, 5000) < 1e-200


@given(st.integers(1, 400), st.data())
def test_wilson_holds_the_share(n: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, n))
    found = compare.proportion(right, n)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1
    assert found.high - found.low > 0


def test_intervals_are_seeded_and_cover() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for trial in range(200):
        sizes = rng.integers(50, 400, 80).astype(float)
        bits = sizes * rng.normal(2.0, 0.5, 80)
        found = compare.ratio(list(bits), list(sizes), seed=trial, draws=400)
        hits += found.low <= 2.0 <= found.high
    assert 180 <= hits <= 199  # 95 % of 200, a small sample's bootstrap runs a little short
    again = compare.ratio(list(bits), list(sizes), seed=trial, draws=400)
    assert again == found


def test_paired_difference_is_found_where_unpaired_noise_hides_it() -> None:
    rng = np.random.default_rng(4)
    sizes = rng.integers(50, 400, 60).astype(float)
    old = sizes * rng.normal(3.0, 1.0, 60)
    new = old - sizes * rng.normal(0.05, 0.02, 60)
    found = compare.paired_ratios(list(new), list(old), list(sizes), seed=1)
    assert found.low < -0.05 < found.high < 0
    assert found.p < 0.01
    assert found.n == 60
    noise = compare.paired_ratios(
        list(old + sizes * rng.normal(0, 0.05, 60)), list(old), list(sizes), seed=1
    )
    assert noise.low < 0 < noise.high
    assert noise.p > 0.05


def test_paired_accuracy() -> None:
    old = [True] * 50 + [False] * 50
    new = [True] * 48 + [False] * 2 + [True] * 20 + [False] * 30
    change, gained, lost = compare.paired_accuracy(new, old, seed=1)
    assert (change.value, gained, lost, change.n) == (pytest.approx(0.18), 20, 2, 100)
    assert 0 < change.low < 0.18 < change.high
    assert change.p == compare.mcnemar(20, 2) < 0.001
    same, *_ = compare.paired_accuracy(old, old, seed=1)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_one_item_has_no_spread() -> None:
    assert compare.ratio([3.0], [2.0], 1) == compare.Interval(1.5, 1.5, 1.5)
    assert compare.standard_error(1, 1) == 0
    assert compare.standard_error(50, 100) == pytest.approx(0.0502519)
    assert compare.paired_ratios([2.0], [1.0], [4.0], 1).p == 1
