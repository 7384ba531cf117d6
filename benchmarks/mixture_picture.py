"""The picture of benchmarks/mixture_real.py: losses by share, measured and foretold, as one SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hanhua.mix.fitted import Fitted
from hanhua.mix.points import Point, Study
from hanhua.report.chart import short, ticks
from hanhua.report.html import Html, tag

WIDTH, HEIGHT = 520.0, 420.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 16.0, 56.0, 46.0
COLOURS = ("#9db8d2", "#5b8db8", "#1f6fb4", "#e0a080", "#c9571b")
"""Of token counts, shortest first: what was fitted in blue, what was not in brown."""
Frame = tuple[list[float], list[float]]


def picture(study: Study, fits: Mapping[str, Fitted], truth: Sequence[Point]) -> str:
    """A panel for each language.

    Args:
        study: what was fitted: filled dots.
        fits: the laws: lines, and the 90 % interval at the greatest number of tokens.
        truth: what was not: hollow dots.
    """
    panels = [
        tag("g", *_panel(study, fits[name], truth, name), transform=f"translate({i * WIDTH:g} 0)")
        for i, name in enumerate((study.target, study.source))
    ]
    back = tag("rect", width=2 * WIDTH, height=HEIGHT, fill="white")
    return str(tag(
        "svg", back, *panels, xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {2 * WIDTH:g} {HEIGHT:g}", width=2 * WIDTH, height=HEIGHT,
        font_family="sans-serif", font_size=12,
    ))  # fmt: skip


def _panel(
    study: Study, fitted: Fitted, truth: Sequence[Point], name: str
) -> Iterator[Html]:  # fmt: skip
    shares = np.linspace(0.05, 1.0, 96)
    known = sorted({point.tokens for point in study.points})
    other = sorted({point.tokens for point in truth})
    new = [one for one in other if all(abs(one - count) > 0.1 * count for count in known)]
    lines = {count: fitted.predict(shares, count) for count in [*known, *new]}
    dots = [(p, True) for p in study.points] + [(p, False) for p in truth]
    measured = [point.losses[name] for point, _ in dots]
    inside = [float(v) for line in lines.values() for v in line]
    low = min(*measured, *inside)
    high = max(*measured, float(np.quantile(inside, 0.97)))
    frame: Frame = ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], ticks(low, high, 6))
    yield from _axes(frame, f"{name}, held-out bits per byte", f"share of {study.target}")
    most = other[-1]
    band = np.quantile(fitted.predict_draws(shares[:, None], most), (0.05, 0.95), axis=0)
    yield _band(frame, shares, band.reshape(2, -1))
    for number, (count, line) in enumerate(lines.items()):
        colour = _colour(count, known, other)
        dashes = {} if count in known else {"stroke_dasharray": "5 3"}
        yield tag("polyline", points=_path(frame, shares, line), fill="none", stroke=colour,
                  stroke_width=1.5, **dashes)  # fmt: skip
        yield _text((LEFT + number * 92, 40), f"{count / 1000:,.0f}k tokens", "start", fill=colour)
    for point, filled in dots:
        x, y = _at(frame, point.share, point.losses[name])
        colour = _colour(point.tokens, known, other)
        yield tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=4, stroke=colour, stroke_width=1.5,
                  fill=colour if filled else "white")  # fmt: skip


def _colour(count: float, known: Sequence[float], other: Sequence[float]) -> str:
    near = min(known, key=lambda one: abs(one - count))
    if abs(near - count) <= 0.1 * near:
        return COLOURS[min(max(known.index(near) + 3 - len(known), 0), 2)]
    return COLOURS[3 + min(other.index(count), 1)] if count in other else COLOURS[3]


def _at(frame: Frame, x: float, y: float) -> tuple[float, float]:
    xs, ys = frame
    across = (x - xs[0]) / (xs[-1] - xs[0])
    up = min(max((y - ys[0]) / (ys[-1] - ys[0]), 0.0), 1.02)
    return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def _path(frame: Frame, xs: np.ndarray, ys: np.ndarray) -> str:
    pairs = (_at(frame, float(x), float(y)) for x, y in zip(xs, ys, strict=True))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)


def _band(frame: Frame, xs: np.ndarray, band: np.ndarray) -> Html:
    there, back = _path(frame, xs, band[0]), _path(frame, xs[::-1], band[1][::-1])
    return tag("polygon", points=f"{there} {back}", fill=COLOURS[4], fill_opacity="0.12")


def _axes(frame: Frame, title: str, under: str) -> Iterator[Html]:
    xs, ys = frame
    yield _text((LEFT, 20), title, "start", font_weight="bold")
    for x in xs:
        at = _at(frame, x, ys[0])
        yield tag("line", x1=at[0], x2=at[0], y1=TOP, y2=at[1], stroke="#eceff3")
        yield _text((at[0], at[1] + 18), f"{x:.0%}", "middle")
    for y in ys:
        at = _at(frame, xs[0], y)
        yield tag("line", x1=at[0], x2=WIDTH - RIGHT, y1=at[1], y2=at[1], stroke="#eceff3")
        yield _text((at[0] - 6, at[1] + 4), short(y), "end")
    yield _text((WIDTH / 2, HEIGHT - 8), f"{under} (filled: fitted; hollow: not)", "middle")


def _text(at: tuple[float, float], said: str, anchor: str, **more: str) -> Html:
    return tag("text", said, x=f"{at[0]:.1f}", y=f"{at[1]:.1f}", text_anchor=anchor, **more)
