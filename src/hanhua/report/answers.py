"""The section on answers: refusals, language, form, identity and instructions, against the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hanhua.report.html import (
    Html,
    Words,
    count,
    interval,
    join,
    number,
    percent,
    points,
    table,
    tag,
    tight,
)
from hanhua.report.page import Section, more, note, sources
from hanhua.report.run import Run, dig, language, listing, mapping, model, models, real
from hanhua.report.verdict import badge, judge

TITLES: Mapping[str, Words] = {
    "safety": Words("Harmful and harmless requests", "有害与无害请求"),
    "fidelity": Words("Language and form", "语言与形式"),
    "identity": Words("Who it says it is", "自我认知"),
    "follow": Words("Instructions that a program can check", "可由程序检验的指令"),
}
SAYS: Mapping[str, Words] = {
    "refused_harmful": Words("refuses a harmful request", "拒绝有害请求"),
    "refused_harmless": Words("refuses a harmless one (over-refusal)", "拒绝无害请求（过度拒绝）"),
    "same_language": Words("answers in the language asked for", "以所要求的语言回答"),
    "mixed_script": Words("mixes scripts", "混用文字"),
    "stopped": Words("ends by itself", "自行结束"),
    "repeats": Words("repeats itself", "自我重复"),
    "named": Words("says its own name (not in a loop)", "说出自己的名字（非循环重复）"),
    "claims_other": Words("claims to be another's model", "自称他家模型"),
    "followed": Words("follows all that it was told", "完全遵循指令"),
}
SHOWN = {"identity": ("identity/zh-01", "identity/en-01"), "follow": ("follow/zh-01",)}
"""Of our own prompts, whose answers stand on the page; of the user's none do."""

Score = Mapping[str, Any]


def answers(run: Run) -> Section:
    """What models answer, judged by rules: a table for each set."""
    found = {
        name: [mapping(score) for score in listing(scores)]
        for name, scores in mapping(run.summary.get("answers")).items()
    }
    names = models(found)
    body: list[Html] = []
    for set_name, title in TITLES.items():
        if drawn := _table(found, names, set_name):
            body += [tag("h3", title), drawn]
    if body:
        body += [_note(), more("By check", "按检查项", _by_check(run, names)), *_said(run, names)]
        body.append(sources(*(run.link(f"eval-{name}", "scores.json") for name in names)))
    return Section("answers", Words("Answers", "回答"), body)


def _table(found: Mapping[str, Sequence[Score]], names: list[str], set_name: str) -> Html | None:
    keys = list(
        dict.fromkeys(
            (str(score.get("metric")), str(score.get("language")))
            for name in names
            for score in found[name]
            if score.get("set") == set_name
        )
    )
    if not keys:
        return None
    head = (
        Words("Share of answers that", "回答占比"), Words("Language", "语言"), Words("n", "n"),
        *map(model, names), Words("Points from base", "与原模型之差（百分点）"),
        Words("Verdict", "结论"),
    )  # fmt: skip
    return tight(table(head, [_line(found, names, *key) for key in keys], numbers=2))


def _line(
    found: Mapping[str, Sequence[Score]], names: list[str], metric: str, code: str
) -> list[object]:
    scores = {
        name: score
        for name in names
        for score in found[name]
        if (score.get("metric"), score.get("language")) == (metric, code)
    }
    last: Score = scores[names[-1]] if names[-1] in scores else {}
    difference = mapping(last.get("difference"))
    judged = badge(judge(difference, last.get("better") == "higher")) if difference else "–"
    n = max((int(real(score.get("n")) or 0) for score in scores.values()), default=0)
    cells = [_share(scores.get(name, {})) for name in names]
    return [
        SAYS.get(metric, metric), language(code), count(n), *cells, _difference(difference), judged,
    ]  # fmt: skip


def _share(score: Score) -> Html:
    between = interval(_hundred(score.get("low")), _hundred(score.get("high")), 1)
    shown = percent(score.get("value"))
    return join((shown, tag("span", between, class_="range") if between else ""))


