"""Which mixtures to run next: those that make the law, or the answer, best known.

D-optimal: of all shares the one is taken, again and again, that most enlarges the determinant of
the information about the parameters. Before anything is known, a typical law of each language
stands for the one to be found.

Once laws are known (:func:`plan_more`), what counts is the answer: among the bootstrap's draws,
each with an answer of its own, that share is taken whose losses would leave the answers least
apart (c-optimal, for the answer as it is and not for its slope at one law).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hanhua.core.errors import UsageError
from hanhua.core.wish import Wish
from hanhua.mix.fitted import Fitted
from hanhua.mix.laws import Floats, Law, named
from hanhua.mix.points import Study
from hanhua.mix.recommend import choose

GRID = 91
MOMENTS = (0.25, 0.5, 0.75, 1.0)
"""Of a run, at which its loss is taken."""
RIDGE = 1e-4
STEP = 1e-4
STILL = 1e-6
"""Answers that lie no further apart are one."""
MOST_LENGTHS = 3
LEAST_SPREAD = 1e-5
"""Of a loss about the law, as a part of the base's."""
TYPICAL: tuple[tuple[str, tuple[float, ...], bool], ...] = (
    ("anchored", (-2.8, 3.5, -1.5, -4.2, 0.35), False),
    ("settling_gain", (-1.2, 0.3, -1.0, 0.4), True),
)
"""Law, parameters, whether of the target language: near those of published runs."""


def plan_runs(
    n: int, *, low: float = 0.1, high: float = 0.95, done: Sequence[float] = (),
    fits: Mapping[str, Fitted] | None = None,
) -> list[float]:  # fmt: skip
    """Shares of the target language to run next, in order of size.

    Args:
        n: how many.
        low: least share.
        high: greatest share.
        done: shares that were run already.
        fits: laws found so far; without them typical ones are taken.

    Raises:
        UsageError: when there is no such range or nothing to plan.
    """
    if n < 1 or not 0 <= low < high <= 1:
        raise UsageError(
            "Runs are planned between two shares from 0 to 1.", found=f"{n} from {low} to {high}",
            fix="ask for one run at least, and a range such as 0.1 to 0.95",
        )  # fmt: skip
    grid = np.linspace(low, high, GRID)
    known = [(named(fit.law), fit.parameters, fit.is_target) for fit in (fits or {}).values()] or [
        (named(law), np.array(parameters), mine) for law, parameters, mine in TYPICAL
    ]
    every = np.append(grid, done)
    slopes = [_slopes(law, parameters, mine, every) for law, parameters, mine in known]
    chosen = _greedy(slopes, n, _near(grid, done, n))
    return sorted(round(float(grid[at]), 3) for at in chosen)


def plan_more(
    n: int, study: Study, fits: Mapping[str, Fitted], wish: Wish, tokens: float, *,
    most: float = 1.0,
) -> list[float]:  # fmt: skip
    """Shares to run besides those of a study, for its answer to be surer; in order of size.

    They lie within the range that was run; on the side of an answer at its edge, up to half way
    from there to the end.

    Args:
        n: how many.
        study: what was measured.
        fits: of both languages.
        wish: what is wanted.
        tokens: of the run to come.
        most: greatest share there can be.
    """
    target, source = fits[study.target], fits[study.source]
    inner = np.linspace(study.shares[0], study.shares[-1], GRID)
    best, _ = choose(study, wish, *(fit.predict(inner, tokens)[None] for fit in (target, source)))
    low, high = study.shares[0], study.shares[-1]
    low = low / 2 if best[0] == 0 else low
    high = (high + most) / 2 if best[0] == GRID - 1 else high
    grid = np.linspace(low, high, GRID)
    drawn = [fit.predict_draws(grid, tokens) for fit in (target, source)]
    answers = grid[choose(study, wish, *drawn)[0]]
    if np.std(answers) < STILL:  # none is in doubt: what lies beyond the edge, if anything, is
        low = study.shares[-1] if high > study.shares[-1] else low
        high = study.shares[0] if low < study.shares[0] else high
        return plan_runs(n, low=low, high=high, done=study.shares, fits=fits)
    told = np.concatenate([_told(study, fit, grid) for fit in (target, source)], 2)
    chosen = _surest(answers, told, n, _near(grid, study.shares, n))
    return sorted(round(float(grid[at]), 4) for at in chosen)


