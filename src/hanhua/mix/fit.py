"""One language's law, chosen by what it says of runs that it has not seen.

Two things are left out in turn: each mixture, as the law must speak for mixtures that were not
run; and the last tokens of all runs, as it must speak for a longer run. The law with the least
mean error of both is fitted to all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hanhua.mix.bootstrap import LEAST_FREEDOM, replicates
from hanhua.mix.fitted import Fitted
from hanhua.mix.laws import LAWS, Floats, Law
from hanhua.mix.misfit import GROWING, NONE, Misfit, misfit_of
from hanhua.mix.points import Study
from hanhua.mix.solve import Model, solve
from hanhua.mix.table import Ahead, Table, ahead_of, as_table

STARTS = 24
WIDE = 0.05
"""Of the base's loss: the scale of residuals before it is known."""
LEAST_SCALE = 1e-5
NEARLY = 1.25
"""Times the least held-out error: up to it a law has a part in the bootstrap."""
ALIKE = 3.0
"""Misses at two shares lie so many times nearer to each other than to 0, where one is known."""
LAST_TAKEN = 3
"""Token counts that are left out in turn, from the last one back."""


def fit(
    study: Study, language: str, *, seed: int = 0, draws: int = 200, laws: Sequence[Law] = LAWS
) -> Fitted:
    """Choose a law for one language by its error on what is left out, and fit it to all.

    Args:
        study: what was measured.
        language: its target or its source.
        seed: of starts and bootstrap.
        draws: of the bootstrap.
        laws: tried.

    Raises:
        InputError: when the study has fewer than two mixtures or four points of the language.
    """
    table = as_table(study, language)
    ahead = ahead_of(study, language, table)
    errors = {law.name: held_out_error(law, table, seed=seed) for law in laws}
    near = [law for law in laws if errors[law.name] <= NEARLY * min(errors.values())]
    near.sort(key=lambda law: errors[law.name])
    parts = [len(part) for part in np.array_split(np.arange(draws), len(near))]
    fitted = [_replicated(law, table, part, seed) for law, part in zip(near, parts, strict=True)]
    best, parameters = near[0], fitted[0][0]
    off = table.loss - best.form(parameters, table.share, table.tokens)
    freedom = max(len(off) - len(best.low) - int(table.orders.max()), LEAST_FREEDOM)
    spread = max(float(np.sqrt((off**2).sum() / freedom)), table.floor[0])
    return Fitted(
        best.name, errors[best.name], errors, parameters,
        {law.name: drawn for law, (_, drawn) in zip(near, fitted, strict=True)},
        spread * table.base, _drift(best, table, seed, ahead, parameters), table.floor[0], table,
        misfit := _misfit(best, table, parameters), ahead,
        _growth(best, parameters, ahead, misfit, spread, freedom) if ahead else NONE,
    )  # fmt: skip


def _replicated(law: Law, table: Table, draws: int, seed: int) -> tuple[Floats, Floats]:
    """Parameters ``[p]`` fitted to all, and ``[draws, p]`` to replicates of it."""
    parameters, scale = fit_law(law, table, np.ones((1, len(table.loss))), seed=seed)
    model = _model(law, table)
    predicted = model(parameters.T[:, :, None])[0]
    made = replicates(
        law, predicted, table.loss - predicted, table.runs, draws, seed, table.floor, table.orders
    )  # fmt: skip
    drawn, _ = solve(
        model, (np.array(law.low), np.array(law.high)), np.repeat(parameters, draws, 0), made,
        weights=np.ones_like(made), scale=np.repeat(scale, draws), steps=25,
    )  # fmt: skip
    return parameters[0], drawn


def held_out_error(law: Law, table: Table, *, seed: int = 0) -> float:
    """Mean absolute error, as a part of the loss, on mixtures and last tokens left out in turn."""
    kinds = [folds for folds in (_mixtures(table), last_tokens(table.tokens)) if len(folds)]
    if not kinds:
        return float("inf")
    kept = np.concatenate(kinds)
    parameters, _ = fit_law(law, table, kept, seed=seed)
    with np.errstate(over="ignore", invalid="ignore"):
        predicted = _model(law, table)(parameters.T[:, :, None])
    off = np.abs(predicted - table.loss) / table.loss
    each = np.array([row[weight == 0].mean() for row, weight in zip(off, kept, strict=True)])
    ends = np.cumsum([len(folds) for folds in kinds])[:-1]
    return float(np.mean([part.mean() for part in np.split(each, ends)]))


