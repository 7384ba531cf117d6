"""What one run to come will measure, and within which shares it hardly matters which is taken."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hanhua.core.wish import Wish
from hanhua.mix.fitted import Fitted
from hanhua.mix.laws import Floats
from hanhua.mix.points import Study

FLAT = 0.003
"""Of a loss: shares that differ by less are as good as each other."""


def of_a_run(fitted: Fitted, share: float, tokens: float, *, seed: int = 0) -> Floats:
    """``[draws]`` losses that one run may measure: the law's replicates, and a run's own scatter.

    Args:
        fitted: law of a language.
        share: of the target language.
        tokens: that the run reads.
        seed: of the scatter.
    """
    drawn = fitted.predict_draws(share, tokens)
    scatter = np.random.default_rng((seed, 2)).standard_normal(len(drawn))
    return np.asarray(drawn + fitted.spread * scatter)


def flat_range(
    study: Study, wish: Wish, grid: Floats, at: int, losses: Mapping[str, Floats]
) -> tuple[float, float]:
    """The least and the greatest share about a recommended one that are as good, but for ``FLAT``.

    For the best sum: the sum of both losses, as parts of the base's, is no more than that above
    the recommended one's. Under a limit: neither the limit nor the other language's loss at the
    recommended share is passed by more than that.

    Args:
        study: for its base losses.
        wish: what is wanted.
        grid: ``[g]`` shares.
        at: place of the recommended one.
        losses: language -> ``[g]`` foretold.
    """
    if wish.kind == "best":
        one, other = (losses[name] / study.base[name] for name in (study.target, study.source))
        good = np.asarray(one + other <= (one + other)[at] * (1 + FLAT))
    else:
        most = {name: float(losses[name][at]) for name in (study.target, study.source)}
        most[wish.language] = max(most[wish.language], wish.limit(study.base))
        good = np.all([losses[name] <= most[name] * (1 + FLAT) for name in most], 0)
    low = high = at
    while low > 0 and good[low - 1]:
        low -= 1
    while high < len(grid) - 1 and good[high + 1]:
        high += 1
    return float(grid[low]), float(grid[high])
