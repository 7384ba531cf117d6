"""When runs cannot tell: what stands against a recommendation, in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hanhua.core.wish import Wish
from hanhua.mix.fitted import Fitted
from hanhua.mix.points import Study

FEWEST_SHARES = 3
FARTHEST = 4.0
"""Times the tokens measured beyond which no answer is sure."""
WORST_ERROR = 0.02
WIDEST = 0.5
"""Of the range that was run: an interval wider than this says nothing."""
SAME = 0.002
"""Shares this near are one."""


def doubts(
    study: Study, fits: Mapping[str, Fitted], wish: Wish, *, tokens: float,
    answer: tuple[float, float, float], met: bool,
) -> list[str]:  # fmt: skip
    """All that stands against an answer, a sentence each; empty if the runs can tell.

    Args:
        study: what was measured.
        fits: of both languages.
        wish: what was wanted.
        tokens: of the run to come.
        answer: share, low, high.
        met: whether the law says that the wish is met at that share.
    """
    shares, (share, low, high) = study.shares, answer
    wanted = (wish.language,) if wish.language else (study.target, study.source)
    found = []
    if not met:
        found.append(f"No mixture that was run meets {wish.text}; this one comes nearest.")
    if len(shares) < FEWEST_SHARES:
        found.append(f"Only {len(shares)} mixtures were run; at least {FEWEST_SHARES} are needed.")
    for language in wanted:
        found += _of_language(study, fits[language], language, tokens)
    if high - low > WIDEST * (shares[-1] - shares[0]):
        found.append(
            f"The interval, {low:.2f} to {high:.2f}, is wider than half the range that was run."
        )
    if min(share - shares[0], shares[-1] - share) < SAME:
        end = "least" if share - shares[0] < SAME else "greatest"
        found.append(f"The answer is the {end} share that was run; the best may lie beyond.")
    longest = max(point.tokens for point in study.points)
    found += [
        f"The law of {language}, {fits[language].law}, leaves no loss at {tokens:,.0f} tokens: it "
        "does not reach so far."
        for language in (study.target, study.source)
        if fits[language].ended(np.array(shares), tokens)
    ]  # fmt: skip
    if tokens > FARTHEST * longest:
        found.append(f"The run is {tokens / longest:.0f} times as long as the longest measured.")
    return found


def _of_language(study: Study, fitted: Fitted, language: str, tokens: float) -> list[str]:
    found = []
    if fitted.held_out_error > WORST_ERROR:
        found.append(
            f"The best law misses runs left out by {fitted.held_out_error:.1%} of "
            f"{language}'s loss."
        )
    losses = fitted.predict(np.array([study.shares[0], study.shares[-1]]), tokens)
    moved = abs(losses[1] - losses[0])
    if moved < 2 * fitted.spread:
        found.append(f"Between the mixtures {language}'s loss changes less than runs scatter.")
    elif moved < 2 * fitted.held_out_error * losses.mean():
        found.append(
            f"Between the mixtures {language}'s loss changes by {moved / losses.mean():.1%}, and "
            f"the law misses runs left out by {fitted.held_out_error:.1%}."
        )
    elif len(study.shares) >= FEWEST_SHARES and _order(study, language) > -0.5:
        found.append(f"{language}'s loss does not fall steadily as its share grows.")
    return found


def _order(study: Study, language: str) -> float:
    """Rank correlation of a language's share and its loss, at the last moment that all mixtures
    have; -1: as expected.
    """
    points = [
        point for point in study.points
        if language in point.losses and point.tokens <= study.longest
    ]  # fmt: skip
    shares = {point.share for point in points}
    counts = sorted({point.tokens for point in points})
    whole = [n for n in counts if {p.share for p in points if p.tokens == n} == shares]
    ends = [point for point in points if point.tokens == (whole or counts)[-1]]
    own = [p.share if language == study.target else 1 - p.share for p in ends]
    losses = [point.losses[language] for point in ends]
    if len(set(own)) < 2 or len(set(losses)) < 2:
        return 0.0
    return rank_correlation(own, losses)


def rank_correlation(one: object, other: object) -> float:
    """Spearman's, ties at their mean rank."""
    ranks = []
    for values in (np.asarray(one, float), np.asarray(other, float)):
        _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[where])
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
