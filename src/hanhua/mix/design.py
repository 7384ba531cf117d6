"""Which mixtures to run next: those that make the law's parameters best known.

D-optimal: of all shares the one is taken, again and again, that most enlarges the determinant of
the information about the parameters. Before anything is known, a typical law of each language
stands for the one to be found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hanhua.core.errors import UsageError
from hanhua.mix.fit import Fitted
from hanhua.mix.laws import Floats, Law, named

GRID = 91
MOMENTS = (0.25, 0.5, 0.75, 1.0)
"""Of a run, at which its loss is taken."""
RIDGE = 1e-4
STEP = 1e-4
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
    apart = (high - low) / (2 * (n + len(done)))
    near = np.abs(grid[:, None] - every[None]) < apart
    chosen = _greedy(slopes, n, near)
    return sorted(round(float(grid[at]), 3) for at in chosen)


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
