"""The seeded order: all things once, another for each seed, and no place preferred."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.tokens.permutation import FEW, Permutation


@settings(max_examples=60)
@given(st.integers(1, 20_000), st.integers(0, 2**31), st.integers(0, 5))
def test_every_thing_has_one_place(n, seed, epoch):
    order = Permutation.seeded(n, seed, "pass", epoch)
    found = order.all()
    assert np.array_equal(np.sort(found), np.arange(n))
    some = np.random.default_rng(seed).integers(0, n, 10)
    assert order(some).tolist() == found[some].tolist()  # any part, without the rest


@pytest.mark.parametrize("n", [FEW, FEW + 1, 1 << 12, (1 << 12) + 1])
def test_orders_differ_by_seed_and_purpose(n):
    orders = [("a", 0), ("a", 1), ("b", 0)]
    found = {tuple(Permutation.seeded(n, 3, *names).all().tolist()) for names in orders}
    found.add(tuple(Permutation.seeded(n, 4, "a", 0).all().tolist()))
    assert len(found) == 4
    assert (
        Permutation.seeded(n, 3, "a").all().tolist() == Permutation.seeded(n, 3, "a").all().tolist()
    )


def test_large_orders_are_computed_where_they_are_asked():
    n = 10**12
    order = Permutation.seeded(n, 1, "pass", 1)
    places = np.arange(n - 20_000, n)
    found = order(places)
    assert len(np.unique(found)) == len(places)
    assert 0 <= found.min()
    assert found.max() < n
    # spread over the range like a fair draw, and no trace of the order of the places
    counts = np.bincount(found * 20 // n, minlength=20)
    assert ((counts - 1000) ** 2 / 1000).sum() < 50  # 19 degrees of freedom: once in 7,000
    assert abs(np.corrcoef(places, found)[0, 1]) < 0.04
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 0.04


@pytest.mark.parametrize("n", [5, 1500])
def test_the_first_place_falls_to_all_alike(n):
    first = [int(Permutation.seeded(n, seed, "x")(np.zeros(1, int))[0]) for seed in range(3000)]
    counts = np.bincount(np.array(first) * 5 // n, minlength=5)
    assert ((counts - 600) ** 2 / 600).sum() < 25  # 4 degrees of freedom: once in 20,000
