"""From measured mixtures of several sources to shares, their intervals, and an honest limit.

Shares are only ever recommended from among blends of the mixtures that were run. Laws are fitted
again to losses as they might have been; the interval of a share is the middle part of the answers
that they give, and the gain over the recipe's own shares has one too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hanhua.core.errors import UsageError
from hanhua.core.wish import Wish
from hanhua.mix.domain_study import DomainStudy, rounded
from hanhua.mix.domain_trust import LawCheck, check_law, doubts
from hanhua.mix.domains import DomainLaw, blends, fit_domains
from hanhua.mix.laws import Floats

DRAWS = 200
LEAST_FREEDOM = 2.0


@dataclass(frozen=True)
class DomainAnswer:
    """Recommended shares of all sources.

    Args:
        shares: by key.
        low: of each one's interval.
        high: of each one's interval.
        sure: whether the runs can tell.
        why: what stands against it, or what it rests on.
        predicted: language -> loss, low, high, at the length that was run.
        own: language -> loss that the laws predict at the recipe's own shares.
        gain: over the recipe's own shares, low, high; in parts of the base's losses.
        checks: of all languages and domains measured.
    """

    shares: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    sure: bool
    why: str
    predicted: dict[str, tuple[float, float, float]]
    own: dict[str, float]
    gain: tuple[float, float, float]
    checks: dict[str, LawCheck]


def recommend_shares(
    study: DomainStudy, wish: Wish, *, level: float = 0.9, seed: int = 0
) -> DomainAnswer:
    """Recommend shares for a wish, from among blends of the mixtures that were run.

    Args:
        study: what was measured.
        wish: what is wanted of the two languages.
        level: of the intervals, e.g. 0.9.
        seed: of blends and draws.

    Raises:
        UsageError: when the wish names a language that was not measured.
        InputError: for fewer than five runs.
    """
    names = (study.target, study.source)
    if wish.language and wish.language not in names:
        raise UsageError(
            "The wish names a language that was not measured.", where="--wish", found=wish.text,
            fix=f"name {study.target} or {study.source}",
        )  # fmt: skip
    checks = {name: check_law(study.shares, study.losses(name)) for name in study.base}
    laws = {name: checks[name].law for name in names}
    mixtures = blends(study.shares, seed=seed)
    shares = _best(study, wish, laws, mixtures)
    drawn = _drawn(study, names, laws, seed)
    answers = np.array([_best(study, wish, each, mixtures) for each in drawn])
    gains = [_gain(study, wish, each, shares) for each in drawn]
    edges = ((1 - level) / 2, (1 + level) / 2)
    low, high = np.quantile(answers, edges, axis=0)
    least, most = map(float, np.quantile(gains, edges))
    gain = (_gain(study, wish, laws, shares), least, most)
    predicted = {name: _around(name, laws, drawn, shares, edges) for name in names}
    against = doubts(study, wish, checks, predicted, gain)
    rests = f"Rests on {len(study.runs)} runs; the least gain over your own shares is {gain[1]:.2%}"
    return DomainAnswer(
        shares=rounded(study.keys, shares),
        low=dict(zip(study.keys, map(float, np.minimum(low, shares)), strict=True)),
        high=dict(zip(study.keys, map(float, np.maximum(high, shares)), strict=True)),
        sure=not against, why=" ".join(against) or f"{rests} of a loss.",
        predicted=predicted,
        own={name: float(laws[name].predict(study.own_shares)[0]) for name in names},
        gain=gain, checks=checks,
    )  # fmt: skip


def _score(
    study: DomainStudy, wish: Wish, laws: Mapping[str, DomainLaw], mixtures: Floats
) -> tuple[Floats, Floats]:
    """``[n]`` what is to be small, and ``[n]`` how far a limit is broken, in parts of losses."""
    parts = {name: law.predict(mixtures) / study.base[name] for name, law in laws.items()}
    if wish.kind == "best":
        return sum(parts.values()) / len(parts), np.zeros(len(mixtures))  # type: ignore[return-value]
    (other,) = set(parts) - {wish.language}
    limit = wish.limit(study.base) / study.base[wish.language]
    return parts[other], np.maximum(parts[wish.language] - limit, 0)


def _best(
    study: DomainStudy, wish: Wish, laws: Mapping[str, DomainLaw], mixtures: Floats
) -> Floats:
    """``[keys]`` the best that keeps the limit, or what comes nearest to it.

    Not a mean of the best few: the law is smooth, so the best predicted is not the luckiest.
    """
    score, broken = _score(study, wish, laws, mixtures)
    kept = broken <= 0
    best = np.argmin(np.where(kept, score, np.inf) if kept.any() else broken)
    return np.asarray(mixtures[best])


def _gain(study: DomainStudy, wish: Wish, laws: Mapping[str, DomainLaw], shares: Floats) -> float:
    """How much better the shares are than the recipe's own, in parts of a loss.

    Where the recipe's own break the limit, it is by how much less the shares break it.
    """
    score, broken = _score(study, wish, laws, np.concatenate([study.own_shares, shares[None]]))
    compared = broken if broken[0] > 0 else score
    return float(compared[0] - compared[1])


def _drawn(
    study: DomainStudy, names: tuple[str, ...], laws: Mapping[str, DomainLaw], seed: int
) -> list[dict[str, DomainLaw]]:
    """Laws fitted to losses as they might have been."""
    rng = np.random.default_rng((seed, 3))
    made = {}
    for name in names:
        fitted, losses = laws[name].predict(study.shares), study.losses(name)
        made[name] = _replicates(rng, fitted, losses - fitted, len(study.keys))
    return [
        {name: fit_domains(study.shares, made[name][draw]) for name in names}
        for draw in range(DRAWS)
    ]


def _replicates(rng: np.random.Generator, fitted: Floats, off: Floats, sources: int) -> Floats:
    """``[DRAWS, runs]`` losses with residuals drawn anew.

    They are widened by the rates that they paid for, and by how little so few of them tell of
    their own spread (Student's t).
    """
    n = len(off)
    freedom = max(n - sources - 1.0, LEAST_FREEDOM)
    wide = np.sqrt(n / freedom) * np.sqrt(freedom / rng.chisquare(freedom, (DRAWS, 1)))
    signs = rng.choice((-1.0, 1.0), (DRAWS, n))
    drawn = off[rng.integers(n, size=(DRAWS, n))] * signs * wide
    return np.asarray(np.maximum(fitted + drawn, 0.1 * fitted))


def _around(
    name: str, laws: Mapping[str, DomainLaw], drawn: list[dict[str, DomainLaw]], shares: Floats,
    edges: tuple[float, float],
) -> tuple[float, float, float]:  # fmt: skip
    each = [float(law[name].predict(shares[None])[0]) for law in drawn]
    low, high = np.quantile(each, edges)
    return float(laws[name].predict(shares[None])[0]), float(low), float(high)
