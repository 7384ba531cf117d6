"""Losses as they might have been: residuals of runs and of moments, drawn anew.

A run that came out low is low at all its moments, so runs and moments are drawn apart: a run's
mean residual, and what is left of its curve, whole, from some other run. Both are widened by the
degrees of freedom that the law used up, and by how little so few of them tell of their own
spread (Student's t), without which intervals of four runs cover far too seldom.
"""

from __future__ import annotations

import numpy as np

from hanhua.mix.laws import Floats, Law

LEAST_FREEDOM = 2.0


def replicates(
    law: Law, predicted: Floats, residuals: Floats, runs: Floats, draws: int, seed: int
) -> Floats:
    """Losses about the fitted law.

    Args:
        law: which was fitted.
        predicted: ``[n]`` by it.
        residuals: ``[n]`` measured less predicted.
        runs: ``[n]`` number of the run, from 0.
        draws: how many.
        seed: of the draws.

    Returns:
        ``[draws, n]``.
    """
    rng = np.random.default_rng((seed, 1))
    count = int(runs.max()) + 1
    members = [np.flatnonzero(runs == run) for run in range(count)]
    means = np.array([residuals[at].mean() for at in members])
    left = residuals - means[runs]
    run_freedom = max(count - law.of_share - 1.0, LEAST_FREEDOM)
    own_freedom = max(len(runs) - count - (len(law.low) - law.of_share), LEAST_FREEDOM)
    run_size = _widen(rng, np.sqrt((means**2).sum() / run_freedom), run_freedom, draws)
    within = np.sqrt(len(runs) / own_freedom) * _widen(rng, 1.0, own_freedom, draws)
    made = np.repeat(predicted[None], draws, 0)
    for draw in range(draws):
        for at in members:
            curve = left[members[rng.integers(count)]]
            place = np.linspace(0, len(curve) - 1, len(at)).round().astype(int)
            made[draw, at] += run_size[draw] * rng.standard_normal()
            made[draw, at] += within[draw] * rng.choice((-1.0, 1.0)) * curve[place]
    return made


def _widen(rng: np.random.Generator, size: float, freedom: float, draws: int) -> Floats:
    """``[draws]`` a spread that was estimated, as uncertain as it is."""
    return np.asarray(size * np.sqrt(freedom / rng.chisquare(freedom, draws)))