def _hundred(value: Any) -> float | None:
    found = real(value)
    return None if found is None else 100 * found


def _difference(score: Score) -> Html:
    if real(score.get("value")) is None:
        return Html("–")
    low, high = (points(score.get(key)) for key in ("low", "high"))
    counts = f" +{count(score.get('gained'))} −{count(score.get('lost'))}"
    between = tag("span", f"[{low}, {high}]{counts}", class_="range")
    return join((points(score.get("value")), between))


def _note() -> Html:
    return note(
        "Answers are greedy and judged by fixed rules (phrases, scripts, counts), not by people or "
        "another model: good for comparing models on the same prompts, not as a certificate of "
        "safety. In brackets: 95 % Wilson interval, in per cent. Points: of the last model, "
        "paired on the same prompts; verdicts by interval and McNemar's exact test, Holm-corrected "
        "over this section. Harmful prompts are not shown.",
        "回答以贪心解码生成，由固定规则（短语、文字、计数）判定，并非由人或其他模型评判：适合在相同"
        "提示上比较模型，不是安全证明。方括号：95 % Wilson 区间（百分数）。差值：最后一个模型与"
        "原模型在相同提示上成对比较；结论依区间与 McNemar 精确检验（本节内 Holm 校正）。"
        "有害提示不予显示。",
    )


def _by_check(run: Run, names: list[str]) -> Html:
    """Instructions by check: met of all, a column a model."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name in names:
        scores = listing(dig(run.json(f"eval-{name}", "scores.json"), "answers", "metrics"))
        for score in map(mapping, scores):
            for check, part in mapping(score.get("by_check")).items():
                met = f"{count(dig(part, 'met'))} / {count(dig(part, 'n'))}"
                found.setdefault((check, str(score.get("language"))), {})[name] = met
    rows = [
        (check, language(code), *(met.get(name, "–") for name in names))
        for (check, code), met in sorted(found.items())
    ]
    head = (Words("Check", "检查项"), Words("Language", "语言"), *map(model, names))
    return table(head, rows, numbers=2) if rows else Html("")


def _said(run: Run, names: list[str]) -> list[Html]:
    found: dict[str, dict[str, Score]] = {}
    for set_name, ids in SHOWN.items():
        for name in names:
            for row in run.lines(f"eval-{name}", f"items/answers-{set_name}.jsonl"):
                if row.get("id") in ids and "answer" in row:
                    found.setdefault(str(row.get("prompt", "")), {})[name] = row
    body: list[Html] = []
    for prompt, rows in found.items():
        body.append(tag("p", tag("span", prompt, class_="prompt")))
        body.append(tag("div", *(_one(name, rows[name]) for name in models(rows)), class_="samples"))  # fmt: skip # noqa: E501
    return body


def _one(name: str, row: Score) -> Html:
    words = str(row.get("answer", ""))[:400] or Words("(nothing)", "（空）")
    who = tag("div", model(name), class_="who")
    return tag("div", who, tag("p", words, class_="said"), class_="sample")


def answer_lines(summary: Mapping[str, Any]) -> list[str]:
    """For a terminal: what the last model does more or less often than the base, with evidence."""
    found = mapping(summary.get("answers"))
    name = next((name for name in reversed(models(found)) if name != "base"), None)
    lines = []
    for score in map(mapping, listing(found.get(name or ""))):
        difference = mapping(score.get("difference"))
        judged = judge(difference, score.get("better") == "higher")
        if judged in ("gained", "lost"):
            new, moved = real(score.get("value")) or 0.0, real(difference.get("value")) or 0.0
            said = "gained" if judged == "gained" else "LOST"
            what, code = SAYS.get(str(score.get("metric"))), str(score.get("language"))
            told = f"{percent(new - moved)} → {percent(new)}"
            lines.append(
                f"Answers, {language(code).en}: {said}: {what.en if what else score.get('metric')}:"
                f" {told} (n = {number(score.get('n'), 0)})"
            )
    return lines
