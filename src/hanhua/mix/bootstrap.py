"""Losses as they might have been: residuals of runs and of moments, drawn anew.

A run that came out low is low at all its moments, so runs and moments are drawn apart: a run's
mean residual, and what is left of its curve, whole, from some other run. Both are widened by the
degrees of freedom that the law used up, and by how little so few of them tell of their own
spread (Student's t), without which intervals of four runs cover far too seldom.

Runs that read the same rows are lucky together, whatever their share. What losses of one mixture
scatter from one order of the documents to another, beyond what runs of one order scatter about
the law, is therefore drawn once for each order: it moves the level and not the shape.
"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Scatter:
    """How far losses lie from a law: variances, and how many degrees of freedom tell of them.

    Args:
        of_run: what all moments of a run have in common.
        run_freedom: of it.
        of_moment: what is left.
        own_freedom: of it.
    """

    of_run: float
    run_freedom: float
    of_moment: float
    own_freedom: float


def scatter(law: Law, residuals: Floats, runs: Floats, orders: Floats) -> Scatter:
    """Variances of runs and of moments, without what all runs of one order have in common.

    Args:
        law: which was fitted.
        residuals: ``[n]`` measured less predicted.
        runs: ``[n]`` number of the run, from 0.
        orders: ``[n]`` number of the documents' order, from 0.
    """
    count, many = int(runs.max()) + 1, int(orders.max()) + 1
    means = np.array([residuals[runs == run].mean() for run in range(count)])
    left = residuals - means[runs]
    if many > 1:
        order_of = np.array([orders[runs == run][0] for run in range(count)])
        means = means - np.array([means[order_of == one].mean() for one in range(many)])[order_of]
    run_freedom = max(count - law.of_share - float(many), LEAST_FREEDOM)
    own_freedom = max(len(runs) - count - (len(law.low) - law.of_share), LEAST_FREEDOM)
    return Scatter(
        float((means**2).sum() / run_freedom), run_freedom,
        float((left**2).sum() / own_freedom), own_freedom,
    )  # fmt: skip


def replicates(
    law: Law, predicted: Floats, residuals: Floats, runs: Floats, draws: int, seed: int,
    floor: tuple[float, float] = (0.0, 0.0), orders: Floats | None = None,
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
        orders: ``[n]`` number of the documents' order, from 0; None: one for all.

    Returns:
        ``[draws, n]``.
    """
    rng = np.random.default_rng((seed, 1))
    orders = np.zeros(len(runs), int) if orders is None else orders
    found = scatter(law, residuals, runs, orders)
    count = int(runs.max()) + 1
    members = [np.flatnonzero(runs == run) for run in range(count)]
    left = residuals - np.array([residuals[at].mean() for at in members])[runs]
    curves = [at for at in members if len(at) > 1] or members
    run_size = _widen(rng, np.sqrt(found.of_run), found.run_freedom, draws)
    within = np.sqrt(len(runs) / found.own_freedom) * _widen(rng, 1.0, found.own_freedom, draws)
    made = np.repeat(predicted[None], draws, 0)
    for draw in range(draws):
        for at in members:
            curve = left[curves[rng.integers(len(curves))]]
            place = np.linspace(0, len(curve) - 1, len(at)).round().astype(int)
            made[draw, at] += run_size[draw] * rng.standard_normal()
            made[draw, at] += within[draw] * rng.choice((-1.0, 1.0)) * curve[place]
    luck = max(floor[0] ** 2 - found.of_run - found.of_moment, 0.0)
    size = _widen(rng, np.sqrt(luck), max(floor[1], LEAST_FREEDOM), draws)
    shifts = size[:, None] * rng.standard_normal((draws, int(orders.max()) + 1))
    return np.asarray(made + shifts[:, orders])


def drifts(size: float, times: Floats, draws: int, seed: int, ahead: float = 1.0) -> Floats:
    """``[draws, ...]`` factors of losses beyond the longest run, where a law may miss.

    A law that, fitted without the last tokens, missed them by so much may miss by as much at the
    first doubling to come, by twice that at the next, and so on, as one that bends too little
    does; in either direction, and at all shares alike. One miss tells little of its like:
    Student's t, with the fewest degrees of freedom.

    Args:
        size: of the miss at a doubling, as a part of the loss.
        times: tokens as a part of the longest run's.
        draws: how many.
        seed: of the draws.
        ahead: times at which the miss was measured, and from which it goes on as it was; so
            only what it grows by is not known.
    """
    drawn = np.random.default_rng((seed, 4)).standard_t(LEAST_FREEDOM, draws)
    beyond, known = np.log2(np.maximum(times, 1.0)), np.log2(ahead)
    growing = beyond * (beyond + 1) / 2
    if known > 0:
        growing = np.where(beyond > known, growing - beyond * (known + 1) / 2, 0.0)
    return np.asarray(np.exp(size * growing * drawn.reshape(-1, *(1,) * np.ndim(times))))


def _widen(rng: np.random.Generator, size: float, freedom: float, draws: int) -> Floats:
    """``[draws]`` a spread that was estimated, as uncertain as it is."""
    return np.asarray(size * np.sqrt(freedom / rng.chisquare(freedom, draws)))
