"""When runs cannot tell: what stands against a recommendation, in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hanhua.core.wish import Wish
from hanhua.mix.fitted import Fitted
from hanhua.mix.points import Study
from hanhua.mix.said import Said

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
) -> list[Said]:  # fmt: skip
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
        found.append(Said(
            f"No mixture that was run meets {wish.text}; this one comes nearest.",
            f"做过的配比都达不到 {wish.text}，这一个最接近。",
        ))  # fmt: skip
    if len(shares) < FEWEST_SHARES:
        found.append(Said(
            f"Only {len(shares)} mixtures were run; at least {FEWEST_SHARES} are needed.",
            f"只做了 {len(shares)} 种配比，至少需要 {FEWEST_SHARES} 种。",
        ))  # fmt: skip
    for language in wanted:
        found += _of_language(study, fits[language], language, tokens)
    if high - low > WIDEST * (shares[-1] - shares[0]):
        found.append(Said(
            f"The interval, {low:.2f} to {high:.2f}, is wider than half the range that was run.",
            f"区间（{low:.2f} 至 {high:.2f}）宽于实验范围的一半。",
        ))  # fmt: skip
    if min(share - shares[0], shares[-1] - share) < SAME:
        end, zh = ("least", "最小") if share - shares[0] < SAME else ("greatest", "最大")
        found.append(Said(
            f"The answer is the {end} share that was run; the best may lie beyond.",
            f"答案是实验过的{zh}占比，最佳占比可能在范围之外。",
        ))  # fmt: skip
    longest = max(point.tokens for point in study.points)
    found += [
        Said(
            f"The law of {language}, {fits[language].law}, leaves no loss at {tokens:,.0f} tokens: "
            "it does not reach so far.",
            f"{language} 的拟合律（{fits[language].law}）在 {tokens:,.0f} 个词元处已没有损失："
            "它够不到那么远。",
        )
        for language in (study.target, study.source)
        if fits[language].ended(np.array(shares), tokens)
    ]  # fmt: skip
    if tokens > FARTHEST * longest:
        found.append(Said(
            f"The run is {tokens / longest:.0f} times as long as the longest measured.",
            f"正式训练的长度是最长小实验的 {tokens / longest:.0f} 倍。",
        ))  # fmt: skip
    return found


def _of_language(study: Study, fitted: Fitted, language: str, tokens: float) -> list[Said]:
    found = []
    if fitted.held_out_error > WORST_ERROR:
        found.append(Said(
            f"The best law misses runs left out by {fitted.held_out_error:.1%} of "
            f"{language}'s loss.",
            f"最好的拟合律对留出的实验误差为 {language} 损失的 {fitted.held_out_error:.1%}。",
        ))  # fmt: skip
    losses = fitted.predict(np.array([study.shares[0], study.shares[-1]]), tokens)
    moved = abs(losses[1] - losses[0])
    if moved < 2 * fitted.spread:
        found.append(Said(
            f"Between the mixtures {language}'s loss changes less than runs scatter.",
            f"各配比之间 {language} 损失的变化小于实验的离散。",
        ))  # fmt: skip
    elif moved < 2 * fitted.held_out_error * losses.mean():
        found.append(Said(
            f"Between the mixtures {language}'s loss changes by {moved / losses.mean():.1%}, and "
            f"the law misses runs left out by {fitted.held_out_error:.1%}.",
            f"各配比之间 {language} 的损失只变化 {moved / losses.mean():.1%}，而拟合律对留出的实验"
            f"误差为 {fitted.held_out_error:.1%}。",
        ))  # fmt: skip
    elif len(study.shares) >= FEWEST_SHARES and _order(study, language) > -0.5:
        found.append(Said(
            f"{language}'s loss does not fall steadily as its share grows.",
            f"{language} 的损失没有随其占比的增加而稳定下降。",
        ))  # fmt: skip
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