def _told(study: Study, fitted: Fitted, grid: Floats) -> Floats:
    """``[draws, grid, lengths]`` losses that a run would show, in units of how far one scatters."""
    lengths = np.unique([p.tokens for p in study.points if p.tokens <= study.longest])
    lengths = lengths[np.linspace(0, len(lengths) - 1, min(len(lengths), MOST_LENGTHS)).astype(int)]
    spread = max(fitted.spread, LEAST_SPREAD * fitted.base)
    return np.asarray(fitted.predict_draws(grid[:, None], lengths[None]) / spread)


def _surest(answers: Floats, told: Floats, n: int, near: Floats) -> list[int]:
    """Places on the grid, each the one whose losses would tell most of the answer.

    Answers and losses are taken as jointly normal with the draws' covariance; a place that is
    taken is conditioned on.
    """
    draws, places, each = told.shape
    all_ = np.concatenate([answers[:, None], told.reshape(draws, -1)], 1)
    spread = np.cov(all_.T)
    chosen: list[int] = []
    for _ in range(n):
        gains = np.full(places, -np.inf)
        solved = []
        for place in range(places):
            at = 1 + place * each + np.arange(each)
            solved.append((at, np.linalg.inv(spread[np.ix_(at, at)] + np.eye(each))))
            gains[place] = spread[0, at] @ solved[-1][1] @ spread[at, 0]
        gains[near[:, GRID:].any(1) | near[:, chosen].any(1)] -= 1e6
        gains[chosen] = -np.inf
        best = int(np.argmax(gains))
        chosen.append(best)
        at, inverse = solved[best]
        spread = spread - spread[:, at] @ inverse @ spread[at]
    return chosen


def _near(grid: Floats, done: Sequence[float], n: int) -> Floats:
    """``[grid, grid + done]`` whether two places are so near that one says little beside the other.

    Half as far as runs are apart, if they were spread evenly.
    """
    every = np.append(grid, done)
    apart = (grid[-1] - grid[0]) / (2 * (n + len(done)))
    return np.asarray(np.abs(grid[:, None] - every[None]) < apart)


def _greedy(slopes: list[Floats], n: int, near: Floats) -> list[int]:
    """Places on the grid, each the best beside those before and those that were run.

    Places near others are passed over: a run beside another tells of scatter, but shows no law
    that was not thought of.
    """
    states = [
        RIDGE * np.eye(one.shape[2]) + np.einsum("rmi,rmj->ij", one[GRID:], one[GRID:])
        for one in slopes
    ]
    chosen: list[int] = []
    for _ in range(n):
        gains = np.zeros(GRID)
        for one, state in zip(slopes, states, strict=True):
            more = state + np.einsum("rmi,rmj->rij", one[:GRID], one[:GRID])
            gains += np.linalg.slogdet(more)[1] - np.linalg.slogdet(state)[1]
        taken = near[:, GRID:].any(1) | near[:, chosen].any(1)
        gains[taken] -= 1e6  # Taken only where no other is left.
        gains[chosen] = -np.inf
        best = int(np.argmax(gains))
        chosen.append(best)
        states = [
            state + one[best].T @ one[best] for one, state in zip(slopes, states, strict=True)
        ]
    return chosen


def _slopes(law: Law, parameters: Floats, mine: bool, shares: Floats) -> Floats:
    """``[shares, moments, p]`` of the loss by each parameter, over its range in the box."""
    own = (shares if mine else 1 - shares)[:, None]
    moments = np.array(MOMENTS)[None]
    width = np.array(law.high) - np.array(law.low)
    columns = []
    for i, range_of in enumerate(width):
        by = np.zeros(len(width))
        by[i] = STEP * range_of
        ahead = law.form((parameters + by)[:, None, None], own, moments)
        behind = law.form((parameters - by)[:, None, None], own, moments)
        columns.append((ahead - behind) / (2 * STEP))
    # In units of what a run scatters, a thousandth of the base's loss.
    return np.stack(columns, -1) * 1e3
