"""The Pareto picture of benchmarks/forgetting.py as one SVG file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from forgetting_page import ON, Row, Values, places
from hanhua.report.chart import short, ticks
from hanhua.report.html import Html, tag

WIDTH, HEIGHT = 1040.0, 720.0
LEFT, RIGHT, TOP, BOTTOM = 74.0, 24.0, 40.0, 58.0
COLOURS = {
    "replay": "#1f6fb4", "rate": "#c9571b", "partial": "#2e8b57", "weights": "#8a4fb0",
    "merged": "#6b7280",
}  # fmt: skip
WORDS = {
    "replay": "replay alone", "rate": "learning rate", "partial": "frozen or partial",
    "weights": "pull, average", "merged": "merged with the base",
}  # fmt: skip
ROUND = (0, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
SIZE, LETTER = 12.0, 6.3
"""Of the labels: height, and width of a letter, in pixels."""
WIDE_PERCENT = 8.0
"""A larger range of changes is drawn on an axis that grows narrower upwards."""

Point = tuple[float, float]
Box = tuple[float, float, float, float]


class Frame:
    """Where a loss and a change lie on the canvas.

    The axis of changes is straight where they lie close together; else it is asinh(change in
    percent): straight near nothing, logarithmic far from it.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        xs = np.concatenate([_ends(row.target) for row in rows])
        ys = np.concatenate([_ends(row.change) for row in rows] + [np.zeros(1)])
        self.x_ticks = ticks(float(xs.min()), float(xs.max()), 8)
        self.wide = float(np.ptp(ys)) > WIDE_PERCENT
        low, high = float(ys.min()), float(ys.max())
        self.y_ticks = list(_rounds(low, high)) if self.wide else ticks(low, high, 8)
        ends = [self._up(low), self._up(high), *map(self._up, self.y_ticks)]
        self.low, self.high = min(ends), max(ends)

    def _up(self, change: float) -> float:
        return math.asinh(change) if self.wide else change

    def at(self, target: float, change: float) -> Point:
        """Pixels from the left and from the top."""
        across = (target - self.x_ticks[0]) / (self.x_ticks[-1] - self.x_ticks[0])
        up = (self._up(change) - self.low) / (self.high - self.low)
        return (
            LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )


def _ends(values: Values) -> Values:
    """Mean less and mean plus a standard deviation."""
    sd = values.std(ddof=1) if len(values) > 1 else 0.0
    return np.array([values.mean() - sd, values.mean() + sd])


def _rounds(low: float, high: float) -> Iterator[float]:
    """Round changes in percent, one more than is needed at either end."""
    every = [-value for value in reversed(ROUND[1:])] + list(ROUND)
    first = max((v for v in every if v <= low), default=every[0])
    last = min((v for v in every if v >= high), default=every[-1])
    yield from (value for value in every if first <= value <= last)


def picture(rows: Sequence[Row], target: str, source: str) -> str:
    """The picture.

    Args:
        rows: with means and spread.
        target: the language gained.
        source: the language kept.
    """
    frame, marks = Frame(rows), places(rows)
    middles = [frame.at(float(r.target.mean()), float(r.change.mean())) for r in rows]
    parts = [tag("rect", width=WIDTH, height=HEIGHT, fill="white"), *_axes(frame, target, source)]
    parts += _front([m for m, mark in zip(middles, marks, strict=True) if mark == ON])
    parts += _families(rows, middles)
    for row, middle, mark in zip(rows, middles, marks, strict=True):
        parts += [*_crosses(frame, row), _dot(middle, COLOURS[row.family], mark == ON)]
    parts += _labels(rows, middles, [box for row in rows for box in _bars(frame, row)])
    parts += _legend(sorted({row.family for row in rows}, key=list(COLOURS).index))
    return str(tag(
        "svg", *parts, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        width=WIDTH, height=HEIGHT, font_family="sans-serif", font_size=SIZE,
    ))  # fmt: skip


def _axes(frame: Frame, target: str, source: str) -> Iterator[Html]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for x in frame.x_ticks:
        at = frame.at(x, 0.0)[0]
        yield _line((at, TOP), (at, bottom), "#eceff3")
        yield _text((at, bottom + 18), short(x), "middle")
    last = math.inf
    for y in frame.y_ticks:
        at = frame.at(frame.x_ticks[0], y)[1]
        if last - at < 1.2 * SIZE:
            continue
        last = at
        yield _line((LEFT, at), (right, at), "#9aa3af" if y == 0 else "#eceff3")
        yield _text((LEFT - 8, at + 4), f"{y:+g} %" if y else "0", "end")
    yield _text(((LEFT + right) / 2, HEIGHT - 14), f"{target}, bits per byte (left is better)",
                "middle")  # fmt: skip
    said = f"change of {source} from the start (lower is better)"
    turned = f"rotate(-90 16 {(TOP + bottom) / 2:g})"
    yield _text((16, (TOP + bottom) / 2), said, "middle", transform=turned)


