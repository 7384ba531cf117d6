"""The section on multiple choice: accuracy with n, error and chance, and the paired change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hanhua.report.chart import Bar, bars
from hanhua.report.html import Html, Words, count, join, percent, points, table, tag
from hanhua.report.page import Section, beside, more, note, sources
from hanhua.report.run import Run, dig, listing, mapping, model, models, real
from hanhua.report.verdict import badge, judge_choice

Rows = Sequence[tuple[str, Mapping[str, Any]]]
"""(model, score of one task)"""


def tasks(run: Run) -> Section:
    """Multiple choice: accuracy with n, standard error and chance, and the change against base."""
    found = mapping(run.summary.get("tasks"))
    rows = [(name, mapping(task)) for name in models(found) for task in listing(found[name])]
    names = list(dict.fromkeys(str(task.get("task")) for _, task in rows))
    body: list[Html] = []
    if rows:
        body = [
            beside(*(_task_chart(run, name, rows) for name in names)),
            *(_task_table(name, rows) for name in names),
            note(
                "± is one standard error; whiskers are 95 % intervals; the dashed line is chance. "
                "Points: accuracy minus that of the untouched base on the same questions, with "
                "the 95 % interval of the paired difference and the questions gained and lost. No "
                "evidence: the interval includes zero, or p > 0.05 after Holm's correction over "
                "all that is claimed of the model (McNemar's exact test; subjects drawn whole). "
                "Scores of other tools use other prompts and cannot be compared with these.",
                "± 为一个标准误；须线为 95 % 区间；虚线为随机猜测。差值：与原模型在同一批题目上的"
                "准确率之差，附 95 % 成对区间以及新答对与新答错的题数。无证据：区间含零，或"
                "对该模型的全部结论作 Holm 校正后 p > 0.05（McNemar 精确检验；按科目整体重抽）。"
                "其他工具的提示词不同，分数不可与此直接比较。",
            ),
            *_untouched(rows),
            more("How it was asked", "提问方式", _asked(rows)),
            more(
                "By subject", "按科目", *(_by_subject(run, name, models(found)) for name in names)
            ),
            sources(*(run.link(f"eval-{name}", "scores.json") for name in models(found))),
        ]
    return Section("tasks", Words("Multiple choice", "选择题"), body)


def _untouched(rows: Rows) -> list[Html]:
    """Scores with and without the questions that a training text held."""
    found = [(name, task, mapping(task.get("untouched"))) for name, task in rows
             if mapping(task.get("untouched"))]  # fmt: skip
    if not found:
        return []
    if not any(real(clean.get("touched")) for _, _, clean in found):
        return [note("No question was found in a training text.", "训练文本中未发现任何题目。")]
    lines = [
        (task.get("task"), model(name), count(clean.get("touched")), _found_in(clean),
         percent(task.get("accuracy")), percent(clean.get("accuracy")), count(clean.get("n")),
         _difference(mapping(clean.get("difference"))))
        for name, task, clean in found if real(clean.get("touched"))
    ]  # fmt: skip
    head = (
        Words("Task", "任务"), Words("Model", "模型"), Words("Questions found", "发现的题"),
        Words("in", "出处"), Words("Accuracy with them", "含这些题"),
        Words("without them", "不含这些题"), Words("n without", "不含时 n"),
        Words("Points from base, without", "与原模型之差（百分点），不含"),
    )  # fmt: skip
    title = tag("h3", Words("Questions found in training texts", "训练文本中出现的题目"))
    return [title, table(head, lines, numbers=2)]


def _found_in(clean: Mapping[str, Any]) -> str:
    """The stages whose texts held questions, with how many; one question may stand in several."""
    found = mapping(clean.get("touched_by"))
    return ", ".join(f"{name} {count(n)}" for name, n in found.items()) or "corpus"


def _asked(rows: Rows) -> Html:
    """What decides whether two scores may be compared, once a task."""
    head = (
        Words("Task", "任务"), Words("Version", "版本"), Words("Source", "来源"),
        Words("Licence", "许可证"), Words("Prompt", "提示"), Words("Scored", "计分"),
        Words("Shots", "示例数"), Words("Questions cut to fit", "截断的题"),
    )  # fmt: skip
    keys = ("task", "version", "source", "licence", "template", "metric")
    first = {str(task.get("task")): task for _, task in reversed(rows)}
    lines = [
        (*(task.get(key, "–") for key in keys), count(task.get("shots")), count(task.get("cut")))
        for task in first.values()
    ]
    return table(head, reversed(lines), numbers=6)


def _by_subject(run: Run, task: str, names: list[str]) -> Html:
    """Accuracy of each subject: a column a model. With small n, for looking, not for judging."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name in names:
        for score in listing(dig(run.json(f"eval-{name}", "scores.json"), "tasks")):
            if dig(score, "task") == task:
                for subject, part in mapping(dig(score, "by_subject")).items():
                    found.setdefault(subject, {})[name] = mapping(part)
    rows = [
        (subject, count(max((real(p.get("n")) or 0 for p in parts.values()), default=0)),
         *(percent(mapping(parts.get(name)).get("accuracy")) for name in names))
        for subject, parts in sorted(found.items())
    ]  # fmt: skip
    return table((task, Words("n", "n"), *map(model, names)), rows) if rows else Html("")


def _task_chart(run: Run, task: str, rows: Rows) -> Html:
    drawn, chance, code = [], None, None
    for name, score in rows:
        value = real(score.get("accuracy"))
        if score.get("task") != task or value is None:
            continue
        chance, code = real(score.get("chance")), str(score.get("language"))
        low, high = real(score.get("low")), real(score.get("high"))
        drawn.append(Bar(model(name), value, percent(value), low, high, run.colour(code)))
    if not drawn:
        return Html("")
    return join((tag("h3", task), bars(drawn, mark=chance, title=task, share=True)))


def _task_table(task: str, rows: Rows) -> Html:
    head = (
        task, Words("n", "n"), Words("Accuracy", "准确率"), Words("Chance", "随机"),
        Words("Points from base", "与原模型之差（百分点）"), Words("Verdict", "结论"),
    )  # fmt: skip
    lines = []
    for name, score in rows:
        if score.get("task") == task:
            accuracy = f"{percent(score.get('accuracy'))} ± {percent(score.get('stderr'))}"
            difference = mapping(score.get("difference"))
            lines.append(
                (model(name), count(score.get("n")), accuracy, percent(score.get("chance")),
                 _difference(difference), badge(judge_choice(score)) if difference else "–")
            )  # fmt: skip
    return table(head, lines)


def _difference(score: Mapping[str, Any]) -> Html:
    value, low, high = (real(score.get(key)) for key in ("value", "low", "high"))
    if value is None:
        return Html("–")
    between = f"[{points(low)}, {points(high)}]"
    moved = [count(score.get(key)) for key in ("gained", "lost")]
    counts = "" if "–" in moved else f" +{moved[0]} −{moved[1]}"
    return join((points(value), tag("span", between + counts, class_="range")))