def _drift(
    law: Law, table: Table, seed: int, ahead: Ahead | None, parameters: Floats
) -> float:  # fmt: skip
    """Root mean square miss of a doubling of tokens; 0 where nothing tells of it.

    Of the last tokens, each time fitted without them, and of the run that is ahead.
    """
    found = []
    kept = last_tokens(table.tokens)
    if len(kept):
        fitted, _ = fit_law(law, table, kept, seed=seed)
        with np.errstate(over="ignore", invalid="ignore"):
            off = (_model(law, table)(fitted.T[:, :, None]) / table.loss - 1)[kept == 0]
        found.append(float((off**2).mean()))
    if ahead is not None:
        missed = ahead.miss(law.form(parameters, ahead.own, np.asarray(ahead.tokens)))
        found.append(float(np.mean((missed / np.log2(ahead.tokens)) ** 2)))
    return float(np.sqrt(np.mean(found))) if found else 0.0


def _misfit(law: Law, table: Table, parameters: Floats) -> Misfit:
    """What a law leaves at the longest length, by share; the mean of runs of one share."""
    last = table.tokens == table.tokens.max()
    own = np.unique(table.share[last])
    logs = np.array([np.log(table.loss[last & (table.share == one)]).mean() for one in own])
    left = logs - np.log(np.maximum(law.form(parameters, own, np.ones(len(own))), LEAST_SCALE))
    shares = own if table.is_target else 1 - own
    luck, freedom = table.floor
    size = float(np.sqrt((left**2).sum() / max(len(left) - 2, 1)))
    return misfit_of(shares, logs, size, luck / float(np.exp(logs).mean()), freedom)


def _growth(
    law: Law, parameters: Floats, ahead: Ahead, misfit: Misfit, spread: float, freedom: float
) -> Misfit:  # fmt: skip
    """What a law misses of the runs that are ahead, by share."""
    left = ahead.miss(law.form(parameters, ahead.own, np.asarray(ahead.tokens)))
    apart = float(np.ptp(left) if len(left) > 1 else np.abs(left[0]) / ALIKE)
    luck = spread / float(ahead.losses.mean())
    size = max(misfit.size, apart)
    return misfit_of(ahead.shares, np.log(ahead.losses), size, luck, freedom, GROWING)


def fit_law(law: Law, table: Table, kept: Floats, *, seed: int) -> tuple[Floats, Floats]:
    """Fit from many starts, first to squares, then with far-off points counting less.

    Args:
        law: to fit.
        table: of one language.
        kept: ``[folds, n]`` weights; every fold is fitted by itself.
        seed: of the starts.

    Returns:
        Parameters ``[folds, p]`` and the scale of residuals ``[folds]``.
    """
    low, high = np.array(law.low), np.array(law.high)
    rng = np.random.default_rng(seed)
    starts = low + (high - low) * (0.1 + 0.8 * rng.random((STARTS, len(low))))
    folds, n = kept.shape
    model, targets = _model(law, table), np.broadcast_to(table.loss, (folds * STARTS, n))
    found, costs = solve(
        model, (low, high), np.tile(starts, (folds, 1)), targets,
        weights=np.repeat(kept, STARTS, 0), scale=np.full(folds * STARTS, WIDE), steps=60,
    )  # fmt: skip
    best = np.argmin(costs.reshape(folds, STARTS), 1)
    parameters = found.reshape(folds, STARTS, -1)[np.arange(folds), best]
    off = np.abs(model(parameters.T[:, :, None]) - table.loss)
    middle = np.array([np.median(row[w > 0]) for row, w in zip(off, kept, strict=True)])
    scale = np.maximum(2 * 1.4826 * middle, LEAST_SCALE)
    box = low, high
    parameters, _ = solve(model, box, parameters, targets[:folds], weights=kept, scale=scale)
    return parameters, scale


def _model(law: Law, table: Table) -> Model:
    return lambda parameters: law.form(parameters, table.share, table.tokens)


def _mixtures(table: Table) -> Floats:
    """``[folds, n]`` 0 where a fold leaves a mixture out; none if two would not remain."""
    shares = np.unique(table.share)
    kept = np.asarray(table.share != shares[:, None], float)
    return kept if len(shares) > 2 else kept[:0]


def last_tokens(tokens: Floats) -> Floats:
    """``[folds, n]`` 0 where a fold leaves out all from some token count on.

    Three counts remain, or two where no more were measured: with fewer a law's time is a guess,
    and its error one of luck.

    Args:
        tokens: ``[n]`` counts.
    """
    counts = np.unique(tokens)
    fewest = max(2, min(3, len(counts) - 1))
    cuts = counts[max(fewest, len(counts) // 2) :][-LAST_TAKEN:]
    kept = (tokens < cuts[:, None]).astype(float)
    return np.asarray(kept.reshape(len(cuts), len(tokens)))
