"""Two scores without common items: the difference of two independent samples.

Shares of right answers are compared by Fisher's exact test, with Newcombe's interval from two score
intervals (1998, method 10): the normal curve with each share's own standard error claims certainty
where a handful of questions were all right or all wrong. Other scores have only their standard
errors, and are compared by these.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

from hanhua.eval.compare import proportion, standard_error, tidy
from hanhua.eval.published import Measured

Z = 1.959963984540054
FEW_TEXTS = 10
"""Of fewer texts the bootstrap that the standard errors come from knows too little: of one, 0."""
NEAR = 0.02
"""How far, as a share, a standard error may be from that of a share of right answers."""


def unpaired_change(new: Measured, old: Measured) -> dict[str, Any] | None:
    """Difference of two scores with what is known of each.

    Args:
        new: its score, with or without n and standard error.
        old: the same.

    Returns:
        as JSON: value, and where both errors are known low, high, p, stderr and n (the smaller),
        but of bits per byte only from ten texts on; None where a score is missing.
    """
    if new.value is None or old.value is None:
        return None
    value = new.value - old.value
    if new.stderr is None or old.stderr is None:
        return {"value": tidy(value), "low": None, "high": None, "p": None}
    if "bits per byte" in (new.unit, old.unit) and min(new.n or 0, old.n or 0) < FEW_TEXTS:
        return {"value": tidy(value), "low": None, "high": None, "p": None}
    counted = (_counted(new), _counted(old))
    if counted[0] and counted[1]:
        low, high = newcombe(*counted[0], *counted[1])
        p, error = fisher(*counted[0], *counted[1]), (high - low) / (2 * Z)
    else:
        error = math.hypot(new.stderr, old.stderr)
        low, high = value - Z * error, value + Z * error
        p = 2 * NormalDist().cdf(-abs(value) / error) if error else float(value == 0)
    n = min((n for n in (new.n, old.n) if n), default=None)
    found = {"value": value, "low": low, "high": high, "p": p, "stderr": error, "n": n}
    return {key: tidy(one) for key, one in found.items()}


def _counted(one: Measured) -> tuple[int, int] | None:
    """Right answers and n, where the score is a share of right answers; else None."""
    if one.unit == "bits per byte" or not one.n or one.value is None or not 0 <= one.value <= 1:
        return None
    hits = round(one.value * one.n)
    errors = (standard_error(hits, one.n), math.sqrt(one.value * (1 - one.value) / one.n))
    if not any(math.isclose(one.stderr or 0.0, error, rel_tol=NEAR) for error in errors):
        return None  # of clusters, or of a score that is no count
    return hits, one.n


def newcombe(hits: int, n: int, old_hits: int, old_n: int) -> tuple[float, float]:
    """The 95 % interval of the difference of two independent shares, first minus second."""
    new, old = proportion(hits, n), proportion(old_hits, old_n)
    value = new.value - old.value
    return (
        value - math.hypot(new.value - new.low, old.high - old.value),
        value + math.hypot(new.high - new.value, old.value - old.low),
    )


def fisher(hits: int, n: int, old_hits: int, old_n: int) -> float:
    """Fisher's exact p of two independent shares, two-sided: all tables as unlikely or more so."""
    right, total = hits + old_hits, n + old_n

    def log_weight(some: int) -> float:
        return _log_choose(n, some) + _log_choose(old_n, right - some)

    limit = log_weight(hits) + 1e-7
    every = [log_weight(some) for some in range(max(0, right - old_n), min(n, right) + 1)]
    whole = _log_choose(total, right)
    return min(1.0, math.fsum(math.exp(one - whole) for one in every if one <= limit))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
