"""Laws of mixtures: what each must hold to, whatever its parameters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanhua.mix.laws import LAWS, named
from hanhua.mix.solve import solve

UNIT = st.floats(0.05, 0.95)


def parameters_of(law, places):
    low, high = np.array(law.low), np.array(law.high)
    return low + (high - low) * np.array(places[: len(low)])


@given(st.sampled_from(LAWS), st.lists(UNIT, min_size=7, max_size=7))
def test_more_of_a_language_never_raises_its_loss(law, places):
    losses = law.form(parameters_of(law, places)[:, None], np.linspace(0.02, 1, 30), np.array(0.7))
    falls = np.diff(losses) <= 1e-9 * np.abs(losses[1:])
    if law.name == "d_cpt":  # Its second term grows with the share, as published.
        assert np.isfinite(losses).all()
    else:
        assert falls.all()
    assert np.isfinite(losses).all()


@given(
    st.sampled_from(["anchored", "anchored_gain", "settling_gain"]),
    st.lists(UNIT, min_size=7, max_size=7), st.floats(0, 1),
)  # fmt: skip
def test_anchored_laws_begin_at_the_base(name, places, share):
    law = named(name)
    start = law.form(parameters_of(law, places), np.array(share), np.array(0.0))
    assert start == pytest.approx(1, abs=1e-12)


def test_parameters_broadcast():
    for law in LAWS:
        several = np.stack([parameters_of(law, [place] * 7) for place in (0.3, 0.6)], -1)
        shares, tokens = np.linspace(0.1, 0.9, 5), np.full(5, 0.5)
        together = law.form(several[:, :, None], shares, tokens)
        assert together.shape == (2, 5)
        for i in range(2):
            np.testing.assert_allclose(together[i], law.form(several[:, i], shares, tokens))


def test_solver_finds_parameters_again_and_stays_in_its_box():
    x = np.linspace(0, 1, 20)
    true = np.array([[1.0, 2.0], [0.5, 4.0]])
    targets = true[:, :1] * np.exp(-true[:, 1:] * x)

    def model(parameters):
        return parameters[0] * np.exp(-parameters[1] * x)

    found, cost = solve(
        model, (np.array([0.0, 0.0]), np.array([3.0, 3.0])), np.full((2, 2), 1.5), targets,
        weights=np.ones((2, 20)), scale=np.full(2, 0.1),
    )  # fmt: skip
    np.testing.assert_allclose(found[0], true[0], rtol=1e-4)
    assert found[1, 1] == pytest.approx(3.0)  # 4 lies outside: the bound is the best there is.
    assert cost[0] < 1e-8 < cost[1]


def test_far_off_points_hardly_move_the_fit():
    targets = np.ones((1, 20))
    targets[0, 3] = 50.0
    found, _ = solve(
        lambda parameters: parameters[0] * np.ones(20), (np.array([0.0]), np.array([60.0])),
        np.array([[30.0]]), targets, weights=np.ones((1, 20)), scale=np.array([0.01]),
    )  # fmt: skip
    assert found[0, 0] == pytest.approx(1.0, abs=0.01)
    assert targets.mean() > 3
