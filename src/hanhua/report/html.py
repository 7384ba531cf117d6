"""HTML by small typed functions: what is not marked as ``Html`` is escaped.

A template language would need the same care at every placeholder; here the type says it, so no
text slips in raw.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import NamedTuple

_VOID = {
    "br",
    "hr",
    "meta",
    "line",
    "rect",
    "circle",
    "path",
    "polyline",
    "polygon",
    "col",
    "input",
}


class Html(str):
    """Markup that is safe to put on the page as it is."""

    __slots__ = ()


class Words(NamedTuple):
    """A text in English and in Chinese; the switch on the page shows one of them."""

    en: object
    zh: object


def text(value: object, element: str = "span") -> Html:
    """Anything as text of the page: escaped, with what cannot be shown made visible.

    Model output and file names may hold control characters and lone surrogates; the first are
    shown by their pictures (U+2400 …), the second by U+FFFD.

    Args:
        value: ``Html`` stays as it is, ``Words`` become both languages, the rest is escaped.
        element: what wraps each language: "span" on the page, "tspan" inside an SVG text.
    """
    if isinstance(value, Html):
        return value
    if isinstance(value, Words):
        return Html(
            f'<{element} data-lang="en" lang="en">{text(value.en)}</{element}>'
            f'<{element} data-lang="zh" lang="zh-CN">{text(value.zh)}</{element}>'
        )
    shown = "".join(map(_visible, str(value)))
    return Html(html.escape(shown, quote=True))


def _visible(char: str) -> str:
    code = ord(char)
    if code < 0x20 and char not in "\n\t":
        return chr(0x2400 + code)
    if 0xD800 <= code <= 0xDFFF or 0x7F <= code < 0xA0:
        return "\ufffd"
    return char


def join(parts: Iterable[object], between: str = "") -> Html:
    """Several pieces as one."""
    return Html(text(between).join(text(part) for part in parts))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """One element; ``class_`` and ``data_x`` are ``class`` and ``data-x``, None leaves one out."""
    inside = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID and not children:
        return Html(f"<{name}{inside}>" if name in {"br", "hr", "meta"} else f"<{name}{inside}/>")
    return Html(f"<{name}{inside}>{join(children)}</{name}>")


def table(head: Iterable[object], rows: Iterable[Iterable[object]], numbers: int = 1) -> Html:
    """A table that scrolls sideways on a phone.

    Args:
        head: the column titles.
        rows: the cells.
        numbers: the column from which on cells are numbers, set right.
    """
    titles = [tag("th", cell, scope="col", class_=_side(i, numbers)) for i, cell in enumerate(head)]
    body = [tag("tr", *(_cell(i, cell, numbers) for i, cell in enumerate(row))) for row in rows]
    inside = tag("table", tag("thead", tag("tr", *titles)), tag("tbody", *body))
    return tag("div", inside, class_="scroll", tabindex="0")


def tight(drawn: Html) -> Html:
    """A table of many columns: intervals stand under their values, so that it fits the page."""
    return tag("div", drawn, class_="tight")


def _side(column: int, numbers: int) -> str | None:
    return "n" if column >= numbers else None


def _cell(column: int, cell: object, numbers: int) -> Html:
    if column == 0:
        return tag("th", cell, scope="row", class_=_side(column, numbers))
    return tag("td", cell, class_=_side(column, numbers))


def number(value: object, digits: int = 3, signed: bool = False) -> str:
    """A measured number with fixed digits, or a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    return f"{value + 0.0:{'+' if signed else ''},.{digits}f}".replace("-", "−")


def count(value: object) -> str:
    """A whole number with thousands apart, or a dash."""
    return number(value, 0)


def percent(value: object, digits: int = 1, signed: bool = False) -> str:
    """A share (0 to 1) in per cent, or a dash."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    sign = "+" if signed else ""
    return f"{value * 100 + 0.0:{sign}.{digits}f} %".replace("-", "−")


def points(value: object) -> str:
    """A difference of two shares in percentage points, with its sign, or a dash."""
    return percent(value, signed=True).removesuffix(" %")


def interval(low: object, high: object, digits: int = 3) -> str:
    """``[low, high]``, or nothing where there is no interval."""
    shown = [number(low, digits), number(high, digits)]
    return "" if "–" in shown else f"[{shown[0]}, {shown[1]}]"
