"""Least squares for many problems at once: Levenberg and Marquardt's steps within a box.

A study asks for thousands of small fits (starts, folds, bootstrap draws) of one law with few
parameters. Done as one array they take a second; one call of a general solver for each takes
minutes (docs/adr/0006-mixture-laws.md).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hanhua.mix.laws import Floats

Model = Callable[[Floats], Floats]
"""Parameters ``[p, batch, 1]`` -> predictions ``[batch, n]``."""
STEP = 1e-6
"""Of a difference quotient, as a part of a parameter's range."""
DAMPING = (1e-9, 1e9)


def solve(
    model: Model, box: tuple[Floats, Floats], starts: Floats, targets: Floats, *,
    weights: Floats, scale: Floats, steps: int = 60,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Least ``sum w rho((model - target) / scale)`` with ``rho(z) = 2 (sqrt(1 + z^2) - 1)``.

    Args:
        model: what is fitted.
        box: least and greatest parameters, ``[p]`` each.
        starts: ``[batch, p]``.
        targets: ``[batch, n]``.
        weights: ``[batch, n]``, 0 for what is left out.
        scale: ``[batch]`` residuals beyond it count less than their square.
        steps: tried at most.

    Returns:
        Parameters ``[batch, p]`` and costs ``[batch]``.
    """
    low, width = box[0], box[1] - box[0]
    scale = scale[:, None]

    def residuals(unit: Floats) -> Floats:
        return np.asarray((model((low + unit * width).T[:, :, None]) - targets) / scale)

    def costs(off: Floats) -> Floats:
        total = (weights * 2 * (np.sqrt(1 + off * off) - 1)).sum(1)
        return np.where(np.isfinite(total), total, np.inf)

    with np.errstate(over="ignore", invalid="ignore"):
        unit = np.clip((starts - low) / width, 0, 1)
        off = residuals(unit)
        cost, damping, still = costs(off), np.full(len(unit), 1e-2), 0
        for _ in range(steps):
            new = np.clip(unit - _step(residuals, unit, off, weights, damping), 0, 1)
            new_off = residuals(new)
            new_cost = costs(new_off)
            better = new_cost < cost
            gained = np.where(better, cost - new_cost, 0) > 1e-9 * (cost + 1e-30)
            unit = np.where(better[:, None], new, unit)
            off = np.where(better[:, None], new_off, off)
            cost = np.where(better, new_cost, cost)
            damping = np.clip(np.where(better, damping / 4, damping * 5), *DAMPING)
            still = 0 if gained.any() else still + 1
            if still > 5:
                break
    return low + unit * width, cost


def _step(
    residuals: Callable[[Floats], Floats], unit: Floats, off: Floats, weights: Floats,
    damping: Floats,
) -> Floats:  # fmt: skip
    """``[batch, p]`` the damped step; a parameter that pushes against its bound stays."""
    count = unit.shape[1]
    slopes = np.empty((*off.shape, count))
    for i in range(count):
        moved = unit.copy()
        by = np.where(unit[:, i] > 0.5, -STEP, STEP)
        moved[:, i] += by
        slopes[:, :, i] = (residuals(moved) - off) / by[:, None]
    slopes = np.nan_to_num(slopes, posinf=0, neginf=0)
    pull = np.nan_to_num(weights / np.sqrt(1 + off * off))
    weighted = slopes * pull[:, :, None]
    across = weighted.transpose(0, 2, 1)
    normal = across @ slopes
    slope = (across @ np.nan_to_num(off)[:, :, None])[:, :, 0]
    held = ((unit <= 0) & (slope > 0)) | ((unit >= 1) & (slope < 0))
    free = (~held).astype(float)
    normal = normal * free[:, :, None] * free[:, None, :]
    size = np.einsum("bii->bi", normal)
    ridge = damping[:, None] * (size + 1e-3 * size.max(1, keepdims=True)) + 1e-12 + held
    normal[:, np.arange(count), np.arange(count)] += ridge
    return np.asarray(np.linalg.solve(normal, (slope * free)[:, :, None])[:, :, 0])
