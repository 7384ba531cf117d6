"""The points of several sizes as one table, and a law over sizes fitted to parts of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hanhua.mix.bootstrap import replicates
from hanhua.mix.fit import fit_law as fit_plain
from hanhua.mix.fit import last_tokens
from hanhua.mix.laws import Floats, Law
from hanhua.mix.laws_size import SAME, SizedLaw
from hanhua.mix.solve import Model, solve
from hanhua.mix.table import Table

STARTS = 6
LEAST_SCALE = 1e-5
WIDE = 0.05


@dataclass(frozen=True, slots=True)
class Pool:
    """The points of all sizes.

    Args:
        table: of all points; losses as parts of each size's own base.
        size: ``[n]`` as a part of the largest.
    """

    table: Table
    size: Floats


def pooled(tables: Sequence[Table], sizes: Sequence[float]) -> Pool:
    """All points as one table: tokens as parts of any's longest run, runs numbered on."""
    unit = max(one.unit for one in tables)
    runs, orders = _numbered_on([t.runs for t in tables]), _numbered_on([t.orders for t in tables])
    table = Table(
        np.concatenate([one.share for one in tables]),
        np.concatenate([one.tokens * one.unit / unit for one in tables]),
        np.concatenate([one.loss for one in tables]), runs, orders,
        tables[-1].base, unit, tables[-1].is_target, _floor(tables),
    )  # fmt: skip
    parts = [np.full(len(t.loss), size / sizes[-1]) for t, size in zip(tables, sizes, strict=True)]
    return Pool(table, np.concatenate(parts))


def _numbered_on(parts: Sequence[Floats]) -> Floats:
    """Numbers of several tables, each table's behind those of the one before."""
    found, before = [], 0
    for part in parts:
        found.append(part + before)
        before += int(part.max()) + 1
    return np.concatenate(found)


def folds(pool: Pool) -> dict[str, Floats]:
    """Kind -> ``[folds, n]``, 0 where a fold leaves a point out.

    Mixtures and last tokens are left out of all sizes at once; of sizes the largest, and with
    four or more also the two largest.
    """
    shares, sizes = np.round(pool.table.share, 2), np.unique(pool.size)
    mixtures = np.asarray(shares != np.unique(shares)[:, None], float)
    found = {"mixtures": mixtures if len(mixtures) > 2 else mixtures[:0],
             "tokens": last_tokens(np.exp(np.round(np.log(pool.table.tokens), 2)))}  # fmt: skip
    cuts = sizes[2:][-2:]
    found["sizes"] = np.asarray(pool.size < cuts[:, None], float)
    return {kind: kept for kind, kept in found.items() if len(kept)}


def plain_of(law: Law, table: Table, seed: int) -> Floats:
    """Parameters of a law for the largest size alone, from many starts."""
    return np.asarray(fit_plain(law, table, np.ones((1, len(table.loss))), seed=seed)[0][0])


def errors_of(
    law: SizedLaw, pool: Pool, kinds: Mapping[str, Floats], plain: Floats, seed: int
) -> dict[str, float]:
    """Mean absolute error of each kind, as a part of the loss."""
    kept = np.concatenate(list(kinds.values()))
    parameters, _ = fit_law(law, pool, kept, plain, seed=seed)
    with np.errstate(over="ignore", invalid="ignore"):
        predicted = _model(law, pool)(parameters.T[:, :, None])
    off = np.abs(predicted - pool.table.loss) / pool.table.loss
    each = np.array([row[weight == 0].mean() for row, weight in zip(off, kept, strict=True)])
    ends = np.cumsum([len(one) for one in kinds.values()])[:-1]
    parts = np.split(each, ends)
    return {kind: float(part.mean()) for kind, part in zip(kinds, parts, strict=True)}


def drift_of(
    law: SizedLaw, pool: Pool, kinds: Mapping[str, Floats], plain: Floats, seed: int
) -> float:
    """Root mean square miss of the last tokens of all sizes, each time fitted without them."""
    kept = kinds.get("tokens")
    if kept is None:
        return 0.0
    parameters, _ = fit_law(law, pool, kept, plain, seed=seed)
    with np.errstate(over="ignore", invalid="ignore"):
        off = (_model(law, pool)(parameters.T[:, :, None]) / pool.table.loss - 1)[kept == 0]
    return float(np.sqrt((off**2).mean()))


