"""Gained, lost, or no evidence: one rule for every paired difference on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from hanhua.report.html import Html, Words, tag
from hanhua.report.run import real

Verdict = Literal["gained", "lost", "even"]
P_LIMIT = 0.05

BADGES: Mapping[Verdict | None, tuple[Words, str]] = {
    "gained": (Words("gained", "有增益"), "good"),
    "lost": (Words("lost", "有损失"), "bad"),
    "even": (Words("no evidence", "无证据"), "even"),
    None: (Words("measured", "已测"), "even"),
}


def judge(difference: Mapping[str, Any], higher_is_better: bool) -> Verdict | None:
    """What a paired difference (new minus old) with its 95 % interval says.

    There is evidence where the interval leaves zero out and the test, where there is one, agrees.

    Args:
        difference: ``low``, ``high`` and, where tested, ``p``.
        higher_is_better: True for accuracy, False for bits.

    Returns:
        None where there is no interval.
    """
    low, high = real(difference.get("low")), real(difference.get("high"))
    if low is None or high is None:
        return None
    if low <= 0 <= high or (real(difference.get("p")) or 0.0) > P_LIMIT:
        return "even"
    return "gained" if (low > 0) == higher_is_better else "lost"


def judge_choice(task: Mapping[str, Any]) -> Verdict | None:
    """The verdict on a multiple-choice set against the base.

    Where both models are at chance there is nothing to gain or lose: a model that guesses by
    letter moves many points when its favourite letter changes, and a paired test sees that.

    Args:
        task: ``accuracy``, ``chance``, ``stderr`` and the paired ``difference`` from the base.
    """
    paired = dict(task.get("difference") or {})
    said = judge(paired, higher_is_better=True)
    new, moved, chance, stderr = (
        real(value) for value in
        (task.get("accuracy"), paired.get("value"), task.get("chance"), task.get("stderr"))
    )  # fmt: skip
    if said is None or None in (new, moved, chance, stderr):
        return said
    assert new is not None
    assert moved is not None
    assert chance is not None
    assert stderr is not None
    clear = max(new, new - moved) > chance + 1.96 * stderr
    return said if clear else "even"


def badge(judged: Verdict | None) -> Html:
    """The verdict as a small framed word."""
    words, style = BADGES[judged]
    return tag("span", words, class_=f"tag {style}")
