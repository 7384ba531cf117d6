"""Charts as inline SVG, drawn by hand: a few bars and lines need no plotting library.

They take their colours from the page's style sheet, so they follow dark and light, and their
words from the page's language switch. The canvas is as wide as a phone's screen, so that labels
stay readable there; the page sets two charts side by side where there is room.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hanhua.report.html import Html, Words, join, tag, text

WIDTH = 330
_LABEL = 84
TOKENS = Words("tokens →", "词元 →")
_VALUE = 58


@dataclass(frozen=True, slots=True)
class Bar:
    """One value with its interval."""

    label: Words | str
    value: float
    shown: str
    low: float | None = None
    high: float | None = None
    colour: str = "c1"


@dataclass(frozen=True, slots=True)
class Series:
    """One line: points (x, y) in rising x."""

    label: Words | str
    points: Sequence[tuple[float, float]]
    colour: str = "c1"


@dataclass(frozen=True, slots=True)
class Stack:
    """One bar made of parts: (name, amount, colour)."""

    label: Words | str
    parts: Sequence[tuple[Words | str, float, str]]
    shown: str = ""


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers that span low to high."""
    if not high - low > 1e-9 * max(abs(low), abs(high)):  # nearer than rounding can tell apart
        high = low + (abs(low) or 1.0)
    raw = (high - low) / wanted
    size = 10.0 ** math.floor(math.log10(raw))
    step = next((size * m for m in (1, 2, 2.5, 5) if size * m >= raw * 0.999), size * 10)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def bars(
    rows: Sequence[Bar], mark: float | None = None, title: str = "", share: bool = False
) -> Html:
    """Bars from zero with their intervals.

    Args:
        rows: the bars.
        mark: where a line goes across, the chance of guessing.
        title: for those who cannot see it.
        share: values are shares, and the axis says them in per cent.
    """
    top = max([b.high or b.value for b in rows] + [mark or 0.0])
    marks = ticks(0.0, top)
    height = 26 * len(rows) + 26
    scale = (WIDTH - _LABEL - _VALUE) / marks[-1]
    parts = [_grid(marks, scale, height, share)]
    parts += [_bar(row, index, scale) for index, row in enumerate(rows)]
    if mark is not None:
        parts.append(_line(_LABEL + mark * scale, 2, height - 20, "mark"))
    return canvas(height, parts, title)


def _bar(row: Bar, index: int, scale: float) -> Html:
    y = 26 * index + 4
    end = _LABEL + row.value * scale
    whisker = Html("")
    if row.low is not None and row.high is not None:
        a, b = _LABEL + max(row.low, 0.0) * scale, _LABEL + row.high * scale
        whisker = join(
            (
                tag("line", x1=n_(a), x2=n_(b), y1=y + 9, y2=y + 9, class_="whisker"),
                tag("line", x1=n_(a), x2=n_(a), y1=y + 5, y2=y + 13, class_="whisker"),
                tag("line", x1=n_(b), x2=n_(b), y1=y + 5, y2=y + 13, class_="whisker"),
            )
        )
    return join(
        (
            text_at(_LABEL - 8, y + 13, row.label, "end"),
            tag("rect", x=_LABEL, y=y, width=n_(max(end - _LABEL, 0.0)), height=18,
                class_=f"{row.colour} soft"),
            whisker,
            text_at(WIDTH, y + 13, row.shown, "end strong"),
        )
    )  # fmt: skip


def _grid(marks: Sequence[float], scale: float, height: float, share: bool) -> Html:
    lines = []
    names = labels([100 * mark for mark in marks] if share else marks)
    for mark, name in zip(marks, names, strict=True):
        x = _LABEL + mark * scale
        lines.append(_line(x, 0, height - 22, "grid"))
        lines.append(text_at(x, height - 8, f"{name} %" if share else name, "middle small"))
    return join(lines)


