"""When small runs cannot tell how to mix several sources.

With few runs a law of many sources fits anything. So what it says is held against three things:
the runs that were left out in turn (does it tell better than their mean, and in which order they
come?), the recipe's own shares (is the gain more than the runs scatter?), and the wish.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hanhua.core.wish import Wish
from hanhua.mix.domain_study import DomainStudy
from hanhua.mix.domains import RUNS_A_SOURCE, DomainLaw, fit_domains, left_out
from hanhua.mix.laws import Floats
from hanhua.mix.trust import WORST_ERROR, rank_correlation

SURE_RANK = 1.645
"""Times the spread of a rank correlation of unrelated orders, 1 / sqrt(n - 1): 5 % exceed it."""


@dataclass(frozen=True, slots=True)
class LawCheck:
    """A law and how well it tells a run that it has not seen.

    Args:
        law: fitted to all runs.
        error: mean absolute error on runs left out in turn, as a part of the loss.
        mean_error: the same of the mean of the other runs.
        rank: correlation of the predicted order of runs left out with the measured one.
        least_rank: what unrelated orders exceed once in twenty times.
    """

    law: DomainLaw
    error: float
    mean_error: float
    rank: float
    least_rank: float

    @property
    def tells(self) -> bool:
        """Whether it is better than no law."""
        return self.error < self.mean_error and self.rank > self.least_rank


def check_law(shares: Floats, losses: Floats) -> LawCheck:
    """Fit a law and test it.

    Args:
        shares: ``[runs, sources]``.
        losses: ``[runs]``.

    Raises:
        InputError: see :func:`hanhua.mix.domains.fit_domains`; five runs are needed.
    """
    found, n = left_out(shares, losses), len(losses)
    means = (losses.sum() - losses) / (n - 1)
    flat = min(np.ptp(losses), np.ptp(found)) < 1e-12
    return LawCheck(
        fit_domains(shares, losses),
        error=float(np.mean(np.abs(found - losses) / losses)),
        mean_error=float(np.mean(np.abs(means - losses) / losses)),
        rank=0.0 if flat else rank_correlation(found, losses),
        least_rank=float(SURE_RANK / np.sqrt(n - 1)),
    )


def doubts(
    study: DomainStudy, wish: Wish, checks: Mapping[str, LawCheck],
    predicted: Mapping[str, tuple[float, float, float]], gain: tuple[float, float, float],
) -> list[str]:  # fmt: skip
    """All that stands against the answer, a sentence each; empty if the runs can tell.

    Args:
        study: what was measured.
        wish: what was wanted.
        checks: of the laws of both languages.
        predicted: language -> loss at the shares recommended, low, high.
        gain: over the recipe's own shares, low, high; in parts of the base's losses.
    """
    found, n, sources = [], len(study.runs), len(study.keys)
    if n < RUNS_A_SOURCE * sources:
        found.append(f"{n} runs are few for {sources} sources; {RUNS_A_SOURCE * sources} may do.")
    for name in (study.target, study.source):
        check = checks[name]
        if check.error >= check.mean_error:
            found.append(
                f"For {name} the law misses runs left out by {check.error:.2%}, their mean by "
                f"{check.mean_error:.2%}: it tells no more than the mean."
            )
        elif check.rank <= check.least_rank:
            found.append(
                f"For {name} the law orders runs left out with a rank correlation of "
                f"{check.rank:.2f}; {check.least_rank:.2f} may be chance."
            )
    if wish.language:
        found += _of_limit(study, wish, checks[wish.language], predicted[wish.language][0])
    if gain[1] <= 0:
        found.append(
            f"The gain over the recipe's own shares, {gain[1]:+.2%} to {gain[2]:+.2%} of a loss, "
            "may be none."
        )
    return found


def _of_limit(study: DomainStudy, wish: Wish, check: LawCheck, loss: float) -> list[str]:
    found = []
    if loss > wish.limit(study.base) * (1 + 1e-9):
        found.append(f"No blend of the mixtures run meets {wish.text}; this one comes nearest.")
    if check.error > WORST_ERROR:
        found.append(
            f"The law misses runs left out by {check.error:.1%} of {wish.language}'s loss."
        )
    return found
