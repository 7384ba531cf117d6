"""The section on preference tuning: held-out pairs before and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hanhua.report.fitted import fitted
from hanhua.report.html import Html, Words, count, join, number, percent, table, tag, tight
from hanhua.report.page import Section, note, sources
from hanhua.report.run import Run, dig, language, mapping, real


def preference(run: Run) -> Section:
    """How often, and by how much, the better answer of a held-out pair is the likelier one."""
    found = mapping(run.metrics("prefer").get("held_out_pairs"))
    body: list[Html] = []
    if found:
        codes = ["all", *run.languages(code for code in found if code != "all")]
        method = str(run.metrics("prefer").get("method") or "").upper()
        body = [
            _table(found, codes),
            note(
                f"By {method}. Held-out pairs were never trained on. The margin is the better "
                "answer's log-probability per token less the worse one's, in nats; a pair is right "
                "where it is above nothing. ± is one standard error; changes are paired. A pair "
                "counts as gained where the better answer gained more than the worse.",
                f"方法：{method}。留出的偏好对从未用于训练。"
                "差距为较好答案与较差答案的每词元对数概率之差（nat），大于零即判断正确。"
                "± 为一个标准误，变化按对计算。“提升”指较好答案的概率比较差答案提升更多。",
            ),
            *fitted(run, "prefer", "pairs"),
            sources(run.link("prefer", "ledger.json"), run.link("prefer", "dropped.jsonl")),
        ]
    elif run.stage("prefer"):
        body = [
            note("No pairs were held out.", "没有留出偏好对。"),
            *fitted(run, "prefer", "pairs"),
        ]
    return Section("preference", Words("Preferences", "偏好"), body)


def _table(found: Mapping[str, Any], codes: list[str]) -> Html:
    head = (
        Words("Held-out pairs", "留出的偏好对"), Words("n", "n"),
        Words("Right before", "之前正确率"), Words("Right after", "之后正确率"),
        Words("Change", "变化"), Words("Margin before", "之前差距"),
        Words("Margin after", "之后差距"), Words("Change", "变化"), Words("Gained", "提升"),
    )  # fmt: skip
    rows = []
    for code in codes:
        score = mapping(found.get(code))
        name = Words("all", "全部") if code == "all" else language(code)
        rows.append((
            name, count(score.get("n")), _share(dig(score, "before", "accuracy")),
            _share(dig(score, "after", "accuracy")),
            _share(dig(score, "change", "accuracy"), signed=True),
            _nats(dig(score, "before", "margin")), _nats(dig(score, "after", "margin")),
            _nats(dig(score, "change", "margin"), signed=True), _share(score.get("gained")),
        ))  # fmt: skip
    return tight(table(head, rows))


def _share(value: Any, signed: bool = False) -> Html:
    found, se = mapping(value), real(mapping(value).get("se"))
    return _with(percent(found.get("value"), signed=signed), se, 100, 1)


def _nats(value: Any, signed: bool = False) -> Html:
    found, se = mapping(value), real(mapping(value).get("se"))
    return _with(number(found.get("value"), signed=signed), se, 1, 3)


def _with(told: str, se: float | None, scale: float, digits: int) -> Html:
    error = "" if se is None else tag("span", f"± {se * scale:.{digits}f}", class_="range")
    return join((told, error))
