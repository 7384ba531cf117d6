"""The verdict as a word on the page; the rule itself is ``hanhua.eval.verdict``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hanhua.eval.verdict import Verdict, at_chance, judge
from hanhua.report.html import Html, Words, tag

__all__ = ["BADGES", "Verdict", "badge", "judge", "judge_choice"]

BADGES: Mapping[Verdict | None, tuple[Words, str]] = {
    "gained": (Words("gained", "有增益"), "good"),
    "lost": (Words("lost", "有损失"), "bad"),
    "even": (Words("no evidence", "无证据"), "even"),
    None: (Words("measured", "已测"), "even"),
}


def judge_choice(task: Mapping[str, Any]) -> Verdict | None:
    """The verdict on a multiple-choice set against the base; none where both are at chance.

    Args:
        task: ``accuracy``, ``chance``, ``stderr`` and the paired ``difference`` from the base.
    """
    said = judge(dict(task.get("difference") or {}), higher_is_better=True)
    return "even" if said and at_chance(task) else said


def badge(judged: Verdict | None) -> Html:
    """The verdict as a small framed word."""
    words, style = BADGES[judged]
    return tag("span", words, class_=f"tag {style}")
