"""Shares of several sources: a law from few runs."""

from __future__ import annotations

import numpy as np
import pytest

from hanhua.core.errors import InputError
from hanhua.mix.domains import fit_domains, recommend_domains
from hanhua.mix.trust import rank_correlation

RATES = np.array([0.2, -0.3, 0.6, 0.5, 0.1, 0.4])


def made(runs, seed=0, scatter=0.002):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(len(RATES), 0.6), runs)
    return shares, (2 + np.exp(shares @ RATES)) * (1 + scatter * rng.standard_normal(runs))


def test_two_runs_a_source_order_mixtures_not_seen():
    law = fit_domains(*made(12))
    shares, losses = made(200, seed=1, scatter=0)
    assert rank_correlation(law.predict(shares), losses) > 0.95
    assert np.mean(np.abs(law.predict(shares) / losses - 1)) < 0.01
    assert law.held_out_error < 0.02
    assert law.sure
    assert not fit_domains(*made(8)).sure


def test_the_recommended_blend_is_better_than_the_runs_and_keeps_least_shares():
    shares, losses = made(24)
    law = fit_domains(shares, losses)
    blend = recommend_domains(law, shares)
    assert blend.sum() == pytest.approx(1)
    assert blend.argmax() == 1
    assert np.exp(blend @ RATES) < np.quantile(np.exp(shares @ RATES), 0.2)
    kept = recommend_domains(law, shares, least=[0, 0, 0.1, 0, 0, 0])
    assert kept[2] >= 0.1 - 1e-9 > blend[2]


def test_bad_tables_are_named():
    shares, losses = made(12)
    with pytest.raises(InputError, match="four runs"):
        fit_domains(shares[:3], losses[:3])
    with pytest.raises(InputError, match="diverged"):
        fit_domains(shares, np.where(losses > losses.min(), losses, np.nan))
    with pytest.raises(InputError, match="least"):
        recommend_domains(fit_domains(shares, losses), shares, least=0.3)
