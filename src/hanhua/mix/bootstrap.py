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


def between_seeds(
    share: Floats, tokens: Floats, loss: Floats, runs: Floats
) -> tuple[float, float]:  # fmt: skip
    """How far losses of one mixture lie apart that differ by the order of the documents alone.

    Args:
        share: ``[n]`` of the mixture.
        tokens: ``[n]`` counts.
        loss: ``[n]``.
        runs: ``[n]`` number of the run.

    Returns:
        Standard deviation, and degrees of freedom: runs beyond the first of each mixture. 0 and 0
        where no mixture was run twice.
    """
    squares = count = 0.0
    for of_share, of_tokens in {*zip(share.tolist(), tokens.tolist(), strict=True)}:
        group = loss[(share == of_share) & (tokens == of_tokens)]
        squares += float(((group - group.mean()) ** 2).sum())
        count += len(group) - 1
    freedom = sum(len(np.unique(runs[share == one])) - 1 for one in np.unique(share))
    return (float(np.sqrt(squares / count)), float(freedom)) if freedom else (0.0, 0.0)


def replicates(
    law: Law, predicted: Floats, residuals: Floats, runs: Floats, draws: int, seed: int,
    floor: tuple[float, float] = (0.0, 0.0),
) -> Floats:  # fmt: skip
    """Losses about the fitted law.

    Args:
        law: which was fitted.
        predicted: ``[n]`` by it.
        residuals: ``[n]`` measured less predicted.
        runs: ``[n]`` number of the run, from 0.
        draws: how many.
        seed: of the draws.
        floor: see :func:`between_seeds`; runs scatter so far at least, however well the law fits.

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
    of_run, of_moment = (means**2).sum() / run_freedom, (left**2).sum() / own_freedom
    if floor[0] ** 2 > of_run + of_moment:
        of_run, run_freedom = floor[0] ** 2 - of_moment, max(floor[1], LEAST_FREEDOM)
    run_size = _widen(rng, np.sqrt(of_run), run_freedom, draws)
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
