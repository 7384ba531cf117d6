"""The corpus as a waterfall: documents in, each reason to drop, what was held out, what is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hanhua.report.chart import WIDTH, canvas, n_, text_at
from hanhua.report.html import Html, Words, count, join, percent, tag
from hanhua.report.page import beside
from hanhua.report.reasons import reason
from hanhua.report.run import Run, language, mapping, real

LABEL, VALUE, PITCH = 96.0, 88.0, 22
MOST_REASONS = 10
"""Reasons drawn by name, the largest first; the others are one step."""


@dataclass(frozen=True, slots=True)
class Fall:
    """The documents of one language.

    Args:
        code: the language.
        read: documents that came in.
        dropped: by reason, the largest first.
        held_out, kept: what is left of them.
    """

    code: str
    read: int
    dropped: Mapping[str, int]
    held_out: int
    kept: int


def falls(run: Run, rows: Sequence[Mapping[str, Any]]) -> list[Fall]:
    """The sources of a corpus's ledger, added up by language."""
    found = []
    for code in run.languages(str(row.get("language")) for row in rows):
        some = [row for row in rows if str(row.get("language")) == code]
        dropped: Counter[str] = Counter()
        for row in some:
            for name, n in mapping(row.get("dropped")).items():
                dropped[name] += int(real(n) or 0)
        order = sorted(dropped, key=lambda name: (-dropped[name], name))
        read, held, kept = (
            sum(int(real(row.get(key)) or 0) for row in some) for key in ("in", "held_out", "kept")
        )
        found.append(Fall(code, read, {name: dropped[name] for name in order}, held, kept))
    return found


def waterfalls(found: Sequence[Fall]) -> Html:
    """One waterfall for each language, side by side."""
    return beside(*(_waterfall(fall) for fall in found if fall.read))


def _steps(fall: Fall) -> list[tuple[Words, float, float, str]]:
    """(name, start, amount, colour): each begins where the one before it ends."""
    steps = [(Words("read", "读入"), 0.0, float(fall.read), "c6")]
    left = float(fall.read)
    named = list(fall.dropped.items())
    shown, others = named[:MOST_REASONS], sum(n for _, n in named[MOST_REASONS:])
    falling = [(reason(name), n, "c5") for name, n in shown]
    falling += [(Words("other reasons", "其他原因"), others, "c5")] if others else []
    falling += [(Words("held out", "留出"), fall.held_out, "c2")] if fall.held_out else []
    for name, amount, colour in falling:
        left -= amount
        steps.append((name, left, float(amount), colour))
    return [*steps, (Words("kept", "保留"), 0.0, float(fall.kept), "c3")]


def _waterfall(fall: Fall) -> Html:
    steps = _steps(fall)
    scale = (WIDTH - LABEL - VALUE) / fall.read
    parts = []
    for place, (name, start, amount, colour) in enumerate(steps):
        y, x, wide = PITCH * place + 3, LABEL + start * scale, max(amount * scale, 1.0)
        parts.append(text_at(LABEL - 8, y + 12, name, "end"))
        parts.append(tag("rect", x=n_(x), y=y, width=n_(wide), height=16, class_=colour))
        if place + 1 < len(steps):
            edge = n_(x + wide if place == 0 else x)
            parts.append(tag("line", x1=edge, x2=edge, y1=y + 16, y2=y + PITCH, class_="grid"))
        shown = f"{count(amount)} · {percent(amount / fall.read)}"
        parts.append(text_at(WIDTH, y + 12, shown, "end small"))
    title = tag("h3", language(fall.code))
    return join((title, canvas(PITCH * len(steps) + 4, parts, f"documents of {fall.code}")))
