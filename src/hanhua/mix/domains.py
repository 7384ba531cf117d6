"""More than two sources: how a held-out loss depends on all their shares.

The exponential law of data mixing, ``c + e^(t . w)``, one for each loss. It needs about twice as
many runs as sources, where trees need sixteen times as many (docs/adr/0006-mixture-laws.md).
Mixtures are compared on small runs, whose order holds for larger ones (RegMix, arXiv 2407.01492).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hanhua.core.errors import InputError
from hanhua.mix.laws import Floats

FLOORS = np.array([0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98])
"""Tried for ``c``, as parts of the least loss measured."""
RIDGES = np.array([1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0])
FEWEST_RUNS = 4
CANDIDATES = 4096
RUNS_A_SOURCE = 2
"""With fewer an answer is not sure."""


@dataclass(frozen=True, slots=True)
class DomainLaw:
    """``c + e^(t . w)`` fitted to runs.

    Args:
        floor: ``c``.
        rates: ``[sources]`` t; the least helps most.
        held_out_error: mean absolute error on runs left out, as a part of the loss.
        sure: whether there were runs enough for so many sources.
    """

    floor: float
    rates: Floats
    held_out_error: float
    sure: bool

    def predict(self, shares: Floats) -> Floats:
        """Losses ``[n]`` of mixtures ``[n, sources]``."""
        return np.asarray(self.floor + np.exp(np.asarray(shares, float) @ self.rates))


def fit_domains(shares: Floats, losses: Floats) -> DomainLaw:
    """Fit one loss; its floor and how far rates are drawn together by the runs left out in turn.

    Args:
        shares: ``[runs, sources]``, each row summing to 1 or nearly so.
        losses: ``[runs]``, positive.

    Raises:
        InputError: for too few runs, or numbers that are no shares or losses.
    """
    shares, losses = np.asarray(shares, float), np.asarray(losses, float)
    if shares.ndim != 2 or losses.shape != shares.shape[:1] or len(losses) < FEWEST_RUNS:
        raise InputError(
            "A law of sources needs a row of shares and a loss for each of four runs or more.",
            found=f"shares {shares.shape}, losses {losses.shape}", fix="run more mixtures",
        )  # fmt: skip
    if not (np.isfinite(losses) & (losses > 0)).all() or (shares < 0).any() or not shares.any():
        raise InputError(
            "Shares must be 0 or more, and losses positive numbers.",
            found=f"least share {shares.min()}, least loss {losses.min()}",
            fix="leave out runs that diverged",
        )  # fmt: skip
    floors = np.repeat(FLOORS * losses.min(), len(RIDGES))
    errors, rates = _left_out(shares, losses, floors, np.tile(RIDGES, len(FLOORS)))
    best = int(errors.argmin())
    enough = len(losses) >= RUNS_A_SOURCE * shares.shape[1]
    return DomainLaw(float(floors[best]), rates[best], float(errors[best]), enough)


def _left_out(
    shares: Floats, losses: Floats, floors: Floats, ridges: Floats
) -> tuple[Floats, Floats]:
    """Errors ``[t]`` on runs left out, in closed form, and rates ``[t, sources]`` with none left
    out, of each floor and ridge tried.

    Logarithms are fitted, each weighted by its loss over the floor: an error of the loss itself.
    """
    above = losses - floors[:, None]
    weights = above / above.mean(1, keepdims=True)
    design, target = shares * weights[..., None], np.log(above) * weights
    middle = (target * weights).sum(1, keepdims=True) / (weights**2).sum(1, keepdims=True)
    across = design.transpose(0, 2, 1)
    inverse = np.linalg.inv(across @ design + ridges[:, None, None] * np.eye(shares.shape[1]))
    # Rates are drawn towards their mean, not to 0: shares sum to 1.
    rates = (inverse @ (across @ (target - middle * weights)[..., None]))[..., 0] + middle
    lever = ((design @ inverse) * design).sum(2)
    off = target - (design @ rates[..., None])[..., 0]
    off = off / np.maximum(1 - lever, 1e-6) / weights
    predicted = floors[:, None] + np.exp(np.clip(np.log(above) - off, -50, 50))
    return np.asarray(np.mean(np.abs(predicted - losses) / losses, axis=1)), rates


def left_out(shares: Floats, losses: Floats) -> Floats:
    """``[runs]`` each run's loss by a law that was fitted without it, its floor and ridge too.

    A law's own ``held_out_error`` was the least of many tried, so it is a little too good; these
    predictions are not.

    Args:
        shares: ``[runs, sources]``.
        losses: ``[runs]``.

    Raises:
        InputError: see :func:`fit_domains`; one run more is needed.
    """
    every = np.arange(len(losses))
    return np.array([
        fit_domains(shares[every != run], losses[every != run]).predict(shares[run : run + 1])[0]
        for run in every
    ])  # fmt: skip


def blends(run: Floats, *, seed: int = 0) -> Floats:
    """``[n, sources]`` the mixtures that were run, then blends of them.

    Args:
        run: ``[runs, sources]`` mixtures.
        seed: of the blends.
    """
    rng = np.random.default_rng(seed)
    run = np.asarray(run, float)
    run = run / run.sum(1, keepdims=True)
    return np.concatenate([run, rng.dirichlet(np.full(len(run), 4 / len(run)), CANDIDATES) @ run])


def recommend_domains(
    law: DomainLaw, run: Floats, *, seed: int = 0, least: Floats | float = 0.0
) -> Floats:
    """The mixture of least predicted loss among blends of those that were run.

    Blends stay within what was measured: outside of it the law is a guess.

    Args:
        law: of the loss to bring down.
        run: ``[runs, sources]`` mixtures.
        seed: of the blends.
        least: share that a source must have, one for all or ``[sources]``.

    Returns:
        ``[sources]`` shares.

    Raises:
        InputError: when no blend has the least shares.
    """
    mixtures = blends(run, seed=seed)
    mixtures = mixtures[(mixtures >= np.asarray(least) - 1e-9).all(1)]
    if not len(mixtures):
        raise InputError(
            "No blend of the mixtures that were run has these least shares.", found=least,
            fix="lower them, or run mixtures that have them",
        )  # fmt: skip
    # The best few are averaged: the very best of many predictions is the luckiest.
    best = np.argsort(law.predict(mixtures))[: max(1, len(mixtures) // 200)]
    return np.asarray(mixtures[best].mean(0))
