"""The section that sets the target language against the source: one point a model, both scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from hanhua.report.chart import WIDTH, canvas, n_, short, text_at, ticks
from hanhua.report.html import Html, Words, join, table, tag, tight
from hanhua.report.page import Section, note, sources
from hanhua.report.quantised import quantised_files
from hanhua.report.run import Run, dig, language, mapping, model, models, real
from hanhua.report.scores import ranged

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 44.0, 14.0, 12.0, 40.0, 290.0
SPREAD = 4.0
"""An axis that spans more than this factor is drawn by logarithm."""
MARKS = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Point:
    """One model's bits per byte in both languages.

    Args:
        name: of the model.
        x: the source's score, y: the target's: value, low, high.
        best: whether no other model is at least as good in both and better in one.
        walked: whether it is a step of the walk; False of a quantised model, beside its end.
    """

    name: str
    x: Mapping[str, Any]
    y: Mapping[str, Any]
    best: bool = False
    walked: bool = True

    @property
    def at(self) -> tuple[float, float]:
        """Both values."""
        return float(self.x["value"]), float(self.y["value"])


def points(run: Run) -> list[Point]:
    """The models that were measured in both languages, in the order of the walk."""
    found = mapping(run.summary.get("bits_per_byte"))
    if len(run.pair) < 2:
        return []
    beside = {m: mapping(dig(s, "bits_per_byte"))
              for m, s in quantised_files(run, "scores.json").items()}  # fmt: skip
    made = []
    for name, scores in [*((n, found[n]) for n in models(found)), *beside.items()]:
        x, y = (mapping(dig(scores, code)) for code in (run.source, run.target))
        if all((real(one.get("value")) or 0.0) > 0 for one in (x, y)):
            made.append(Point(name, x, y, walked=name not in beside))
    return [replace(p, best=not any(_beats(q.at, p.at) for q in made)) for p in made]


def _beats(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a != b and a[0] <= b[0] and a[1] <= b[1]


def trade(run: Run) -> Section:
    """Every model by its score in both languages, the walk's order, and the frontier."""
    found = points(run)
    target, source = language(run.target), language(run.source)
    title = Words(f"{target.en} against {source.en}", f"{target.zh}与{source.zh}的取舍")
    if len(found) < 2:
        return Section("trade", title, [])
    limits = _limits(run, found[0])
    body = [
        tag("div", tag("div", _picture(found, limits, target, source)),
            tag("div", _table(found, target, source), _reading(), *_told(limits)), class_="pair"),
        sources(*(run.link(f"eval-{p.name}", "scores.json") for p in found if p.walked)),
    ]  # fmt: skip
    return Section("trade", title, body)


def _table(found: Sequence[Point], target: Words, source: Words) -> Html:
    head = (Words("Model", "模型"), target, source)
    rows = [
        (join((f"{i} ", model(p.name), " ◎" if p.best else "")), ranged(p.y), ranged(p.x))
        for i, p in enumerate(found, 1)
    ]
    return tight(table(head, rows))


def _reading() -> Html:
    return note(
        "Bits per byte on held-out text, both axes turned so that up and right are better; "
        "whiskers are 95 % intervals. The arrow follows the walk. Ringed models (◎) are the "
        "frontier: no other model is as good in both languages and better in one. It goes by the "
        "values; where whiskers overlap, the order of two models is open. An axis that spans more "
        f"than a factor of {SPREAD:g} is drawn by logarithm.",
        "留出文本上的比特/字节，两轴均已翻转：越靠上、越靠右越好；须线为 95 % 区间。"
        "箭头按流程顺序。带圈者（◎）在前沿上：没有别的模型两种语言都不差且至少一种更好。按数值判定；"
        f"须线重叠时两者先后未定。跨度超过 {SPREAD:g} 倍的轴按对数绘制。",
    )


def _limits(run: Run, base: Point) -> dict[str, float]:
    """The recipe's limits on bits per byte, as values on the axes."""
    gates = mapping(run.ledger.get("gates"))
    rise, fall = (real(gates.get(f"max_{run.source}_rise")), real(gates.get(f"min_{run.target}_fall")))  # fmt: skip # noqa: E501
    found = {}
    if rise is not None:
        found["x"] = base.at[0] + rise
    if fall is not None and base.at[1] - fall > 0:
        found["y"] = base.at[1] - fall
    return found


def _told(limits: Mapping[str, float]) -> list[Html]:
    if not limits:
        return []
    return [note("Dashed: the limits of the recipe.", "虚线：配方中的界限。")]


@dataclass(frozen=True, slots=True)
class _Axis:
    """Values as places between two ends of the canvas; larger values come first."""

    marks: Sequence[float]
    start: float
    end: float
    log: bool

    @classmethod
    def of(cls, values: Sequence[float], start: float, end: float) -> _Axis:
        low, high = min(values), max(values)
        if low > 0 and high / low > SPREAD:
            powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            every = [m * 10.0**p for p in powers for m in MARKS]
            inside = [m for m in every if low * 0.999 <= m <= high * 1.001]
            first = max((m for m in every if m <= low * 0.999), default=every[0])
            last = min((m for m in every if m >= high * 1.001), default=every[-1])
            return cls([first, *inside, last], start, end, True)
        return cls(ticks(low, high), start, end, False)

    def place(self, value: float) -> float:
        low, high = self.marks[0], self.marks[-1]
        if self.log:
            value, low, high = (math.log(v) for v in (value, low, high))
        share = (high - value) / (high - low)
        return self.start + share * (self.end - self.start)


