"""Where a language's held-out loss will stand at the end, from what was measured so far.

What moves a loss in continued pretraining, as in the laws of learning dynamics there (Wang et al.
2025, https://arxiv.org/abs/2505.07796; the part of the learning rate: Tissue et al. 2024,
https://arxiv.org/abs/2408.11029), brought down to what a few measurements can tell:

    log(loss / loss at the start) = a g(other text) - b g(own text) + h heat

Text counts as tokens times the learning rate at which they were learnt, as a part of the whole
run's; g(x) = log(1 + x / u) rises at once and then slowly; heat is the learning rate as a part of
the peak: what it does is gained back when it falls, at once or a little later (the built-in model's
English rises by half on the way and ends 2 % up). None of a, b, h is below 0: other text never
helps, own text never harms. At one constant share own and other text are hardly told apart; which
way a share moves the loss is right all the same, and by how much is measured again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
SCALES = (0.003, 0.01, 0.03, 0.1, 0.3)
"""The u that are tried: parts of the run's tokens at full learning rate."""
LAGS = (0.0, 0.05)
"""Of the loss behind the learning rate, as parts of the phase: a fall is not yet seen whole when it
has just come about (the momentum of annealing in Tissue et al.)."""
PULL = np.array([3e-3, 3e-4, 3e-5])
"""To no effect of other text, own text and heat: of what a few measurements cannot tell apart, the
learning rate is blamed first, as what it did goes away again."""
FADES = (0.85, 0.95, 1.0)
"""A measurement counts so much of the next one: the end may be like the last stretch, or all."""
AS_GOOD = 4.0
"""Times the least cost at the same fading: up to it a fit explains the measurements too."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A measurement of one language.

    Args:
        own: its tokens so far, each times its learning rate, as a part of the run's whole.
        other: the other languages', in the same unit.
        heat: the learning rate as a part of the peak, with each of ``LAGS``.
        loss: held-out bits per byte.
    """

    own: float
    other: float
    heat: tuple[float, ...]
    loss: float


@dataclass(frozen=True, slots=True)
class Projection:
    """The fits that explain the moments of one language about equally well.

    Args:
        fits: u of the law, which lag, and its effects ``[a, b, h]``, of each.
        last: the newest moment: the law tells how the loss goes on from there.
    """

    fits: Sequence[tuple[float, int, Floats]]
    last: Moment

    def at(self, own: Floats, other: Floats, heat: Sequence[float]) -> Floats:
        """``[fits, n]`` losses at amounts of text that are to come.

        Args:
            own: ``[n]`` of the language, from the start, in the unit of :class:`Moment`.
            other: ``[n]`` of the others.
            heat: then, with each lag.
        """
        now = np.array([self.last.own]), np.array([self.last.other])
        changes = [
            (_terms(own, other, heat[lag], scale) - _terms(*now, self.last.heat[lag], scale))
            @ effects
            for scale, lag, effects in self.fits
        ]
        return np.asarray(self.last.loss * np.exp(np.stack(changes)))


def heats(rates: Floats) -> Floats:
    """``[lags, n]`` learning rates ``[n]`` of a phase as parts of their peak, with each lag.

    A lag is an exponential mean that begins at the first rate.
    """
    heat = rates / rates.max()
    found = np.tile(heat, (len(LAGS), 1))
    for lag, row in zip(LAGS, found, strict=True):
        takes = 1 / max(lag * len(rates), 1.0)
        for step in range(1, len(rates)):
            row[step] = row[step - 1] + takes * (heat[step] - row[step - 1])
    return found


def project(start: float, moments: Sequence[Moment]) -> Projection:
    """Fit the law to what was measured, in all ways that are about as good as the best.

    Args:
        start: loss when this phase of training began.
        moments: since then, in order; at least one.
    """
    own, other, loss = np.array([(m.own, m.other, m.loss) for m in moments]).T
    heat = np.array([m.heat for m in moments]).T
    log_loss = np.log(loss / start)
    found: list[tuple[float, int, Floats]] = []
    for fade in FADES:
        weights = fade ** np.arange(len(moments))[::-1]
        tried = []
        for scale, lag in product(SCALES, range(len(LAGS))):
            terms = _terms(own, other, heat[lag], scale)
            effects = _not_negative(terms, log_loss, weights)
            cost = weights @ (terms @ effects - log_loss) ** 2 / weights.sum()
            tried.append((float(cost + PULL @ effects**2), (scale, lag, effects)))
        least = min(cost for cost, _ in tried)
        found += [one for cost, one in tried if cost <= AS_GOOD * least]
    return Projection(found, moments[-1])


def _terms(own: Floats, other: Floats, heat: Floats | float, scale: float) -> Floats:
    """``[n, 3]`` what a, b and h multiply."""
    columns = np.log1p(other / scale), -np.log1p(own / scale), np.broadcast_to(heat, own.shape)
    return np.stack(columns, -1)


def _not_negative(terms: Floats, wanted: Floats, weights: Floats) -> Floats:
    """Least squares with effects of 0 or more: the best of all choices of those above 0."""
    root = np.sqrt(weights)[:, None]
    left, right = terms * root, wanted * root[:, 0]
    pull = PULL * weights.sum()
    best, least = np.zeros(3), float(right @ right)
    for n in (1, 2, 3):
        for chosen in combinations(range(3), n):
            part = left[:, chosen]
            found = np.linalg.solve(part.T @ part + np.diag(pull[[*chosen]]), part.T @ right)
            cost = float(((part @ found - right) ** 2).sum() + pull[[*chosen]] @ found**2)
            if (found >= 0).all() and cost < least:
                best, least = np.zeros(3), cost
                best[list(chosen)] = found
    return best
