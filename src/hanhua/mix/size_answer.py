"""What studies of several sizes say of a model of another: share, price, and what to trust."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hanhua.core.errors import UsageError
from hanhua.core.wish import Wish
from hanhua.mix.fit_size import JointFit
from hanhua.mix.plain import short
from hanhua.mix.points import Study
from hanhua.mix.recommend import Answer, recommend
from hanhua.mix.said import Said, together

FARTHEST = 10.0
"""Times the largest size measured beyond which no answer is sure, however wide the sizes span."""
REFUSED = 100.0
"""Times a measured size beyond which a power law says nothing at all."""
POINT = 0.01


@dataclass(frozen=True, slots=True)
class OfSize:
    """The answer for one size.

    Args:
        parameters: of the model.
        measured: whether a study of this size was joined.
        share, low, high: of the target, with its interval.
        price, price_low, price_high: how much the source's loss rises for one more point of the
            target at the share recommended for the recipe's size, as a part of the base's loss.
    """

    parameters: float
    measured: bool
    share: float
    low: float
    high: float
    price: float
    price_low: float
    price_high: float


def study_at(studies: Mapping[float, Study], fits: Mapping[str, JointFit], size: float) -> Study:
    """The study of the nearest size, with the base's losses of this one.

    Its points say which shares and lengths were run; the laws say what they are at the size.
    """
    near = min(studies, key=lambda one: abs(np.log(one / size)))
    one = studies[near]
    base = {language: fits[language].base_at(size) for language in (one.target, one.source)}
    return replace(one, base=base)


def recommend_at(
    studies: Mapping[float, Study], fits: Mapping[str, JointFit], wish: Wish, tokens: float,
    size: float, *, level: float = 0.9,
) -> tuple[Answer, list[OfSize]]:  # fmt: skip
    """Recommend a share for a model of a size.

    Args:
        studies: parameters -> what was measured.
        fits: of both languages.
        wish: what is wanted.
        tokens: of the run to come.
        size: parameters of the model to come.
        level: of the intervals.

    Returns:
        The answer, and how it moves over all sizes measured and this one.

    Raises:
        UsageError: when the size is too far from those measured; and see
            :func:`hanhua.mix.recommend.recommend`.
    """
    _refuse_far(studies, size)
    each = {}
    for one in sorted({*studies, size}, reverse=True):
        known = fits[next(iter(fits))].measured(one) is not None
        if one == size or not (known and _near(one, size)):
            at = {language: fit.at(one) for language, fit in fits.items()}
            each[one] = recommend(
                study_at(studies, fits, one), at, wish, tokens, level=level
            )  # fmt: skip
    own = each[size]
    study = study_at(studies, fits, size)
    against = doubts_of_size(study, fits, wish, tokens, size)
    if against:
        why = together(([] if own.sure else [own.why]) + against)
        own = replace(own, sure=False, why=why)
    rows = [
        OfSize(one, _is_measured(fits, one), found.share, found.low, found.high,
               *_price(study, fits[study.source], one, own.share, tokens, level))
        for one, found in sorted(each.items())
    ]  # fmt: skip
    return own, rows


def _refuse_far(studies: Mapping[float, Study], size: float) -> None:
    if min(studies) / REFUSED <= size <= max(studies) * REFUSED:
        return
    raise UsageError(
        "The model's size is too far from those that were studied.", where="mix.join or --join",
        found=f"{short(size)} parameters; studied: {', '.join(map(short, sorted(studies)))}",
        fix=f"study sizes at most {REFUSED:g} times smaller; answers within about their own span "
        "can be sure",
    )  # fmt: skip


def _near(one: float, other: float) -> bool:
    return bool(abs(np.log(one / other)) < 0.01)


def _is_measured(fits: Mapping[str, JointFit], size: float) -> bool:
    return next(iter(fits.values())).measured(size) is not None


def _price(
    study: Study, fit: JointFit, size: float, share: float, tokens: float, level: float
) -> tuple[float, float, float]:
    """Of a point of the target about a share, as a part of the base's loss, and its interval."""
    at = fit.at(size)
    low = max(study.shares[0], min(share - POINT, study.shares[-1] - 2 * POINT))
    ends = np.array([low, low + 2 * POINT])
    slope = np.diff(at.predict(ends, tokens))[0]
    drawn = np.diff(at.predict_draws(ends, tokens))[:, 0]
    between = np.quantile(drawn, ((1 - level) / 2, (1 + level) / 2))
    found = [float(x) / 2 / at.base for x in (slope, *between)]
    return found[0], min(found[:2]), max(found[0], found[2])


def doubts_of_size(
    study: Study, fits: Mapping[str, JointFit], wish: Wish, tokens: float, size: float
) -> list[Said]:
    """What stands against an answer because its size was not measured; a sentence each.

    Args:
        study: see :func:`study_at`.
        fits: of both languages.
        wish: what is wanted.
        tokens: of the run to come.
        size: parameters of the model to come.
    """
    if _is_measured(fits, size):
        return []
    one = fits[study.source]
    sizes, found = one.sizes, []
    if len(sizes) < 3:
        found.append(Said(
            "Only two sizes were measured: nothing checks the law over size; a third would.",
            "只测了两种大小：没有什么能检验随大小变化的规律，第三种才行。",
        ))  # fmt: skip
    span = min(sizes[-1] / sizes[0], FARTHEST)
    larger, smaller = size / sizes[-1], sizes[0] / size
    if max(larger, smaller) > span:
        far, zh = f"1/{smaller:.3g} of the smallest", f"所测最小者的 1/{smaller:.3g}"
        if larger > 1:
            far, zh = f"{larger:.3g} times the largest", f"所测最大者的 {larger:.3g} 倍"
        found.append(Said(
            f"The model, {short(size)}, has {far} size measured; from sizes that span "
            f"{sizes[-1] / sizes[0]:.3g} times, the law is trusted up to {span:.3g} times.",
            f"模型（{short(size)}）是{zh}；所测大小的跨度为 {sizes[-1] / sizes[0]:.3g} 倍，"
            f"规律只在 {span:.3g} 倍以内可信。",
        ))  # fmt: skip
    for language in (wish.language,) if wish.language else (study.target, study.source):
        found += _of_language(study, fits[language], language, tokens, size)
    return found


def _of_language(
    study: Study, fit: JointFit, language: str, tokens: float, size: float
) -> list[Said]:
    """Held against how far mixtures differ: a miss that is as large leaves no share better."""
    if fit.size_error is None:
        return []
    at, error = fit.at(size), fit.size_error * max(fit.reach(size), 1.0)
    losses = at.predict(np.array([study.shares[0], study.shares[-1]]), tokens)
    moved = abs(losses[1] - losses[0]) / losses.mean()
    if moved >= 2 * error:
        return []
    return [Said(
        f"Between the mixtures {language}'s loss changes by {moved:.1%}, and the law missed the "
        f"largest size, left out, by {fit.size_error:.1%}, which is {error:.1%} as far as "
        f"{short(size)}.",
        f"各配比之间 {language} 的损失只变化 {moved:.1%}，而规律对留出的最大模型误差为 "
        f"{fit.size_error:.1%}，到 {short(size)} 时相当于 {error:.1%}。",
    )]  # fmt: skip
