"""What was measured at many shares of one length, as a curve that knows its own doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hanhua.core.wish import Wish
from hanhua.mix.points import Point, Study
from hanhua.mix.recommend import choose

GRID = 501
DRAWS = 2000


@dataclass(frozen=True)
class Curve:
    """A parabola over the share through all orders' runs, each order with a level of its own.

    Args:
        grid: ``[g]`` shares from the least to the greatest that was measured.
        mean: ``[g]`` losses.
        draws: ``[draws, g]`` of them as they may be (Student's t of the residuals).
        scatter: standard deviation of a run about the curve.
        apart: how far two orders' levels lie apart; 0 with one order.
    """

    grid: np.ndarray
    mean: np.ndarray
    draws: np.ndarray
    scatter: float
    apart: float


def curve(points: Sequence[Point], language: str, *, seed: int = 0) -> Curve:
    """Fit it.

    Args:
        points: of one length.
        language: whose losses.
        seed: of the draws.
    """
    share = np.array([point.share for point in points])
    loss = np.array([point.losses[language] for point in points])
    orders = sorted({point.seed for point in points})
    level = np.array([[point.seed == one for one in orders] for point in points], float)
    design = np.concatenate([level, share[:, None], share[:, None] ** 2], 1)
    found, *_ = np.linalg.lstsq(design, loss, rcond=None)
    freedom = len(loss) - design.shape[1]
    scatter = float(np.sqrt(((loss - design @ found) ** 2).sum() / max(freedom, 1)))
    grid = np.linspace(share.min(), share.max(), GRID)
    at = np.concatenate([
        np.full((GRID, len(orders)), 1 / len(orders)), grid[:, None], grid[:, None] ** 2
    ], 1)  # fmt: skip
    rng = np.random.default_rng(seed)
    spread = np.linalg.cholesky(np.linalg.inv(design.T @ design))
    wide = np.sqrt(max(freedom, 1) / rng.chisquare(max(freedom, 1), (DRAWS, 1)))
    drawn = found + wide * scatter * rng.standard_normal((DRAWS, len(found))) @ spread.T
    return Curve(grid, at @ found, drawn @ at.T, scatter, float(np.ptp(found[: len(orders)])))


@dataclass(frozen=True)
class Best:
    """The best share of a wish by what was measured.

    Args:
        share: the best.
        low: 5th percentile.
        high: 95th percentile.
        met: whether the wish is met there.
    """

    share: float
    low: float
    high: float
    met: bool


def best_of(study: Study, curves: Mapping[str, Curve], wish: Wish) -> Best:
    """The best share on the fine grid, and where it may lie."""
    grid = curves[study.target].grid
    names = study.target, study.source
    at, met = choose(study, wish, *(curves[name].mean[None] for name in names))
    each, _ = choose(study, wish, *(curves[name].draws for name in names))
    low, high = np.quantile(grid[each], (0.05, 0.95))
    return Best(float(grid[at[0]]), float(low), float(high), bool(met[0]))


def regret(
    study: Study, curves: Mapping[str, Curve], best: float, share: float
) -> tuple[float, float, float]:
    """How much higher the sum of losses is at a share than at the best, as a part of it; 90 %."""
    grid = curves[study.target].grid
    at, there = (int(np.abs(grid - one).argmin()) for one in (share, best))
    names = study.target, study.source
    mean = sum(curves[name].mean / study.base[name] for name in names)
    draws = sum(curves[name].draws / study.base[name] for name in names)
    low, high = np.quantile(draws[:, at] / draws[:, there] - 1, (0.05, 0.95))
    return float(mean[at] / mean[there] - 1), float(low), float(high)
