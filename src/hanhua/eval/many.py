"""Many questions at once: p values corrected, and the smallest change that n could have shown.

Holm's step-down method keeps the chance of even one false "gained" or "lost" in a family of
claims at 5 %, whatever depends on what: https://www.jstor.org/stable/4615733
Power of McNemar's test by the items that changed: R. J. Connor, https://doi.org/10.2307/2531894
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

ALPHA = 0.05
"""Chance of a false alarm in a family of claims."""
POWER = 0.8
"""With which a change of the stated size would have been seen."""

_NORMAL = NormalDist()


def holm(values: Sequence[float]) -> list[float]:
    """Holm-corrected p values of one family, in the order given.

    Each is at least its p and at most 1, and their order is kept.
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    found, highest = [0.0] * len(values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[i]))
        found[i] = highest
    return found


def smallest_mean(stderr: float, n: int, alpha: float = ALPHA) -> float:
    """Smallest change of a mean that the sign-flip test at `alpha` sees with 80 % power.

    Args:
        stderr: of the difference.
        n: items; with few of them a change of this size also widens what the test takes for
            chance.
        alpha: of the test.
    """
    errors = _NORMAL.inv_cdf(1 - alpha / 2) + _NORMAL.inv_cdf(POWER)
    return errors * stderr * math.sqrt(1 + errors * errors / n)


def smallest_share(
    n: int, changed: int, alpha: float = ALPHA, stderr: float | None = None
) -> float:
    """Smallest change of an accuracy that McNemar's exact test sees with 80 % power.

    Args:
        n: items.
        changed: of them right in one model only.
        alpha: of the test.
        stderr: of the difference with clusters, where it was drawn from them; what they add to
            the error of single items is added to the answer.

    Returns:
        a share of n, at most 1; also where nothing changed at all, from how many changes the
        test needs to see anything.
    """
    need = _fewest(alpha)
    fewest = _mean_for(need) / n
    found = fewest
    if changed >= need:
        least = _smallest_lean(changed, alpha) * changed / n
        found = max(fewest, least) if changed < _mean_for(need) else least
    if stderr and changed:
        alone = math.sqrt(changed) / n
        found *= max(1.0, stderr / alone)
    return min(1.0, found)


@lru_cache(maxsize=256)
def _fewest(alpha: float) -> int:
    """Changes, all one way, that McNemar's exact test needs."""
    return math.ceil(1 - math.log2(alpha))


@lru_cache(maxsize=256)
def _mean_for(need: int) -> float:
    """Mean of a Poisson count that reaches `need` with 80 % chance."""
    low, high = 0.0, 4.0 * need + 10
    for _ in range(50):
        middle = (low + high) / 2
        below = math.fsum(
            math.exp(k * math.log(middle) - middle - math.lgamma(k + 1)) for k in range(need)
        )
        low, high = (middle, high) if 1 - below < POWER else (low, middle)
    return high


@lru_cache(maxsize=4096)
def _smallest_lean(changed: int, alpha: float) -> float:
    """How much more often one way than the other `changed` items must move, from 0 to 1."""
    most = _most_against(changed, alpha)
    low, high = 0.0, 1.0
    for _ in range(40):
        lean = (low + high) / 2
        seen = _at_most(most, changed, (1 - lean) / 2) >= POWER
        low, high = (low, lean) if seen else (lean, high)
    return high


def _most_against(changed: int, alpha: float) -> int:
    """Items that may move the other way so that McNemar's exact test still says p <= alpha."""
    total, k = 0.0, 0
    while k <= changed // 2:
        total += math.exp(_log_choose(changed, k) - changed * math.log(2))
        if 2 * total > alpha:
            return k - 1
        k += 1
    return changed // 2


def _at_most(most: int, n: int, p: float) -> float:
    """Binomial chance of at most `most` of `n`."""
    if most < 0:
        return 0.0
    if p <= 0:
        return 1.0
    logs = (_log_choose(n, k) + k * math.log(p) + (n - k) * math.log1p(-p) for k in range(most + 1))
    return min(1.0, math.fsum(map(math.exp, logs)))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