def one_step(law: SizedLaw, pool: Pool, plain: Floats, seed: int) -> float:
    """How far the smaller of two sizes is from foretelling the larger, as a part of the loss.

    Nothing checks a power that two sizes set; so their whole difference counts as unsure.
    """
    kept = np.asarray(pool.size < pool.size.max(), float)[None]
    one = SizedLaw(law.law, SAME)
    return errors_of(one, pool, {"sizes": kept}, plain, seed)["sizes"]


def fit_law(
    law: SizedLaw, pool: Pool, kept: Floats, plain: Floats, *, seed: int
) -> tuple[Floats, Floats]:
    """Fit from about the largest size's own law, first to squares, then robustly.

    Args:
        law: to fit.
        pool: of one language.
        kept: ``[folds, n]`` weights; every fold is fitted by itself.
        plain: ``[p]`` of the law of share and tokens.
        seed: of the starts.

    Returns:
        Parameters ``[folds, p]`` and the scale of residuals ``[folds]``.
    """
    one, n_folds = law.at(pool.size), len(kept)
    low, high = np.array(one.low), np.array(one.high)
    rng = np.random.default_rng(seed)
    middle = np.concatenate([plain, law.way.none])
    starts = np.clip(
        middle + 0.2 * (high - low) * rng.standard_normal((STARTS, len(low))), low, high
    )
    starts[0] = middle
    model = _model(law, pool)
    targets = np.broadcast_to(pool.table.loss, (n_folds * STARTS, len(pool.size)))
    found, costs = solve(
        model, (low, high), np.tile(starts, (n_folds, 1)), targets,
        weights=np.repeat(kept, STARTS, 0), scale=np.full(n_folds * STARTS, WIDE), steps=40,
    )  # fmt: skip
    best = np.argmin(costs.reshape(n_folds, STARTS), 1)
    parameters = found.reshape(n_folds, STARTS, -1)[np.arange(n_folds), best]
    off = np.abs(model(parameters.T[:, :, None]) - pool.table.loss)
    middles = np.array([np.median(row[w > 0]) for row, w in zip(off, kept, strict=True)])
    scale = np.maximum(2 * 1.4826 * middles, LEAST_SCALE)
    parameters, _ = solve(
        model, (low, high), parameters, targets[:n_folds], weights=kept, scale=scale
    )  # fmt: skip
    return parameters, scale


def replicated(
    law: SizedLaw, pool: Pool, plain: Floats, draws: int, seed: int
) -> tuple[Floats, Floats]:
    """Parameters ``[p]`` fitted to all, and ``[draws, p]`` to replicates of it."""
    table = pool.table
    parameters, scale = fit_law(law, pool, np.ones((1, len(table.loss))), plain, seed=seed)
    model, one = _model(law, pool), law.at(pool.size)
    predicted = model(parameters.T[:, :, None])[0]
    made = replicates(
        one, predicted, table.loss - predicted, table.runs, draws, seed, table.floor, table.orders
    )  # fmt: skip
    drawn, _ = solve(
        model, (np.array(one.low), np.array(one.high)), np.repeat(parameters, draws, 0), made,
        weights=np.ones_like(made), scale=np.repeat(scale, draws), steps=25,
    )  # fmt: skip
    return parameters[0], drawn


def _floor(tables: Sequence[Table]) -> tuple[float, float]:
    """Between orders of the documents, over the sizes together."""
    freedom = sum(one.floor[1] for one in tables)
    squares = sum(one.floor[0] ** 2 * one.floor[1] for one in tables)
    return (float(np.sqrt(squares / freedom)), freedom) if freedom else (0.0, 0.0)


def _model(law: SizedLaw, pool: Pool) -> Model:
    table = pool.table
    return lambda parameters: law.form(parameters, table.share, table.tokens, pool.size)
