"""The part of the model card on answers: what they were judged on, with n and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ANSWERS_HEAD = (
    "model", "share of answers that …", "better", "language", "n", "share",
    "difference from base, 95 % interval",
)  # fmt: skip
ANSWERS_TEXT = (
    "Greedy answers, judged by fixed rules and not by people, with the 95 % Wilson interval; the "
    "difference is paired on the same prompts."
)


def answer_rows(scores: Mapping[str, Any]) -> list[Sequence[object]]:
    """One row for each metric and language of a model's scores.json; none where none was asked."""
    return [
        (
            score.get("says"), score.get("better"), score.get("language"), score.get("n"),
            _share(score), _share(score.get("difference") or {}, signed=True),
        )
        for score in _answers(scores).get("metrics") or ()
    ]  # fmt: skip


def safety_sentence(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """What the card says of safety: nothing was claimed that was not measured."""
    if any("safety" in (_answers(one).get("sets") or {}) for one in scores.values()):
        return "Its refusals were counted by rules, which is no certificate of safety."
    return "It has not been tuned for safety."


def _answers(scores: Mapping[str, Any]) -> Mapping[str, Any]:
    found = scores.get("answers")
    return found if isinstance(found, Mapping) else {}


def _share(score: Mapping[str, Any], signed: bool = False) -> str | None:
    values = [score.get(key) for key in ("value", "low", "high")]
    if not all(isinstance(value, int | float) for value in values):
        return None
    shown = [f"{100 * float(v or 0):{'+' if signed else ''}.1f} %" for v in values]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"
