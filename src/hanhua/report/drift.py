"""The section on drift: how far each model has moved from the untouched base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hanhua.report.chart import Bar, bars
from hanhua.report.drift_where import PLACES, where
from hanhua.report.html import Html, Words, count, join, number, percent, table, tag
from hanhua.report.page import Section, beside, paragraph, sources
from hanhua.report.run import Run, dig, language, mapping, model, models, real
from hanhua.report.scores import ranged


def drift(run: Run) -> Section:
    """How far each model has moved from the untouched base on the base's own language."""
    found = mapping(run.summary.get("drift"))
    names = models({name: 1 for name in found if name != "base"})
    places = [place for place in PLACES if any(dig(found, name, place) for name in names)]
    en, zh = language(run.source)
    title = Words(f"{en} drift", f"{zh}漂移")
    if not places:
        return Section("drift", title, _not_exact(run))
    body = [
        _meaning(run),
        beside(*(_chart(found, names, place) for place in places)),
        *(_table(found, names, place) for place in places),
        *where(run, names, places),
        sources(*(run.link(f"eval-{name}", "scores.json") for name in names)),
    ]
    return Section("drift", title, body)


def _not_exact(run: Run) -> list[Html]:
    """Why an evaluation left drift out, where it says so."""
    reasons = [dig(run.metrics(name), "drift_method", "reason") for name in run.stages]
    found = sorted({str(reason) for reason in reasons if reason})
    return [
        paragraph(f"Not measured: {reason}.", f"未测量：{reason}。", "absent") for reason in found
    ]


def _chart(found: Mapping[str, Any], names: list[str], place: str) -> Html:
    rows = []
    for name in names:
        score = mapping(dig(found, name, place))
        value = real(score.get("value"))
        if value is not None:
            low, high = real(score.get("low")), real(score.get("high"))
            rows.append(Bar(model(name), value, number(value), low, high, "c4"))
    return (
        join((tag("h3", PLACES[place]), bars(rows, title=f"drift, {place}"))) if rows else Html("")
    )


def _table(found: Mapping[str, Any], names: list[str], place: str) -> Html:
    head = (
        PLACES[place], Words("KL, bits per byte", "KL，比特/字节"),
        Words("Probability of added pieces", "新增词元的概率"), Words("n texts", "n 文本"),
        Words("n bytes", "n 字节"),
    )  # fmt: skip
    rows = []
    for name in names:
        score = mapping(dig(found, name, place))
        n = (count(score.get("n_docs")), count(score.get("n_bytes")))
        rows.append((model(name), ranged(score, 4), percent(score.get("added_mass"), 2), *n))
    return table(head, rows)


def _meaning(run: Run) -> Html:
    en, zh = language(run.source)
    return paragraph(
        f"How far the model's next-token distribution on {en} text has moved from that of the "
        "untouched base: the Kullback–Leibler divergence, per byte. 0 means that nothing moved. It "
        f"is exact because the ids of the base's tokens did not change. Held-out {en} shows the "
        "move on text of the corpora; text sampled from the base shows it on what the base was "
        "trained to know, also where its training data are unknown. Drift is a move, not yet a "
        "loss: whether the model got worse is what bits per byte says.",
        f"模型在{zh}文本上的下一词元分布相对原模型移动了多少：每字节的 KL 散度，0 表示完全没动。"
        "原有词元的 id 未变，因此该值是精确的。“留出文本”反映语料上的移动；“原模型采样的文本”"
        "反映在原模型所学内容上的移动，即使不知道它的训练数据。漂移只表示变化，是否变差要看比特/字节。",
    )
