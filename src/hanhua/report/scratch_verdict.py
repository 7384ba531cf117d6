"""What the page of ``hanhua study scratch`` says at its top: a sentence for each loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hanhua.report.html import Html, Words, count, tag
from hanhua.report.page import note
from hanhua.report.run import language

BOTH = "both"
Result = Mapping[str, Any]


def loss_name(code: str) -> Words:
    """A language, or the sum of both."""
    return Words("Both languages", "两种语言合计") if code == BOTH else language(code)


def verdict(result: Result) -> list[Html]:
    """A line for each loss, and what a reader must know of the arms."""
    found = [_line(code, one, result) for code, one in result["languages"].items()]
    notes = [tag("p", text, class_="note", lang="en") for text in result["notes"]]
    return [tag("div", tag("ul", *found), class_="verdict"), _how(result["seeds"]), *notes]


def _line(code: str, found: Result, result: Result) -> Html:
    where, name = found["overtakes"], loss_name(code)
    badge = _badge(where)
    said = _said(where, result["lengths"])
    return tag(
        "li", tag("span", badge, class_=f"tag {'good' if where['sure'] else 'even'}"),
        Words(f"{name.en}: {said.en}", f"{name.zh}：{said.zh}"), _further(where["extrapolated"]),
        _lead(found["lead_lost"]), _doubt(where),
    )  # fmt: skip


def _lead(found: Result | None) -> Html:
    if found is None:
        return Html("")
    at = count(found["tokens"])
    if not found["sure"]:
        return note(
            f"It may have been ahead in shorter runs, up to about {at} tokens.",
            f"在较短的实验中（约 {at} 词元以内），从零训练可能领先。",
        )
    return note(
        f"In shorter runs it was ahead, up to about {at} tokens.",
        f"在较短的实验中（约 {at} 词元以内），从零训练领先。",
    )


def _how(seeds: int) -> Html:
    """What an answer is held against."""
    if seeds == 1:
        return note(
            "One draw, so its luck is not known: gaps under 5 % of the loss count as none.",
            "仅一次抽取，运气成分未知：不足损失 5 % 的差视为没有差。",
        )
    return note(
        f"{seeds} draws; gaps are held against their 90 % intervals.",
        f"{seeds} 次抽取；差按其 90 % 区间判断。",
    )


def _doubt(where: Result) -> Html:
    if where["sure"]:
        return Html("")
    return note(
        "The curves lie too near each other where it matters.", "在关键处两条曲线相距太近。"
    )


def _badge(where: Result) -> Words:
    if not where["sure"]:
        return Words("cannot tell", "无法判断")
    if where["kind"] == "beyond":
        return Words("continue", "继续训练")
    return Words("scratch", "从零训练") if where["kind"] == "before" else Words("crosses", "有交点")


def _said(where: Result, lengths: Sequence[int]) -> Words:
    first, last = count(lengths[0]), count(lengths[-1])
    if where["kind"] == "beyond":
        return Words(
            f"scratch does not overtake within what was run, up to {last} tokens.",
            f"在实验范围内（至 {last} 词元）从零训练未超过本地化。",
        )
    if where["kind"] == "before":
        return Words(
            f"scratch is ahead from the shortest run on, {first} tokens.",
            f"从最短的实验（{first} 词元）起，从零训练就已领先。",
        )
    low = _end(where["low"], Words("before the first", "首点之前"))
    high = _end(where["high"], Words("beyond the last", "末点之后"))
    at = count(where["tokens"])
    return Words(
        f"scratch overtakes at {at} tokens [{low.en} – {high.en}].",
        f"从零训练在 {at} 词元处超过 [{low.zh} – {high.zh}]。",
    )


def _end(tokens: float | None, absent: Words) -> Words:
    """An end of an interval, or what there is instead."""
    return absent if tokens is None else Words(count(tokens), count(tokens))


def _further(found: Result | None) -> Html:
    if found is None:
        return Html("")
    if found["tokens"] is None:
        return tag("p", f"Not extrapolated: {found['why']}.", class_="note", lang="en")
    at, low = count(found["tokens"]), count(found["low"])
    high = _end(found["high"], Words("open", "不封口"))
    return tag("p", Words(
        f"Extrapolated, not measured: {at} tokens [{low} – {high.en}].",
        f"外推值，并非实测：{at} 词元 [{low} – {high.zh}]。",
    ), class_="note")  # fmt: skip
