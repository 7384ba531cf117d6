"""How the answer moves with the learning rate: a few more small runs, and a line through them.

The longest small runs of three shares are made again at another peak learning rate, on the same
rows. Each language's loss is divided by that of the same run at the recipe's own rate; a straight
line over the share is fitted to the logarithms of the three ratios, and the law, at the small
runs' length, is multiplied by it. What the wish asks for by that curve is the answer at the rate.
It is one at the small runs' length: how a rate does over a longer run is not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hanhua.core.wish import Wish
from hanhua.mix.config import MixConfig
from hanhua.mix.fitted import Fitted
from hanhua.mix.laws import Floats
from hanhua.mix.points import Point, Study
from hanhua.mix.proxy import Small, small_runs
from hanhua.mix.recommend import GRID, choose
from hanhua.tokens.config import TokensConfig
from hanhua.train.config import TrainConfig


@dataclass(frozen=True, slots=True)
class AtRate:
    """What was measured at a peak learning rate, and what the wish asks for there.

    Args:
        learning_rate: the peak.
        share: of the target that the wish asks for.
        met: whether the wish is met there.
        points: measured, the least share first.
    """

    learning_rate: float
    share: float
    met: bool
    points: tuple[Point, ...]


def at_rate(
    tokens: TokensConfig, training: TrainConfig, mix: MixConfig, shares: Mapping[str, float],
    target: str, rate: float,
) -> Small:  # fmt: skip
    """The longest small run of a mixture, with another peak learning rate.

    Phases that have a learning rate of their own keep its ratio to the peak.

    Args:
        tokens: the recipe's section.
        training: the recipe's section.
        mix: how long the small runs are.
        shares: of the mixture.
        target: the language to gain.
        rate: the peak.
    """
    times = rate / training.learning_rate
    phases = tuple(
        phase.model_copy(update={"learning_rate": phase.learning_rate * times})
        if phase.learning_rate else phase for phase in training.phases
    )  # fmt: skip
    changed = training.model_copy(update={"learning_rate": rate, "phases": phases})
    return replace(small_runs(tokens, changed, mix, shares, target)[-1], rate=rate)


def three_of(shares: Sequence[float]) -> tuple[float, ...]:
    """The least, the middle and the greatest of some shares."""
    found = sorted(set(shares))
    return found[0], found[len(found) // 2], found[-1]


def by_learning_rate(
    study: Study, fits: Mapping[str, Fitted], wish: Wish, own_rate: float,
    others: Mapping[float, Sequence[Point]],
) -> tuple[float, list[AtRate]]:  # fmt: skip
    """The answer at each learning rate that was tried, the recipe's own among them.

    Args:
        study: what was measured at the recipe's own.
        fits: of both languages.
        wish: what is wanted.
        own_rate: the recipe's.
        others: learning rate -> ends of the runs that were made with it.

    Returns:
        Tokens of the runs, and the answers in order of their rates; none if no other was tried.
    """
    if not others:
        return 0.0, []
    longest = study.longest
    own = {point.run: point for point in study.points if point.tokens == longest}
    grid = np.linspace(study.shares[0], study.shares[-1], GRID)
    plain = {name: fit.predict(grid, longest) for name, fit in fits.items()}
    found = []
    for rate, points in others.items():
        pairs = [(replace(own[point.run], share=point.share), point) for point in points]
        bent = {name: plain[name] * _times(pairs, name, grid) for name in plain}
        found.append(_answer(study, wish, grid, bent, rate, [point for _, point in pairs]))
        base = [one for one, _ in pairs]
    found.append(_answer(study, wish, grid, plain, own_rate, base))
    return longest, sorted(found, key=lambda one: one.learning_rate)


def _times(pairs: Sequence[tuple[Point, Point]], language: str, grid: Floats) -> Floats:
    """``[grid]`` what the law is multiplied by."""
    shares = [one.share for one, _ in pairs]
    ratios = [other.losses[language] / one.losses[language] for one, other in pairs]
    slope, height = np.polyfit(shares, np.log(ratios), 1)
    return np.asarray(np.exp(height + slope * grid))


def _answer(
    study: Study, wish: Wish, grid: Floats, losses: Mapping[str, Floats], rate: float,
    points: Sequence[Point],
) -> AtRate:  # fmt: skip
    best, met = choose(study, wish, losses[study.target][None], losses[study.source][None])
    ordered = tuple(sorted(points, key=lambda point: point.share))
    return AtRate(rate, float(grid[best[0]]), bool(met[0]), ordered)
