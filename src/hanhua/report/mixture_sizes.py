"""The sections of a mixture's page that only an answer joined from several model sizes has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hanhua.report.chart import Series, curves
from hanhua.report.html import Html, Words, count, number, percent, table, tag
from hanhua.report.page import Section, beside, note
from hanhua.report.run import language

Result = Mapping[str, Any]


def sizes(result: Result) -> Section:
    """How the share and the price of a point move with the size of the model."""
    target, source = language(result["target"]), language(result["source"])
    head = (
        Words("Parameters", "参数量"), Words("", ""), Words("Share", "占比"),
        Words("Interval", "区间"), Words(f"One more point costs {source.en}",
                                       f"每多一个百分点，{source.zh}的代价"),
        Words("Interval", "区间"),
    )  # fmt: skip
    rows = [
        (count(row["parameters"]), _kind(row), percent(row["share"]),
         f"{percent(row['low'])} – {percent(row['high'])}", percent(row["price"], 3, signed=True),
         f"{percent(row['price_low'], 3)} – {percent(row['price_high'], 3)}")
        for row in result["sizes"]["rows"]
    ]  # fmt: skip
    drawn = beside(
        _chart(result, ("share", "low", "high"), f"share of {target.en}", f"{target.zh}占比"),
        _chart(result, ("price", "price_low", "price_high"),
               f"what a point costs {source.en}, percent", f"{source.zh}的代价，百分之", 100.0),
    )  # fmt: skip
    return Section("sizes", Words("By model size", "随模型大小的变化"),
                   [drawn, table(head, rows, 2), _said(result)])  # fmt: skip


def _kind(row: Result) -> Words:
    return Words("measured", "实测") if row["measured"] else Words("foretold", "推算")


def _chart(
    result: Result, keys: tuple[str, str, str], english: str, chinese: str, times: float = 1.0
) -> Html:
    """A quantity over the logarithm of the size; the grey line runs around its interval."""
    rows = result["sizes"]["rows"]

    def line(key: str) -> list[tuple[float, float]]:
        return [(math.log10(row["parameters"]), times * row[key]) for row in rows]

    around = [*line(keys[1]), *reversed(line(keys[2]))]
    own = [point for point, row in zip(line(keys[0]), rows, strict=True)
           if row["parameters"] == result["sizes"]["parameters"]]  # fmt: skip
    drawn = curves(
        [Series(Words("by the law", "拟合律"), line(keys[0]), "c2"),
         Series(Words("interval", "区间"), around, "c6"),
         Series(Words("this model", "本模型"), [], "c1")],
        english, 200, dots=[Series("", own, "c1")],
        axis=Words("log10 of parameters →", "参数量的对数（10）→"), zero=False,
    )  # fmt: skip
    return tag("div", tag("h3", Words(english, chinese)), drawn)


def _said(result: Result) -> Html:
    errors = [
        f"{name} {percent(error)}" for name, error in result["sizes"]["size_error"].items()
        if error is not None
    ]  # fmt: skip
    english = "One law over share, tokens and model size. "
    chinese = "同一条规律涵盖占比、词元数与模型大小。"
    if errors:
        english += f"Fitted without the largest size, it misses it by {', '.join(errors)}. "
        chinese += f"不用最大的模型拟合时，对它的误差为 {'、'.join(errors)}。"
    if not result["sizes"]["measured"]:
        english += "The base's own losses at this size are foretold, too."
        chinese += "本模型的基座损失也是推算的。"
    return note(english, chinese)


def measured_sizes(result: Result) -> Section:
    """Every point of every size, and what the studies cost."""
    codes = result["target"], result["source"]
    head = (Words("Parameters", "参数量"), Words("Share", "占比"), Words("Tokens", "词元"),
            *map(language, codes))  # fmt: skip
    rows = [
        (count(study["parameters"]), percent(point["share"]), count(point["tokens"]),
         *(number(point["losses"][code]) for code in codes))
        for study in result["sizes"]["studies"] for point in study["points"]
    ]  # fmt: skip
    compute = result["compute"]
    part = percent(compute["of_large_run"], 0)
    said = note(
        f"{compute['runs']} small runs, {count(compute['tokens'])} tokens together, {part} of the "
        "large run's arithmetic (parameters times tokens). Losses are held-out bits per byte, on "
        "the same documents for every size.",
        f"共 {compute['runs']} 次小实验，合计 {count(compute['tokens'])} 词元，"
        f"为正式训练计算量（参数量乘词元数）的 {part}。损失为留出文本的比特/字节，"
        "各种大小用同样的文档。",
    )
    return Section("measured", Words("What was measured", "实测数据"), [table(head, rows), said])
