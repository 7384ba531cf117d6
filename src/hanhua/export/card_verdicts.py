"""The card's table of what was gained and lost: the verdicts that the evaluation settled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hanhua.eval.verdict import WORDS

VERDICTS_HEAD = ("measure", "language", "change from the base, 95 % interval", "n", "verdict")
VERDICTS_TEXT = (
    "The last model against the untouched base, paired on the same items; verdicts are corrected "
    "for the number of rows. Bits per byte: less is better. No evidence is no proof of no change."
)


def verdict_rows(scores: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    """One row for each claim that was settled."""
    for row in scores.get("verdicts") or ():
        found, accuracy = row.get("difference") or {}, row.get("unit") == "accuracy"
        shown = [_told(found.get(key), accuracy) for key in ("value", "low", "high")]
        if None in shown:
            continue
        unit = "points" if accuracy else "bits per byte"
        change = f"{shown[0]} {unit} [{shown[1]}, {shown[2]}]"
        said = WORDS.get(row.get("verdict"), "–")
        yield row.get("claim"), row.get("language"), change, found.get("n"), said


def _told(value: Any, accuracy: bool) -> str | None:
    if not isinstance(value, int | float):
        return None
    return f"{100 * value:+.1f}" if accuracy else f"{value:+.3f}"