def curves(
    series: Sequence[Series], title: str = "", height: float = 190, *, dots: Sequence[Series] = (),
    axis: Words | str = TOKENS, zero: bool = True, doubling: bool = False, unit: Words | str = "",
) -> Html:  # fmt: skip
    """Lines over tokens, or over another quantity.

    Args:
        series: the lines.
        title: for those who cannot see it.
        height: of the canvas.
        dots: single points, without a line and not in the legend.
        axis: what runs along the x axis.
        zero: whether that begins at zero.
        doubling: whether it is by logarithm, from 1 on, marked where it has doubled twice.
        unit: what runs along the y axis.
    """
    points = [p for line in (*series, *dots) for p in line.points]
    furthest = max(x for x, _ in points)
    xs = ticks(0.0 if zero else min(x for x, _ in points), furthest)
    if doubling:
        xs = [4.0**k for k in range(math.ceil(math.log(max(furthest, 2.0), 4)) + 1)]
    scale = math.log if doubling else float
    ys = ticks(min(y for _, y in points), max(y for _, y in points))
    left, right, top, bottom = 40.0, WIDTH - 12.0, 8.0, height - 24

    def place(x: float, y: float) -> tuple[float, float]:
        across = (scale(x) - scale(xs[0])) / (scale(xs[-1]) - scale(xs[0]))
        up = (y - ys[0]) / (ys[-1] - ys[0])
        return left + across * (right - left), bottom - up * (bottom - top)

    parts = []
    for y, name in zip(ys, labels(ys), strict=True):
        at = place(xs[0], y)[1]
        parts.append(tag("line", x1=left, x2=right, y1=n_(at), y2=n_(at), class_="grid"))
        parts.append(text_at(left - 6, at + 4, name, "end small"))
    parts += [
        text_at(place(x, ys[0])[0], height - 8, name, "middle small")
        for x, name in zip(xs, labels(xs), strict=True)
    ]
    for line in series:
        path = " ".join(f"{n_(a)},{n_(b)}" for a, b in (place(*p) for p in thin(line.points)))
        parts.append(tag("polyline", points=path, class_=f"{line.colour} stroke"))
    for many in dots:
        places = [place(*p) for p in many.points]
        parts += [tag("circle", cx=n_(x), cy=n_(y), r=3, class_=many.colour) for x, y in places]
    names = legend([(s.label, s.colour) for s in series], axis)
    head = tag("p", unit, class_="unit") if unit else Html("")
    return join((head, canvas(height, parts, title), names))


def thin(points: Sequence[tuple[float, float]], most: int = 160) -> list[tuple[float, float]]:
    """At most ``most`` points, each the mean of neighbours, so that noise does not mislead."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) / most)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def stacks(rows: Sequence[Stack], title: str = "", pitch: int = 28) -> Html:
    """Bars of equal length split by share, with one legend."""
    span = WIDTH - _LABEL - _VALUE
    parts: list[Html] = []
    names: dict[Words | str, str] = {}
    for index, row in enumerate(rows):
        y, x = pitch * index + 4, float(_LABEL)
        whole = sum(amount for _, amount, _ in row.parts) or 1.0
        parts.append(text_at(_LABEL - 8, y + 13, row.label, "end"))
        for name, amount, colour in row.parts:
            wide = span * amount / whole
            parts.append(tag("rect", x=n_(x), y=y, width=n_(wide), height=18, class_=colour))
            names.setdefault(name, colour)
            x += wide
        parts.append(text_at(WIDTH, y + 13, row.shown, "end small"))
    return join((canvas(pitch * len(rows) + 4, parts, title), legend(list(names.items()))))


def legend(names: Sequence[tuple[Words | str, str]], axis: Words | str = "") -> Html:
    """What each colour means, and what runs along the x axis."""
    items = [
        tag("span", tag("i", class_=f"key {colour}"), name, class_="item") for name, colour in names
    ]
    across = tag("span", axis, class_="axis") if axis else ""
    return tag("p", *items, across, class_="legend")


def short(value: float) -> str:
    """A number for an axis: 0, 0.25, 12, 1,024, 300k, 8M."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            few = f"{value / limit:.3g}"
            exact = math.isclose(float(few) * limit, value, rel_tol=1e-9)
            return f"{few}{suffix}" if exact or abs(value) >= 1e6 else f"{value:,.0f}"
    if value and abs(value) < 5e-3:
        digits, _, exponent = f"{value:.1e}".partition("e")
        return f"{float(digits):g}e{int(exponent)}"
    return f"{value:.4g}"


def labels(marks: Sequence[float]) -> list[str]:
    """The numbers of an axis, written alike: all with the power of ten that the largest needs."""
    found = [short(mark) for mark in marks]
    if not any("e" in name for name in found):
        return found
    power = math.floor(math.log10(max(abs(mark) for mark in marks)))
    return [f"{mark / 10**power:.4g}e{power}" if mark else "0" for mark in marks]


def canvas(height: float, parts: Sequence[Html], title: str) -> Html:
    """An SVG of the width of all charts."""
    box = f"0 0 {WIDTH} {n_(height)}"
    return tag("svg", *parts, viewBox=box, role="img", aria_label=title or None)


def _line(x: float, top: float, bottom: float, style: str) -> Html:
    return tag("line", x1=n_(x), x2=n_(x), y1=n_(top), y2=n_(bottom), class_=style)


def text_at(x: float, y: float, words: object, style: str) -> Html:
    """Words in an SVG; x is their start, middle or end as the style says."""
    return tag("text", text(words, "tspan"), x=n_(x), y=n_(y), class_=style)


def n_(value: float) -> str:
    """A coordinate with one spelling on every machine."""
    return f"{value:.1f}".rstrip("0").rstrip(".")
