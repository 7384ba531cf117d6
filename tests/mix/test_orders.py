"""Orders of the documents: their luck moves levels, and bends no law."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_study import BASE, LONGEST, made, truth

from hanhua.mix.bootstrap import replicates, scatter
from hanhua.mix.fit import fit
from hanhua.mix.laws import named
from hanhua.mix.orders import line_up

SHARE = np.repeat([0.2, 0.5, 0.8], 2)
TOKENS = np.tile([0.5, 1.0], 3)
LOSS = np.array([0.9, 0.8, 0.85, 0.75, 0.82, 0.7])


def test_an_order_run_at_one_mixture_bends_nothing():
    more = [np.append(one, value) for one, value in ((SHARE, 0.5), (TOKENS, 1.0), (LOSS, 0.79))]
    lined = line_up(*more, np.append(np.zeros(6, int), 1))
    assert lined == pytest.approx(np.append(LOSS, 0.75) + 0.02)  # all by half of the 0.04


def test_orders_of_all_mixtures_meet_at_their_mean():
    both = [np.tile(one, 2) for one in (SHARE, TOKENS)]
    loss = np.concatenate([LOSS, LOSS + 0.1])
    lined = line_up(*both, loss, np.repeat([0, 1], 6))
    assert lined == pytest.approx(np.tile(LOSS + 0.05, 2))


def test_orders_that_share_no_mixture_stay_as_they_are():
    more = [np.append(one, value) for one, value in ((SHARE, 0.9), (TOKENS, 1.0), (LOSS, 0.6))]
    np.testing.assert_array_equal(line_up(*more, np.append(np.zeros(6, int), 1)), more[2])
    np.testing.assert_array_equal(line_up(SHARE, TOKENS, LOSS, np.zeros(6, int)), LOSS)


def repeated(study, apart):
    """The study, and its middle mixture's longest run in two more orders."""
    last = next(p for p in study.points if p.share == 0.65 and p.tokens == LONGEST)
    more = [
        replace(last, run=f"again+{seed}", seed=seed,
                losses={k: v * (1 + sign * apart) for k, v in last.losses.items()})
        for seed, sign in ((1, 1), (2, -1))
    ]  # fmt: skip
    return replace(study, points=(*study.points, *more))


def test_repeats_of_one_mixture_widen_levels_and_leave_the_shape():
    study = made(of_run=0.0, of_moment=0.0)
    law = [named("anchored")]
    quiet, loud = (fit(repeated(study, apart), "en", draws=60, laws=law) for apart in (0.0, 0.01))
    assert loud.seed_spread == pytest.approx(0.01 * truth(0.65, LONGEST)["en"] / BASE["en"])
    shares = np.array([0.3, 0.6, 0.9])
    assert loud.predict(shares, LONGEST) == pytest.approx(quiet.predict(shares, LONGEST), rel=1e-3)
    drawn = loud.predict_draws(shares, LONGEST)
    level, shape = drawn.std(0).min(), (drawn[:, 2] - drawn[:, 0]).std()
    assert level > 5 * quiet.predict_draws(shares, LONGEST).std(0).max()
    assert shape < 0.5 * level


def test_the_luck_of_an_order_is_one_for_all_its_runs():
    law, zeros, runs = named("anchored"), np.zeros(8), np.repeat(np.arange(4), 2)
    orders = np.repeat([0, 1], 4)
    drawn = replicates(law, zeros, zeros, runs, 400, 0, (0.01, 30.0), orders)
    assert (drawn[:, :4] == drawn[:, :1]).all()
    assert (drawn[:, 4:] == drawn[:, 4:5]).all()
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 4])[0, 1]) < 0.2
    shifted = np.repeat([0.0, 0.5], 4)  # an order's level is no scatter about the law
    assert scatter(law, shifted, runs, orders).of_run == pytest.approx(0)
