"""Statistics of scores and of paired comparisons: intervals, exact tests, no assumptions hidden.

Two models are compared on the same items: the difference of each item is what varies, and the
variation between items, which is much larger, drops out. All intervals are 95 %.

Percentile bootstrap: B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), ch. 13.
Wilson interval: https://doi.org/10.1080/01621459.1927.10502953
McNemar's test, exact form: https://doi.org/10.1007/BF02295996
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
LOW, HIGH = 2.5, 97.5
BLOCK = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        """As JSON, to nine digits."""
        return {key: tidy(value) for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Difference:
    """New minus old on the same items.

    Args:
        value: of the difference; low, high: its 95 % interval.
        p: two-sided, of the hypothesis that nothing changed.
        n: items compared.
    """

    value: float
    low: float
    high: float
    p: float
    n: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON, to nine digits."""
        return {key: tidy(value) for key, value in asdict(self).items()}


def tidy(value: Any) -> Any:
    """Floats to nine significant digits: more is noise of the order of summation."""
    return float(f"{value:.9g}") if isinstance(value, float) else value


def ratio(
    numerators: Sequence[float], denominators: Sequence[float], seed: int, draws: int = 2000
) -> Interval:
    """Sum over sum (bits over bytes), with a bootstrap interval over items.

    Args:
        numerators: one of each item.
        denominators: one of each item, their sum above 0.
        seed: of the draws.
        draws: resamples of the items.
    """
    top, bottom = np.asarray(numerators, float), np.asarray(denominators, float)
    value = float(top.sum() / bottom.sum())
    if len(top) < 2:
        return Interval(value, value, value)
    tops, bottoms = _resampled(np.stack([top, bottom], axis=1), seed, draws).T
    low, high = np.percentile(tops / bottoms, [LOW, HIGH])
    return Interval(value, float(low), float(high))


def paired_ratios(
    new: Sequence[float], old: Sequence[float], denominators: Sequence[float], seed: int,
    draws: int = 2000,
) -> Difference:  # fmt: skip
    """Difference of two ratios with the same denominators (bits over the same bytes).

    p is the share of resamples on the other side of no difference, doubled.
    """
    gap = np.asarray(new, float) - np.asarray(old, float)
    bottom = np.asarray(denominators, float)
    value = float(gap.sum() / bottom.sum())
    if len(gap) < 2 or not gap.any():
        return Difference(value, value, value, 1.0, len(gap))
    gaps, bottoms = _resampled(np.stack([gap, bottom], axis=1), seed, draws).T
    drawn = gaps / bottoms
    low, high = np.percentile(drawn, [LOW, HIGH])
    side = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    p = min(1.0, 2 * (side + 1) / (draws + 1))
    return Difference(value, float(low), float(high), p, len(gap))


def _resampled(values_NK: Floats, seed: int, draws: int) -> Floats:
    """Column sums ``[draws, K]`` over items drawn with replacement."""
    generator = np.random.default_rng(seed)
    n = len(values_NK)
    sums = []
    for start in range(0, draws, step := max(1, BLOCK // n)):
        rows = generator.integers(0, n, size=(min(step, draws - start), n))
        sums.append(values_NK[rows].sum(axis=1))
    return np.concatenate(sums)


def proportion(right: int, n: int) -> Interval:
    """A share with its Wilson interval, which also holds near 0 and 1.

    Args:
        right: of n.
        n: above 0.
    """
    z = 1.959963984540054
    share = right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def standard_error(right: int, n: int) -> float:
    """Standard error of a share, with n - 1 as in other evaluation tools; 0 for one item."""
    share = right / n
    return math.sqrt(share * (1 - share) / (n - 1)) if n > 1 else 0.0


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p: the items that changed are coins, 1 when none changed.

    Args:
        gained: items wrong before and right now.
        lost: items right before and wrong now.
    """
    n = gained + lost
    if n == 0:
        return 1.0
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
            for k in range(min(gained, lost) + 1)]  # fmt: skip
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def paired_accuracy(
    new: Sequence[bool], old: Sequence[bool], seed: int, draws: int = 2000
) -> tuple[Difference, int, int]:
    """Difference of two accuracies on the same items, with the items gained and lost.

    Args:
        new: right or wrong, one for each item.
        old: the same items.
        seed: of the bootstrap behind the interval.
        draws: of the bootstrap.

    Returns:
        the difference (p by McNemar's exact test), items gained, items lost.
    """
    gap = np.asarray(new, float) - np.asarray(old, float)
    gained, lost = int((gap > 0).sum()), int((gap < 0).sum())
    value = float(gap.mean())
    low = high = value
    if gained or lost:
        drawn = _resampled(gap[:, None], seed, draws)[:, 0] / len(gap)
        low, high = (float(x) for x in np.percentile(drawn, [LOW, HIGH]))
    return Difference(value, low, high, mcnemar(gained, lost), len(gap)), gained, lost