def _front(points: Sequence[Point]) -> Iterator[Html]:
    """Stairs along the front: what is above or right of them is beaten."""
    steps: list[Point] = []
    for x, y in sorted(points):
        if steps:
            steps.append((x, steps[-1][1]))
        steps.append((x, y))
    places_ = " ".join(f"{x:.1f},{y:.1f}" for x, y in steps)
    yield tag("polyline", points=places_, fill="none", stroke="#111827", stroke_width=1,
              stroke_dasharray="4 3")  # fmt: skip


def _families(rows: Sequence[Row], middles: Sequence[Point]) -> Iterator[Html]:
    """Merged models joined to the model that they come from."""
    at = {row.name: middle for row, middle in zip(rows, middles, strict=True)}
    for parent in at:
        path = [at[name] for name in at if name.startswith(f"{parent}+base-")]
        if path:
            places_ = " ".join(f"{x:.1f},{y:.1f}" for x, y in (*path, at[parent]))
            yield tag("polyline", points=places_, fill="none", stroke="#c3c8d0", stroke_width=1.5)


def _bars(frame: Frame, row: Row) -> list[Box]:
    """One standard deviation either way."""
    left, right = map(float, _ends(row.target))
    low, high = map(float, _ends(row.change))
    x, y = float(row.target.mean()), float(row.change.mean())
    return [(*frame.at(left, y), *frame.at(right, y)), (*frame.at(x, high), *frame.at(x, low))]


def _crosses(frame: Frame, row: Row) -> Iterator[Html]:
    for left, top, right, bottom in _bars(frame, row):
        yield _line((left, top), (right, bottom), COLOURS[row.family])


def _labels(rows: Sequence[Row], points: Sequence[Point], bars: Sequence[Box]) -> Iterator[Html]:
    """Each label where it hides least of what is there already; a thread leads to a far one."""
    taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    taken += [(a - 1.5, b - 1.5, c + 1.5, d + 1.5) for a, b, c, d in bars]
    for row, (x, y) in zip(rows, points, strict=True):
        said, colour = row.title, COLOURS[row.family]
        wide = LETTER * len(said)
        spots = list(_spots(x, y, wide))
        costs = [_hidden(box, taken) + 0.6 * far for box, far in spots]
        box, far = spots[int(np.argmin(costs))]
        taken.append(box)
        if far > 16:
            near = min(max(x, box[0]), box[2]), box[1] if y < box[1] else box[3]
            yield _line((x, y), near, "#c3c8d0")
        yield _text((box[0], box[3] - 3), said, "start", fill=colour, stroke="white",
                    stroke_width="3", paint_order="stroke")  # fmt: skip


def _spots(x: float, y: float, wide: float) -> Iterator[tuple[Box, float]]:
    """Places for a label with their distance from the point, the nearest first."""
    tall = SIZE + 2
    for far in (9.0, 18.0, 30.0, 44.0, 60.0, 80.0):
        for turn in np.linspace(0, 2 * np.pi, 16, endpoint=False):
            middle = x + far * math.cos(turn), y + far * math.sin(turn)
            left = middle[0] - wide * (1 - math.cos(turn)) / 2
            top = middle[1] - tall * (1 - math.sin(turn)) / 2
            yield (left, top, left + wide, top + tall), far


def _hidden(box: Box, taken: Sequence[Box]) -> float:
    """Square pixels that a box hides of others, and very much for leaving the canvas."""

    def overlap(a: Box, b: Box) -> float:
        across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        return max(across, 0.0) * max(down, 0.0)

    inside = (LEFT + 2, TOP, WIDTH - 4, HEIGHT - BOTTOM)
    out = (box[2] - box[0]) * (box[3] - box[1]) - overlap(box, inside)
    return sum(overlap(box, other) for other in taken) + 20 * out


def _legend(families: Sequence[str]) -> Iterator[Html]:
    x = LEFT
    for family in families:
        yield _dot((x + 6, 18), COLOURS[family], filled=True)
        yield _text((x + 16, 22), WORDS[family], "start")
        x += 34 + LETTER * len(WORDS[family])
    yield _text((x, 22), "filled and dashed: the front; bars: one sd over seeds", "start",
                fill="#6b7280")  # fmt: skip


def _dot(at: Point, colour: str, filled: bool) -> Html:
    return tag("circle", cx=f"{at[0]:.1f}", cy=f"{at[1]:.1f}", r=5, stroke=colour,
               stroke_width=1.5, fill=colour if filled else "white")  # fmt: skip


def _line(a: Point, b: Point, colour: str) -> Html:
    return tag("line", x1=f"{a[0]:.1f}", y1=f"{a[1]:.1f}", x2=f"{b[0]:.1f}", y2=f"{b[1]:.1f}",
               stroke=colour)  # fmt: skip


def _text(at: Point, said: str, anchor: str, **more: str) -> Html:
    return tag("text", said, x=f"{at[0]:.1f}", y=f"{at[1]:.1f}", text_anchor=anchor, **more)
