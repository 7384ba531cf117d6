"""One language's law over share, tokens and model size, from studies of several sizes.

As in :mod:`hanhua.mix.fit` the law is chosen by what it says of runs that it has not seen. To
mixtures and last tokens a third kind comes: the largest sizes, because the law must speak for a
model that was not run. That third error stands by itself, too: the curve of a size that was not
measured is as unsure as the law was off there, times how much further it reaches.

Of laws that do about as well the one with the fewest exponents is taken: three or four sizes bear
no more, and what a third exponent gains on sizes left out it has lost on published runs further
on (benchmarks/2026-11-27-mixture-size.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hanhua.mix.bootstrap import LEAST_FREEDOM, replicates
from hanhua.mix.fit import Fitted, Table, as_table, last_tokens
from hanhua.mix.fit import fit_law as fit_plain
from hanhua.mix.laws import Floats, Form, Law
from hanhua.mix.laws_size import SAME, SIZED, SizedLaw
from hanhua.mix.points import Study
from hanhua.mix.solve import Model, solve

NEARLY = 1.25
"""Times the least held-out error: up to it a law may be chosen, and has a part in the bootstrap."""
STARTS = 6
LEAST_SCALE = 1e-5
WIDE = 0.05
SAME_SIZE = 1.01
"""Times a size: up to it another is the same."""
BETWEEN = 0.5
"""Of the step that was left out: how far a size between measured ones lies from them."""


@dataclass(frozen=True)
class AtSize(Fitted):
    """A joint law at one size: what :class:`Fitted` is for one model.

    Args:
        size: as a part of the largest measured.
        own_base: loss of a model of this size before its first step.
        off: law -> ``[draws]`` part of the loss by which the curve of a size that was not measured
            may lie off.
        sized: law -> its form with size.
    """

    size: float = 1.0
    own_base: float = 1.0
    off: Mapping[str, Floats] = field(default_factory=dict, repr=False)
    sized: Mapping[str, SizedLaw] = field(default_factory=dict, repr=False)

    @property
    def base(self) -> float:
        """Loss before the first step, at this size."""
        return self.own_base

    def form(self, law: str) -> Form:
        """The law at this size."""
        return self.sized[law].at(np.asarray(self.size)).form

    def predict_draws(self, share: float | Floats, tokens: float | Floats) -> Floats:
        """``[draws, ...]`` losses by every bootstrap replicate, each a little off as a whole."""
        drawn = super().predict_draws(share, tokens)
        off = np.concatenate([self.off[law] for law in self.draws])
        return np.asarray(drawn * (1 + off.reshape(-1, *(1,) * (drawn.ndim - 1))))


@dataclass(frozen=True, slots=True)
class JointFit:
    """A law of share, tokens and size.

    Args:
        law: its name.
        held_out_error: mean absolute error on mixtures, tokens and sizes left out, as a part of
            the loss.
        size_error: the same on the largest size left out alone; None with fewer than three sizes.
        errors: law -> held-out error, of all that were tried.
        sizes: parameters of the models, in order.
        bases: loss of each before its first step.
    """

    law: str
    held_out_error: float
    size_error: float | None
    errors: dict[str, float] = field(repr=False)
    sizes: tuple[float, ...]
    bases: tuple[float, ...]
    _fitted: Fitted = field(repr=False)
    _off: float = field(repr=False)
    _signs: dict[str, Floats] = field(repr=False)

    def at(self, size: float) -> AtSize:
        """The law at a size.

        Args:
            size: parameters of the model.
        """
        one = self._fitted
        off = self._off * self.reach(size)
        return AtSize(
            self.law, self.held_out_error, self.errors, one.parameters, one.draws, one.spread,
            one.drift, one.seed_spread, one._table, size / self.sizes[-1], self.base_at(size),
            {law: off * signs for law, signs in self._signs.items()},
            {law.name: law for law in SIZED if law.name in one.draws},
        )  # fmt: skip

    def measured(self, size: float) -> int | None:
        """Which of the sizes it is; None if it was not measured."""
        near = [max(size / one, one / size) for one in self.sizes]
        return int(np.argmin(near)) if min(near) <= SAME_SIZE else None

    def reach(self, size: float) -> float:
        """How far a size lies from those measured, in steps like the last; 0 if it is one."""
        if self.measured(size) is not None or len(self.sizes) < 2:
            return 0.0
        step = np.log(self.sizes[-1] / self.sizes[-2])
        beyond = max(np.log(size / self.sizes[-1]), np.log(self.sizes[0] / size))
        return float(max(beyond / step, BETWEEN))

    def base_at(self, size: float) -> float:
        """The base's loss: measured, or by a line through logarithms of loss and size.

        Between two sizes it is theirs; beyond, a line through all.
        """
        known = self.measured(size)
        if known is not None:
            return self.bases[known]
        x, y = np.log(self.sizes), np.log(self.bases)
        at = np.log(size)
        inside = x[0] <= at <= x[-1]
        found = np.interp(at, x, y) if inside else np.polyval(np.polyfit(x, y, 1), at)
        return float(np.exp(found))


@dataclass(frozen=True, slots=True)
class Pool:
    """The points of all sizes.

    Args:
        table: of all points; losses as parts of each size's own base.
        size: ``[n]`` as a part of the largest.
    """

    table: Table
    size: Floats


def fit_sizes(
    studies: Mapping[float, Study], language: str, *, seed: int = 0, draws: int = 200,
    laws: Sequence[SizedLaw] = SIZED,
) -> JointFit:  # fmt: skip
    """Choose a law over sizes for one language by its error on what is left out; fit it to all.

    Of those whose error is at most :data:`NEARLY` times the least, the one with fewest exponents.

    Args:
        studies: parameters of the model -> what was measured of it; two sizes at least.
        language: their target or their source.
        seed: of starts and bootstrap.
        draws: of the bootstrap.
        laws: tried.

    Raises:
        InputError: when a study has fewer than two mixtures or four points of the language.
    """
    sizes = sorted(studies)
    tables = [as_table(studies[size], language) for size in sizes]
    pool = pooled(tables, sizes)
    kinds = folds(pool)
    starts = {law.law.name: law.law for law in laws}
    plain = {name: _plain(one, tables[-1], seed) for name, one in starts.items()}
    each = {law.name: _errors(law, pool, kinds, plain[law.law.name], seed) for law in laws}
    errors = {name: float(np.mean(list(found.values()))) for name, found in each.items()}
    near = [law for law in laws if errors[law.name] <= NEARLY * min(errors.values())]
    near.sort(key=lambda law: (len(law.way.none), errors[law.name]))
    parts = [len(part) for part in np.array_split(np.arange(draws), len(near))]
    made = [
        _replicated(law, pool, plain[law.law.name], part, seed)
        for law, part in zip(near, parts, strict=True)
    ]  # fmt: skip
    best, parameters = near[0], made[0][0]
    table, floor = pool.table, pool.table.floor
    residuals = best.form(parameters, table.share, table.tokens, pool.size) - table.loss
    bases = tuple(one.base for one in tables)
    one = Fitted(
        best.name, errors[best.name], errors, parameters,
        {law.name: drawn for law, (_, drawn) in zip(near, made, strict=True)},
        max(float(np.std(residuals)), floor[0]) * bases[-1],
        _drift(best, pool, kinds, plain[best.law.name], seed), floor[0], table,
    )  # fmt: skip
    rng = np.random.default_rng((seed, 2))
    signs = {
        law.name: rng.standard_t(LEAST_FREEDOM, part) for law, part in zip(near, parts, strict=True)
    }
    size_error = each[best.name].get("sizes")
    off = _one_step(best, pool, plain[best.law.name], seed) if size_error is None else size_error
    return JointFit(
        best.name, errors[best.name], size_error, errors, tuple(sizes), bases, one, off, signs
    )


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


def _plain(law: Law, table: Table, seed: int) -> Floats:
    """Parameters of a law for the largest size alone, from many starts."""
    return np.asarray(fit_plain(law, table, np.ones((1, len(table.loss))), seed=seed)[0][0])


def _errors(
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


def _drift(
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


def _one_step(law: SizedLaw, pool: Pool, plain: Floats, seed: int) -> float:
    """How far the smaller of two sizes is from foretelling the larger, as a part of the loss.

    Nothing checks a power that two sizes set; so their whole difference counts as unsure.
    """
    kept = np.asarray(pool.size < pool.size.max(), float)[None]
    one = SizedLaw(law.law, SAME)
    return _errors(one, pool, {"sizes": kept}, plain, seed)["sizes"]


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


def _replicated(
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