def _picture(
    found: Sequence[Point], limits: Mapping[str, float], target: Words, source: Words
) -> Html:
    x = _Axis.of([*_ends(p.x for p in found), *_some(limits, "x")], LEFT, WIDTH - RIGHT)
    y = _Axis.of([*_ends(p.y for p in found), *_some(limits, "y")], HEIGHT - BOTTOM, TOP)
    places = [(x.place(p.at[0]), y.place(p.at[1])) for p in found]
    parts = [*_grid(x, y), *_limit_lines(limits, x, y)]
    parts += [_whiskers(p, x, y) for p in found]
    parts += [_arrow(a, b) for a, b in pairwise(places[: sum(p.walked for p in found)])]
    parts += [
        _dot(i, place, p.best) for i, (p, place) in enumerate(zip(found, places, strict=True))
    ]
    parts.append(text_at(WIDTH - RIGHT, HEIGHT - 6, Words(f"{source.en}, better →", f"{source.zh}，更好 →"), "end small"))  # fmt: skip # noqa: E501
    parts.append(text_at(LEFT, TOP - 2, Words(f"↑ {target.en}, better", f"↑ {target.zh}，更好"), "small"))  # fmt: skip # noqa: E501
    return canvas(HEIGHT, parts, f"bits per byte: {target.en} against {source.en}")


def _some(limits: Mapping[str, float], key: str) -> list[float]:
    return [limits[key]] if key in limits else []


def _ends(scores: Any) -> list[float]:
    return [v for s in scores for k in ("value", "low", "high") if (v := real(s.get(k))) and v > 0]


def _grid(x: _Axis, y: _Axis) -> list[Html]:
    parts: list[Html] = []
    for mark in x.marks:
        at = n_(x.place(mark))
        parts.append(tag("line", x1=at, x2=at, y1=n_(y.end), y2=n_(y.start), class_="grid"))
        parts.append(text_at(x.place(mark), y.start + 14, short(mark), "middle small"))
    for mark in y.marks:
        at = n_(y.place(mark))
        parts.append(tag("line", x1=n_(x.start), x2=n_(x.end), y1=at, y2=at, class_="grid"))
        parts.append(text_at(x.start - 5, y.place(mark) + 4, short(mark), "end small"))
    return parts


def _limit_lines(limits: Mapping[str, float], x: _Axis, y: _Axis) -> list[Html]:
    parts = []
    if "x" in limits:
        at = n_(x.place(limits["x"]))
        parts.append(tag("line", x1=at, x2=at, y1=n_(y.end), y2=n_(y.start), class_="mark"))
    if "y" in limits:
        at = n_(y.place(limits["y"]))
        parts.append(tag("line", x1=n_(x.start), x2=n_(x.end), y1=at, y2=at, class_="mark"))
    return parts


def _whiskers(point: Point, x: _Axis, y: _Axis) -> Html:
    parts = []
    across, up = x.place(point.at[0]), y.place(point.at[1])
    a, b = real(point.x.get("low")), real(point.x.get("high"))
    if a and b:
        parts.append(tag("line", x1=n_(x.place(a)), x2=n_(x.place(b)), y1=n_(up), y2=n_(up), class_="whisker thin"))  # fmt: skip # noqa: E501
    a, b = real(point.y.get("low")), real(point.y.get("high"))
    if a and b:
        parts.append(tag("line", x1=n_(across), x2=n_(across), y1=n_(y.place(a)), y2=n_(y.place(b)), class_="whisker thin"))  # fmt: skip # noqa: E501
    return join(parts)


def _arrow(a: tuple[float, float], b: tuple[float, float]) -> Html:
    """From one point to the next, ending at the rim of its dot; none between close ones."""
    long = math.dist(a, b)
    if long < 24:
        return Html("")
    ux, uy = (b[0] - a[0]) / long, (b[1] - a[1]) / long
    start, tip = (a[0] + 9 * ux, a[1] + 9 * uy), (b[0] - 11 * ux, b[1] - 11 * uy)
    back = (tip[0] - 7 * ux, tip[1] - 7 * uy)
    wings = [(back[0] - 3.5 * s * uy, back[1] + 3.5 * s * ux) for s in (1, -1)]
    corners = " ".join(f"{n_(p)},{n_(q)}" for p, q in (tip, *wings))
    line = tag("line", x1=n_(start[0]), y1=n_(start[1]), x2=n_(back[0]), y2=n_(back[1]), class_="way")  # fmt: skip # noqa: E501
    return join((line, tag("polygon", points=corners, class_="head")))


def _dot(index: int, place: tuple[float, float], best: bool) -> Html:
    x, y = place
    ring = tag("circle", cx=n_(x), cy=n_(y), r=11, class_="ring") if best else ""
    disc = tag("circle", cx=n_(x), cy=n_(y), r=8, class_="disc")
    return join((ring, disc, text_at(x, y + 4, str(index + 1), "middle on")))
