"""Statistics of scores and of paired comparisons: intervals, exact tests, no assumptions hidden.

Two models are compared on the same items: the difference of each item is what varies, and the
variation between items, which is much larger, drops out. All intervals are 95 %.

Where items come in clusters (questions of one subject), whole clusters are drawn, since a change
often moves a subject as a whole; with fewer than `MIN_CLUSTERS` items are drawn alone.

Percentile bootstrap: B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), ch. 13.
Wilson interval: https://doi.org/10.1080/01621459.1927.10502953
McNemar's test, exact form: https://doi.org/10.1007/BF02295996
Clustered errors of evaluations: https://arxiv.org/abs/2411.00640
Sign-flip test: R. A. Fisher, The Design of Experiments (1935), section 21
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
MIN_CLUSTERS = 10
"""With fewer clusters their bootstrap is too sure of itself."""


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
        stderr: of the value, from the bootstrap.
        clusters: that were drawn; 0: items were drawn alone.
    """

    value: float
    low: float
    high: float
    p: float
    n: int
    stderr: float = 0.0
    clusters: int = 0

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

    The interval is the bootstrap's. p is the larger of two: of the sign-flip test (were nothing
    changed, each item's difference would as soon have had the other sign) and of the bootstrap of
    t, which does not take a few items with large differences for a change of all.
    """
    gap = np.asarray(new, float) - np.asarray(old, float)
    bottom = np.asarray(denominators, float)
    value = float(gap.sum() / bottom.sum())
    if len(gap) < 2 or not gap.any():
        return Difference(value, value, value, 1.0, len(gap))
    columns = np.stack([gap, bottom, gap * gap, gap * bottom, bottom * bottom], axis=1)
    sums = _resampled(columns, seed, draws)
    drawn = sums[:, 0] / sums[:, 1]
    low, high = np.percentile(drawn, [LOW, HIGH])
    p = max(sign_flip(gap, seed, draws), _bootstrap_t(columns.sum(axis=0), sums))
    return Difference(value, float(low), float(high), p, len(gap), float(drawn.std()))


def _bootstrap_t(seen_K: Floats, sums_DK: Floats) -> float:
    """Two-sided p of a ratio by its t in resamples, each centred at the ratio seen.

    Efron & Tibshirani, ch. 12. Columns: sums of tops, bottoms, and their squares and products.
    """

    def error(sums: Floats) -> Floats:
        """Standard error of the ratio, up to a factor that all share."""
        ratio = sums[..., 0] / sums[..., 1]
        spread = sums[..., 2] - 2 * ratio * sums[..., 3] + ratio * ratio * sums[..., 4]
        return np.sqrt(np.maximum(spread, 1e-300)) / sums[..., 1]

    value = seen_K[0] / seen_K[1]
    t = value / error(seen_K)
    drawn = (sums_DK[:, 0] / sums_DK[:, 1] - value) / error(sums_DK)
    side = min(int((drawn <= t).sum()), int((drawn >= t).sum()))
    return min(1.0, 2 * (side + 1) / (len(drawn) + 1))


def sign_flip(gaps_N: Floats, seed: int, draws: int) -> float:
    """Two-sided p of the sum of differences when each may have either sign."""
    generator = np.random.default_rng(seed + 1)
    n, far = len(gaps_N), 0
    seen = abs(float(gaps_N.sum())) * (1 - 1e-12)
    for start in range(0, draws, step := max(1, BLOCK // n)):
        signs = generator.integers(0, 2, size=(min(step, draws - start), n), dtype=np.int8)
        sums = (2.0 * signs - 1.0) @ gaps_N
        far += int((np.abs(sums) >= seen).sum())
    return (far + 1) / (draws + 1)


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
    low = max(0.0, middle - half) if right else 0.0  # exactly, which the rounding would not give
    return Interval(share, low, min(1.0, middle + half) if right < n else 1.0)


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
    new: Sequence[bool], old: Sequence[bool], seed: int, draws: int = 2000,
    clusters: Sequence[str] | None = None,
) -> tuple[Difference, int, int]:  # fmt: skip
    """Difference of two accuracies on the same items, with the items gained and lost.

    Args:
        new: right or wrong, one for each item.
        old: the same items.
        seed: of the bootstrap behind the interval.
        draws: of the bootstrap.
        clusters: the subject of each item.

    Returns:
        the difference (p by McNemar's exact test; with clusters drawn, the larger of that and
        the bootstrap's), items gained, items lost.
    """
    gap = np.asarray(new, float) - np.asarray(old, float)
    n = len(gap)
    gained, lost = int((gap > 0).sum()), int((gap < 0).sum())
    value, p = float(gap.mean()), mcnemar(gained, lost)
    if not gained and not lost:
        return Difference(value, value, value, p, n), 0, 0
    sums = _by_cluster(gap, clusters)
    if sums is None:  # drawing items is drawing how many of three kinds there are
        shares = [gained / n, lost / n, 1 - (gained + lost) / n]
        kinds = np.random.default_rng(seed).multinomial(n, shares, size=draws)
        drawn = (kinds[:, 0] - kinds[:, 1]) / n
    else:
        tops, sizes = _resampled(sums, seed, draws).T
        drawn = tops / sizes
        p = max(p, _bootstrap_p(drawn))
    low, high = (float(x) for x in np.percentile(drawn, [LOW, HIGH]))
    drawn_from = 0 if sums is None else len(sums)
    return Difference(value, low, high, p, n, float(drawn.std()), drawn_from), gained, lost


def _bootstrap_p(drawn: Floats) -> float:
    """The share of resamples on the other side of no difference, doubled."""
    side = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2 * (side + 1) / (len(drawn) + 1))


def _by_cluster(gap_N: Floats, clusters: Sequence[str] | None) -> Floats | None:
    """Sum of differences and number of items of each cluster ``[C, 2]``; None: too few."""
    if clusters is None:
        return None
    names, at = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
    if len(names) < MIN_CLUSTERS:
        return None
    sums, sizes = np.bincount(at, gap_N), np.bincount(at)
    return np.stack([sums, sizes.astype(float)], axis=1)
