"""What answers of ``hanhua study knowledge`` show beyond habit and luck: arrays and intervals.

Intervals are 95 %, from a bootstrap that draws the facts (or documents) anew and, where there are
several, the runs too; differences are of the same facts in the same draw. One run of each arm
tells nothing of a run's luck.

A model that has only learnt which objects are named often is right now and then, and more or less
often than by chance. So differences are of what is *known*: an answer counts 1 where it is right,
less how often the same answer would be right of the other facts of its kind (told in the same
language). Of a model that does not know who is who, that is nothing on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from hanhua.eval.compare import HIGH, LOW, Interval
from hanhua.mix.knowledge_ask import Answer
from hanhua.mix.laws import Floats

DRAWS = 2000


def interval(values_SN: Floats, weights_N: Floats | None = None, seed: int = 0) -> Interval:
    """Mean over runs and items, with the interval of drawing both anew.

    Args:
        values_SN: ``[runs, items]``.
        weights_N: ``[items]`` what each item's value is out of (bytes); None: 1 each.
        seed: of the draws.
    """
    runs, n = values_SN.shape
    weights = np.ones(n) if weights_N is None else weights_N
    runs_DS, items_DN = _drawn(runs, n, seed)
    drawn = (runs_DS @ values_SN * items_DN).sum(1) / (items_DN @ weights)
    low, high = np.percentile(drawn, [LOW, HIGH])
    return Interval(float(values_SN.mean(0).sum() / weights.sum()), float(low), float(high))


@lru_cache(maxsize=8)
def _drawn(runs: int, n: int, seed: int) -> tuple[Floats, Floats]:
    """How often each run ``[D, runs]`` (as a share) and item ``[D, n]`` is drawn."""
    draw = np.random.default_rng((seed, 2))
    of_runs = draw.multinomial(runs, np.full(runs, 1 / runs), size=DRAWS) / runs
    return of_runs, draw.multinomial(n, np.full(n, 1 / n), size=DRAWS).astype(float)


def known(answers: Sequence[Answer], groups: Sequence[object]) -> Floats:
    """What answers show beyond a habit of naming some objects.

    Args:
        answers: of different facts.
        groups: of each; facts of one group could change their objects.

    Returns:
        ``[facts]`` 1 where right, less the share of its group's other facts that the same answer
        would be right of; of a group of one fact, less chance.
    """
    found = np.empty(len(answers))
    for i, one in enumerate(answers):
        others = [answers[j].object for j, g in enumerate(groups) if g == groups[i] and j != i]
        luck = others.count(one.choice) / len(others) if others else 1 / one.options
        found[i] = one.right - luck
    return found


def gap(gap_SN: Floats, keep_SN: Any = None) -> dict[str, Any]:
    """A difference with its interval; of the facts kept in each draw only, where that is given."""
    if keep_SN is None or keep_SN.all():
        return interval(gap_SN).as_dict()
    mean_N = np.where(keep_SN, gap_SN, 0.0).sum(0)
    counts_N = keep_SN.sum(0).astype(float)
    some = counts_N > 0
    return interval(mean_N[None, some], counts_N[some]).as_dict()
