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

from hanhua.mix.bootstrap import LEAST_FREEDOM
from hanhua.mix.fitted import Fitted
from hanhua.mix.laws import Floats, Form
from hanhua.mix.laws_size import SIZED, SizedLaw
from hanhua.mix.points import Study
from hanhua.mix.pool import drift_of, errors_of, folds, one_step, plain_of, pooled, replicated
from hanhua.mix.table import as_table

NEARLY = 1.25
"""Times the least held-out error: up to it a law may be chosen, and has a part in the bootstrap."""
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
            one.drift, one.seed_spread, one._table, size=size / self.sizes[-1],
            own_base=self.base_at(size),
            off={law: off * signs for law, signs in self._signs.items()},
            sized={law.name: law for law in SIZED if law.name in one.draws},
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
    plain = {name: plain_of(one, tables[-1], seed) for name, one in starts.items()}
    each = {law.name: errors_of(law, pool, kinds, plain[law.law.name], seed) for law in laws}
    errors = {name: float(np.mean(list(found.values()))) for name, found in each.items()}
    near = [law for law in laws if errors[law.name] <= NEARLY * min(errors.values())]
    near.sort(key=lambda law: (len(law.way.none), errors[law.name]))
    parts = [len(part) for part in np.array_split(np.arange(draws), len(near))]
    made = [
        replicated(law, pool, plain[law.law.name], part, seed)
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
        drift_of(best, pool, kinds, plain[best.law.name], seed), floor[0], table,
    )  # fmt: skip
    rng = np.random.default_rng((seed, 2))
    signs = {
        law.name: rng.standard_t(LEAST_FREEDOM, part) for law, part in zip(near, parts, strict=True)
    }
    size_error = each[best.name].get("sizes")
    off = one_step(best, pool, plain[best.law.name], seed) if size_error is None else size_error
    return JointFit(
        best.name, errors[best.name], size_error, errors, tuple(sizes), bases, one, off, signs
    )
