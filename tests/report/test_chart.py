"""Charts and the HTML under them."""

from __future__ import annotations

import math
import re

from hypothesis import given
from hypothesis import strategies as st

from hanhua.report.chart import Bar, Series, bars, curves, labels, short, thin, ticks
from hanhua.report.html import Html, Words, interval, number, percent, points, tag, text

reals = st.floats(-1e12, 1e12, allow_nan=False)


@given(reals, st.floats(1e-6, 1e12))
def test_ticks_span_what_is_shown(low: float, width: float) -> None:
    found = ticks(low, low + width)
    step = found[1] - found[0]
    assert found[0] <= low + step * 1e-3
    assert found[-1] >= low + width - step * 1e-3
    assert 2 <= len(found) <= 8


@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 50)), max_size=700), st.integers(1, 200))
def test_thinned_points_keep_the_mean(points: list[tuple[float, float]], most: int) -> None:
    found = thin(points, most)
    assert len(found) <= most or len(found) == len(points)
    if points and len(points) % most == 0:
        mean = sum(y for _, y in points) / len(points)
        assert math.isclose(sum(y for _, y in found) / len(found), mean, abs_tol=1e-6)


@given(st.text())
def test_text_can_neither_open_nor_close_a_tag(raw: str) -> None:
    shown = text(raw)
    assert not re.search(r"[<>\"'\x00]", shown)
    shown.encode("utf-8")


def test_only_marked_text_is_markup() -> None:
    assert (
        tag("p", "<b>", Html("<i></i>"), class_="a&b") == '<p class="a&amp;b">&lt;b&gt;<i></i></p>'
    )
    assert text(Words("<", Html("<br>"))).count("<br>") == 1


def test_curves_of_one_flat_point_are_drawn() -> None:
    drawn = curves([Series("one", [(0.0, 2.0)]), Series("none", [])])
    assert "polyline" in drawn
    assert "nan" not in drawn.lower()


def test_words_in_a_chart_stay_inside_the_svg() -> None:
    drawn = bars([Bar(Words("Base", "原模型"), 2.0, "2.0", 1.9, 2.1)], mark=0.25)
    assert "<tspan data-lang" in drawn
    assert "<span" not in drawn


def test_numbers_are_shown_or_dashed() -> None:
    assert number(None) == number("x") == number(math.nan) == number(True) == "–"
    assert number(-1234.5, 1) == "−1,234.5"
    assert percent(-0.055, signed=True) == "−5.5 %"
    assert percent(0.01, signed=True) == "+1.0 %"
    assert interval(1, None) == ""
    assert [short(x) for x in (0, 0.25, 12, 300_000, 8e6, 0.001, 2.5e-4)] == [
        "0", "0.25", "12", "300k", "8M", "1e-3", "2.5e-4",
    ]  # fmt: skip


def test_the_numbers_of_an_axis_are_written_alike() -> None:
    assert labels([0.0, 0.002, 0.004, 0.006, 0.008]) == ["0", "2e-3", "4e-3", "6e-3", "8e-3"]
    assert labels([0.0, 0.25, 0.5]) == ["0", "0.25", "0.5"]
    assert labels([-0.0002, 0.0, 0.0002]) == ["-2e-4", "0", "2e-4"]
    assert labels([0.0, 250_000.0, 1_000_000.0]) == ["0", "250k", "1M"]


def test_shares_are_per_cent_on_the_axis_and_points_apart() -> None:
    drawn = bars([Bar("a", 0.4, "40.0 %")], mark=0.25, share=True)
    assert ">20 %<" in drawn
    assert ">0.2<" not in drawn
    assert points(-0.0094) == "−0.9"
    assert points(None) == "–"


def test_a_chart_says_what_it_measures() -> None:
    drawn = curves([Series("one", [(0.0, 2.0), (9.0, 1.0)])], unit=Words("nats", "奈特"))
    assert drawn.index("nats") < drawn.index("<svg")
