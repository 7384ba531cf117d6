"""The chart of gains and losses: every measure of the last model against the base, one row each.

It is a table whose middle column is drawn, so a reader that cannot see it hears the same numbers,
and the text keeps its size on a phone. The axis is by square root on both sides of zero: what was
lost of English is often a hundredth of what was gained of Chinese, and both must be seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from hanhua.report.html import Html, Words, count, interval, number, tag
from hanhua.report.measure import POINTS, Measure, measures
from hanhua.report.page import note
from hanhua.report.run import Run, language, model
from hanhua.report.verdict import BADGES, badge

TICKS = (1, 5, 10, 25, 50, 100, 200, 400, 800, 1600, 3200, 6400)
APART = 13.0
"""Least distance of two labelled marks, in per cent of the axis."""
PAD = 3.0


@dataclass(frozen=True, slots=True)
class Axis:
    """Values as places, 0 to 100 per cent of the width."""

    low: float
    high: float

    @classmethod
    def of(cls, rows: Sequence[Measure]) -> Axis:
        """An axis that holds all intervals and zero."""
        ends = [v for r in rows for v in (r.value, r.low, r.high) if v is not None]
        return cls(min([-1.0, *ends]), max([1.0, *ends]))

    def place(self, value: float) -> float:
        """Of a value."""
        first, last, here = _root(self.low), _root(self.high), _root(value)
        return PAD + (100 - 2 * PAD) * (here - first) / (last - first)

    def ticks(self, apart: float = APART) -> list[float]:
        """Zero, and round values on both sides that stand apart; the outermost first."""
        kept = [0.0]
        wanted = [float(s * t) for t in reversed(TICKS) for s in (-1, 1)]
        for value in wanted:
            inside = self.low <= value <= self.high
            if inside and all(abs(self.place(value) - self.place(k)) >= apart for k in kept):
                kept.append(value)
        return sorted(kept)


def _root(value: float) -> float:
    return math.copysign(math.sqrt(abs(value)), value)


def forest(run: Run) -> list[Html]:
    """The chart with its title and how to read it; nothing where nothing was compared."""
    rows = measures(run)
    if not rows:
        return []
    axis = Axis.of(rows)
    last = model(rows[0].model)
    title = Words(
        f"Gained and lost: {str(last.en).lower()} model against base",
        f"得与失：{last.zh}对比原模型",
    )
    head = tag("thead", tag("tr", *_head(axis)))
    bodies = [
        tag("tbody", _group(code), *(_row(one, axis) for one in group))
        for code, group in groupby(rows, key=lambda one: one.code)
    ]
    said = note(
        "Each row is the change from the base on the same items, right of zero is better; the line "
        "is its 95 % interval. Bits per byte: per cent of the base's bits saved. Shares: points. "
        "The axis is by square root, so that small changes stay visible. No evidence: see n; it "
        "does not prove that nothing changed.",
        "每行为在同一批项目上相对原模型的变化，零线右侧更好；横线为 95 % 区间。比特/字节："
        "相对原模型节省的百分比。占比：百分点。横轴为平方根刻度，使小变化也可见。"
        "“无证据”请看 n，并不证明没有变化。",
    )
    heading = tag("h2", title)
    chart = tag("table", head, *bodies, class_="forest")
    return [tag("div", heading, chart, said, class_="change", id="change")]


def _head(axis: Axis) -> list[Html]:
    wide = axis.ticks(2 * APART)  # what a phone has room for
    marks = [
        tag("text", number(t, 0, signed=t != 0), x=f"{axis.place(t):.1f}%", y=12,
            class_="middle small" if t in wide else "middle small dense")
        for t in axis.ticks()
    ]  # fmt: skip
    drawn = tag("svg", *marks, class_="strip", height=16, aria_hidden="true")
    return [
        tag("th", Words("Measure", "指标"), scope="col"),
        tag("th", tag("span", Words("← worse · better →", "← 变差 · 变好 →"), class_="ways"), drawn,
            scope="col", class_="drawn"),
        tag("th", Words("Change", "变化"), scope="col", class_="n"),
        tag("th", Words("Verdict", "结论"), scope="col"),
    ]  # fmt: skip


def _group(code: str) -> Html:
    return tag("tr", tag("th", language(code), colspan=4, scope="rowgroup", class_="group"))


def _row(one: Measure, axis: Axis) -> Html:
    unit = Words(" points", " 个百分点") if one.unit == POINTS else " %"
    between = interval(one.low, one.high, 1)
    items = tag("span", f"n\u00a0=\u00a0{count(one.n)}", class_="range") if one.n else ""
    return tag(
        "tr",
        tag("th", one.name, " ", items, scope="row"),
        tag("td", _strip(one, axis), class_="drawn"),
        tag("td", number(one.value, 1, signed=True), unit,
            tag("span", between, class_="range") if between else "", class_="n"),
        tag("td", badge(one.judged)),
    )  # fmt: skip


def _strip(one: Measure, axis: Axis) -> Html:
    """One row's dot and interval over the marks of the axis."""
    style = BADGES[one.judged][1]
    parts = [_upright(axis.place(t), 0, 30, "grid" if t else "whisker") for t in axis.ticks()]
    if one.low is not None and one.high is not None:
        a, b = axis.place(one.low), axis.place(one.high)
        parts.append(tag("line", x1=f"{a:.1f}%", x2=f"{b:.1f}%", y1=15, y2=15, class_="span"))
        parts += [_upright(a, 10, 20, "span"), _upright(b, 10, 20, "span")]
    parts.append(tag("circle", cx=f"{axis.place(one.value):.1f}%", cy=15, r=4.5, class_="dot"))
    return tag("svg", *parts, class_=f"strip {style}", height=30, aria_hidden="true")


def _upright(x: float, top: float, bottom: float, style: str) -> Html:
    return tag("line", x1=f"{x:.1f}%", x2=f"{x:.1f}%", y1=top, y2=bottom, class_=style)
