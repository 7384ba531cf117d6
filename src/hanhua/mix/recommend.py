"""From two fitted laws and a wish to a share, its interval, and how far it can be trusted.

A share is only ever recommended from within the range that was run. Every bootstrap replicate of
both laws gives an answer of its own; the interval is their middle part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hanhua.core.errors import UsageError
from hanhua.core.wish import Wish
from hanhua.mix.fitted import Fitted
from hanhua.mix.foretell import flat_range, of_a_run
from hanhua.mix.laws import Floats
from hanhua.mix.points import Study
from hanhua.mix.said import Said, together
from hanhua.mix.trust import doubts

GRID = 401
SHOWN = 21
TIMES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Token counts at which the answer is given besides, as parts of those asked for."""


@dataclass(frozen=True)
class Answer:
    """A recommended share of the target language.

    Args:
        share: from 0 to 1.
        low: of its interval.
        high: of its interval.
        sure: whether the runs can tell.
        flat: least and greatest share about it that are as good, but for
            :data:`hanhua.mix.foretell.FLAT` of the losses.
        why: what stands against it, or what it rests on; one sentence or more, and in Chinese.
        predicted: language -> loss at the share.
        predicted_low: language -> lower end of the interval of one run's loss.
        predicted_high: language -> upper end.
        pareto: (share, target's loss, source's loss) over the range that was run.
        cost_of_a_point: how much the source's loss rises for one more point of share.
        by_tokens: (tokens, share, low, high, whether the wish is met there).
    """

    share: float
    low: float
    high: float
    sure: bool
    flat: tuple[float, float]
    why: Said
    predicted: dict[str, float]
    predicted_low: dict[str, float]
    predicted_high: dict[str, float]
    pareto: list[tuple[float, float, float]] = field(repr=False)
    cost_of_a_point: float
    by_tokens: list[tuple[float, float, float, float, bool]] = field(repr=False)


def recommend(
    study: Study, fits: Mapping[str, Fitted], wish: Wish, tokens: float, *, level: float = 0.9
) -> Answer:
    """Recommend a share of the target language.

    Args:
        study: what was measured.
        fits: of its target and its source.
        wish: what is wanted.
        tokens: of the run to come.
        level: of the intervals, e.g. 0.9.

    Raises:
        UsageError: when tokens or level are out of range, or the wish names another language.
    """
    if not 0 < tokens < np.inf or not 0 < level < 1:
        raise UsageError(
            "Tokens must be more than 0, and the level between 0 and 1.",
            found=f"tokens {tokens}, level {level}", fix="ask for the tokens of the run to come",
        )  # fmt: skip
    edges = (1 - level) / 2, (1 + level) / 2
    grid = np.linspace(study.shares[0], study.shares[-1], GRID)
    share, low, high, met = _answer(study, fits, wish, grid, tokens, edges)
    against = doubts(study, fits, wish, tokens=tokens, answer=(share, low, high), met=met)
    losses = {name: fits[name].predict(grid, tokens) for name in (study.target, study.source)}
    names = tuple(losses)
    ends = {name: np.quantile(of_a_run(fits[name], share, tokens), edges) for name in names}
    slope = np.gradient(losses[study.source], grid) if grid[-1] > grid[0] else np.zeros(GRID)
    shown = np.linspace(0, GRID - 1, SHOWN).astype(int)
    rests = ", ".join(
        f"{name} by {fits[name].law} (error {fits[name].held_out_error:.1%})" for name in names
    )
    rests_zh = "；".join(
        f"{name} 用 {fits[name].law}（误差 {fits[name].held_out_error:.1%}）" for name in names
    )
    laws = Said(f"Rests on {rests}.", f"依据：{rests_zh}。")
    flat = flat_range(study, wish, grid, int(np.abs(grid - share).argmin()), losses)
    return Answer(
        share, low, high, not against, flat, together(against) if against else laws,
        predicted={name: float(fits[name].predict(share, tokens)) for name in names},
        predicted_low={name: max(float(ends[name][0]), 0.0) for name in names},
        predicted_high={name: float(ends[name][1]) for name in names},
        pareto=[(float(grid[i]), *(float(losses[name][i]) for name in names)) for i in shown],  # type: ignore[misc]
        cost_of_a_point=float(slope[np.abs(grid - share).argmin()]) / 100,
        by_tokens=[
            (tokens * times, *_answer(study, fits, wish, grid, tokens * times, edges))
            for times in TIMES
        ],
    )  # fmt: skip


def _answer(
    study: Study, fits: Mapping[str, Fitted], wish: Wish, grid: Floats, tokens: float,
    edges: tuple[float, float],
) -> tuple[float, float, float, bool]:  # fmt: skip
    """Share, interval, and whether the wish is met there."""
    target, source = fits[study.target], fits[study.source]
    losses = target.predict(grid, tokens)[None], source.predict(grid, tokens)[None]
    best, met = choose(study, wish, *losses)
    drawn = target.predict_draws(grid, tokens), source.predict_draws(grid, tokens)
    each, _ = choose(study, wish, *drawn)
    share = float(grid[best[0]])
    low, high = np.quantile(grid[each], edges) if len(each) else (share, share)
    return share, min(float(low), share), max(float(high), share), bool(met[0])


def choose(study: Study, wish: Wish, target: Floats, source: Floats) -> tuple[Floats, Floats]:
    """The best place on a grid of shares.

    Under a limit it is the place where the other language's loss is least; where none keeps the
    limit, the place that comes nearest.

    Args:
        study: for its base losses.
        wish: what is wanted.
        target: ``[n, grid]`` losses of the target language.
        source: ``[n, grid]`` losses of the source language.

    Returns:
        ``[n]`` places, and ``[n]`` whether the wish is met there.
    """
    if wish.kind == "best":
        total = target / study.base[study.target] + source / study.base[study.source]
        return np.argmin(total, 1), np.full(len(total), True)
    limit = wish.limit(study.base)
    limited, other = (source, target) if wish.language == study.source else (target, source)
    kept = limited <= limit
    met = np.asarray(kept.any(1))
    within = np.argmin(np.where(kept, other, np.inf), 1)
    return np.where(met, within, np.argmin(limited, 1)), met
