"""Two scores without common items: the difference of two independent samples."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

from hanhua.eval.compare import tidy
from hanhua.eval.published import Measured

Z = 1.959963984540054


def unpaired_change(new: Measured, old: Measured) -> dict[str, Any] | None:
    """Difference of two scores with what is known of each.

    Args:
        new: its score, with or without n and standard error.
        old: the same.

    Returns:
        as JSON: value, and where both errors are known low, high, p, stderr and n (the smaller);
        None where a score is missing.
    """
    if new.value is None or old.value is None:
        return None
    value = new.value - old.value
    if new.stderr is None or old.stderr is None:
        return {"value": tidy(value), "low": None, "high": None, "p": None}
    error = math.hypot(new.stderr, old.stderr)
    p = 2 * NormalDist().cdf(-abs(value) / error) if error else float(value == 0)
    found = {"value": value, "low": value - Z * error, "high": value + Z * error, "p": p,
             "stderr": error, "n": min((n for n in (new.n, old.n) if n), default=None)}  # fmt: skip
    return {key: tidy(one) for key, one in found.items()}
