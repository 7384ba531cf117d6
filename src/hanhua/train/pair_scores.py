"""What held-out pairs say of a model before and after preference tuning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]
DIGITS = 6


def pair_scores(
    before: Floats, after: Floats, answer_tokens: Floats, languages: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Accuracy and margin by language, and of all under ``all``.

    The margin of a pair is the better answer's log-probability per token less the worse one's, in
    nats: a measure that a model has by itself, whatever it was tuned by. It is right where the
    margin is above nothing.

    Args:
        before: ``[n, 2]`` log-probabilities of better and worse answers by the start.
        after: the same by the tuned model.
        answer_tokens: ``[n, 2]``.
        languages: ``[n]``.

    Returns:
        For each: ``n``; ``before`` and ``after`` with ``accuracy`` and ``margin``, ``change`` of
        both (paired), each with ``value`` and standard error ``se``; and ``gained``: the part of
        the pairs whose better answer gained more on the start, in all its tokens, than the worse.
    """
    margins = [(sums / answer_tokens) @ np.array([1.0, -1.0]) for sums in (before, after)]
    moved = (after - before) @ np.array([1.0, -1.0]) > 0
    codes = np.array(languages)
    groups = {name: codes == name for name in sorted(set(languages))}
    found = {"all": np.ones(len(codes), np.bool_), **groups}
    return {
        name: _scores(margins[0][at], margins[1][at], moved[at])
        for name, at in found.items() if at.any()
    }  # fmt: skip


def _scores(before: Floats, after: Floats, moved: Floats) -> dict[str, Any]:
    right = [(margins > 0).astype(float) for margins in (before, after)]
    return {
        "n": len(before),
        "before": {"accuracy": _mean(right[0]), "margin": _mean(before)},
        "after": {"accuracy": _mean(right[1]), "margin": _mean(after)},
        "change": {"accuracy": _mean(right[1] - right[0]), "margin": _mean(after - before)},
        "gained": _mean(moved.astype(float)),
    }


def _mean(values: Floats) -> dict[str, float | None]:
    n = len(values)
    se = round(float(values.std(ddof=1)) / math.sqrt(n), DIGITS) if n > 1 else None
    return {"value": round(float(values.mean()), DIGITS), "se": se}
