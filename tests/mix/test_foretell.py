"""What a run to come will measure, and the shares that are as good as the recommended one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_study import BASE, LONGEST, SHARES, made, truth

from hanhua.core.wish import parse_wish
from hanhua.mix.fit import fit
from hanhua.mix.foretell import FLAT, flat_range, of_a_run
from hanhua.mix.laws import named
from hanhua.mix.recommend import recommend


@pytest.fixture(scope="module")
def known():
    study = made()
    laws = [named("anchored"), named("settling_gain")]
    return study, {name: fit(study, name, draws=60, laws=laws) for name in BASE}


def test_an_interval_of_a_run_holds_its_own_scatter():
    """Runs scatter by 0.1 %: of 16 studies' 90 % intervals at most 5 may miss the run to come."""
    inside, wider = 0, []
    rng = np.random.default_rng(0)
    for seed in range(16):
        fitted = fit(made(seed, moments=4), "en", draws=60, seed=seed, laws=[named("anchored")])
        low, high = np.quantile(of_a_run(fitted, 0.6, LONGEST), (0.05, 0.95))
        measured = truth(0.6, LONGEST)["en"] * (1 + rng.normal(0, 0.0012))
        inside += low <= measured <= high
        wider.append(
            (high - low) / np.ptp(np.quantile(fitted.predict_draws(0.6, LONGEST), (0.05, 0.95)))
        )
    assert inside >= 11
    assert np.median(wider) > 1.2


def test_shares_in_the_flat_range_are_as_good_and_those_beyond_are_not(known):
    study, fits = known
    grid = np.linspace(SHARES[0], SHARES[-1], 401)
    losses = {name: fits[name].predict(grid, LONGEST) for name in BASE}
    answer = recommend(study, fits, parse_wish("best"), LONGEST)
    low, high = answer.flat
    assert low <= answer.share <= high
    total = sum(losses[name] / BASE[name] for name in BASE)
    good = total <= total.min() * (1 + FLAT)
    assert (low, high) == (grid[good].min(), grid[good].max())
    assert high - low < grid[-1] - grid[0]  # the case is there: some shares are worse


def test_under_a_limit_both_losses_stay(known):
    study, fits = known
    wish = parse_wish("en+2%")
    answer = recommend(study, fits, wish, LONGEST)
    low, high = answer.flat
    assert low < answer.share < high
    assert fits["en"].predict(high, LONGEST) <= 1.02 * BASE["en"] * (1 + FLAT)
    assert fits["zh"].predict(low, LONGEST) <= answer.predicted["zh"] * (1 + FLAT)
    grid = np.array([low - 0.01, high + 0.01])
    assert fits["zh"].predict(grid[0], LONGEST) > answer.predicted["zh"] * (1 + FLAT)
    assert fits["en"].predict(grid[1], LONGEST) > 1.02 * BASE["en"] * (1 + FLAT)


def test_one_good_share_is_a_range_of_its_own():
    losses = {"zh": np.array([2.0, 1.0, 2.0]), "en": np.ones(3)}
    grid = np.array([0.2, 0.5, 0.8])
    assert flat_range(made(), parse_wish("best"), grid, 1, losses) == (0.5, 0.5)


def test_intervals_open_beyond_the_longest_run_as_far_as_the_law_missed(known):
    for name, fitted in known[1].items():
        assert fitted.drift > 0, name
        sure, unsure = replace(fitted, drift=0.0), replace(fitted, drift=0.02)
        widths = [
            [np.ptp(np.quantile(one.predict_draws(0.6, LONGEST * times), (0.05, 0.95)))
             for times in (0.5, 1, 2, 4)] for one in (sure, unsure)
        ]  # fmt: skip
        assert widths[0][:2] == pytest.approx(widths[1][:2])  # within what was run: nothing
        more = [np.sqrt(b**2 - a**2) for a, b in zip(*widths, strict=True)]
        assert more[3] > 1.5 * more[2] > 0
        ratio = unsure.predict_draws(np.array([0.4, 0.8]), 2 * LONGEST) / sure.predict_draws(
            np.array([0.4, 0.8]), 2 * LONGEST
        )
        assert ratio[:, 0] == pytest.approx(ratio[:, 1])  # all shares alike
