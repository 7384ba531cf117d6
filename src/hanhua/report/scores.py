"""The section on bits per byte: how well every model predicts text that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hanhua.report.chart import Bar, bars
from hanhua.report.html import Html, Words, count, interval, join, number, percent, table, tag
from hanhua.report.page import Section, beside, more, note, paragraph, sources
from hanhua.report.run import Run, dig, language, mapping, model, models, real


def bits_per_byte(run: Run) -> Section:
    """How well every model predicts held-out text, in a unit that no tokenizer changes."""
    found = mapping(run.summary.get("bits_per_byte"))
    body: list[Html] = []
    if found:
        codes = run.languages(code for scores in found.values() for code in mapping(scores))
        body = [
            paragraph(
                "How many bits the model needs for one byte of text that it has never seen. Lower "
                "is better. The unit does not depend on the tokenizer, so models with different "
                "vocabularies can be compared; perplexity per token would not allow that.",
                "模型平均用多少比特来预测一字节未见过的文本，越低越好。该单位与分词器无关，因此词表"
                "不同的模型之间可以比较；每词元困惑度则不行。",
            ),
            beside(*(_bits_chart(run, found, code) for code in codes)),
            *(_bits_table(found, code) for code in codes),
            more("By source", "按来源", *(_by_source(run, code) for code in codes)),
            note(
                "n: documents and bytes measured. In brackets and as whiskers: 95 % interval. "
                "Difference: from the untouched base, paired on the same documents.",
                "n：所测文档数与字节数。方括号与须线：95 % 区间。差值：在同一批文档上与原模型"
                "成对比较。",
            ),
            sources(*(run.link(f"eval-{name}", "scores.json") for name in models(found))),
        ]
    return Section("bits-per-byte", Words("Bits per byte", "比特/字节"), body)


def _bits_chart(run: Run, found: Mapping[str, Any], code: str) -> Html:
    rows = []
    for name in models(found):
        score = mapping(dig(found, name, code))
        value = real(score.get("value"))
        if value is not None:
            low, high = real(score.get("low")), real(score.get("high"))
            rows.append(Bar(model(name), value, number(value), low, high, run.colour(code)))
    if not rows:
        return Html("")
    return join((tag("h3", language(code)), bars(rows, title=f"bits per byte, {code}")))


def _bits_table(found: Mapping[str, Any], code: str) -> Html:
    base = real(dig(found, "base", code, "value"))
    rows = []
    for name in models(found):
        score = mapping(dig(found, name, code))
        value = real(score.get("value"))
        change = value / base - 1 if value is not None and base and name != "base" else None
        rows.append(
            (model(name), ranged(score), ranged(mapping(score.get("difference")), signed=True),
             percent(change, signed=True), count(score.get("n_docs")),
             count(score.get("n_bytes")))
        )  # fmt: skip
    head = (
        language(code), Words("Bits per byte", "比特/字节"), Words("Difference", "差值"),
        Words("Change", "变化"), Words("n documents", "n 文档"), Words("n bytes", "n 字节"),
    )  # fmt: skip
    return table(head, rows)


def _by_source(run: Run, code: str) -> Html:
    """Bits per byte of each source: a column a model."""
    names = models({n.removeprefix("eval-"): 1 for n in run.stages if n.startswith("eval-")})
    found = {
        name: mapping(
            dig(run.json(f"eval-{name}", "scores.json"), "bits_per_byte", code, "by_source")
        )
        for name in names
    }
    sources_ = sorted({source for scores in found.values() for source in scores})
    rows = [
        (
            source, count(dig(found[names[-1]], source, "n_docs")),
            *(ranged(mapping(found[name].get(source)), 2) for name in names),
        )
        for source in sources_
    ]  # fmt: skip
    head = (language(code), Words("n documents", "n 文档"), *map(model, names))
    return table(head, rows) if rows else Html("")


def ranged(score: Mapping[str, Any], digits: int = 3, signed: bool = False) -> Html:
    """A value with its interval behind it in small print; one document has none."""
    alone = score.get("n_docs") == 1
    between = "" if alone else interval(score.get("low"), score.get("high"), digits)
    shown = number(score.get("value"), digits, signed)
    return join((shown, tag("span", between, class_="range") if between else ""))
