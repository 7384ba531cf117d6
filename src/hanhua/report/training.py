"""The section on training: loss by tokens and by language, learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hanhua.report.chart import Series, curves
from hanhua.report.html import Html, Words, count, number, table, tag
from hanhua.report.page import Section, beside, note, sources
from hanhua.report.run import Run, language, mapping, real

STAGES = {
    "pretrain": Words("Continued pretraining", "继续预训练"),
    "finetune": Words("Instruction tuning", "指令微调"),
}
TOTAL = Words("all", "全部")
Rows = Sequence[Mapping[str, Any]]


def training(run: Run) -> Section:
    """Curves of every stage that left a log."""
    body: list[Html] = []
    for stage, title in STAGES.items():
        rows = list(run.lines(stage, "log.jsonl"))
        if rows:
            body += [tag("h3", title), _curves(rows, run), _ends(rows)]
            body.append(sources(run.link(stage, "log.jsonl")))
    if body:
        body.append(
            note(
                "Loss is nats per token on the rows as they come, so it depends on the tokenizer; "
                "compare models by bits per byte above. Each point is the mean of neighbouring "
                "steps.",
                "损失为训练行上每词元的 nat 数，与分词器有关；比较模型请看上面的比特/字节。"
                "每个点是相邻若干步的均值。",
            )
        )
    return Section("training", Words("Training", "训练过程"), body)


def _curves(rows: Rows, run: Run) -> Html:
    losses = [Series(TOTAL, _points(rows, "loss"), "c6")]
    for code in run.languages(c for row in rows for c in losses_by_language(row)):
        losses.append(Series(language(code), _points(rows, code), run.colour(code)))
    rate = [Series(Words("learning rate", "学习率"), _points(rows, "lr"), "c4")]
    drawn = [curves(shown, "") for shown in (losses, rate) if any(s.points for s in shown)]
    return beside(*drawn)


def _points(rows: Rows, name: str) -> list[tuple[float, float]]:
    """(tokens, value) of one quantity; a language's code means its loss."""
    points = []
    for row in rows:
        x = real(row.get("tokens"))
        y = real(row.get(name) if name in ("loss", "lr") else losses_by_language(row).get(name))
        if x is not None and y is not None:
            points.append((x, y))
    return points


def losses_by_language(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a log line that splits the loss by language."""
    return mapping(row.get("losses"))


def _ends(rows: Rows) -> Html:
    head = (
        Words("Steps", "步数"), Words("Tokens", "词元"), Words("Loss at first", "起始损失"),
        Words("Loss at last", "末尾损失"), Words("Learning rate, highest", "最高学习率"),
    )  # fmt: skip
    loss, rates = _points(rows, "loss"), [y for _, y in _points(rows, "lr")]
    few = max(1, len(loss) // 50)
    row = (
        count(rows[-1].get("step")), count(rows[-1].get("tokens")), number(_mean(loss[:few])),
        number(_mean(loss[-few:])), f"{max(rates):.2e}" if rates else "–",
    )  # fmt: skip
    return table(head, [row], numbers=0)


def _mean(points: Sequence[tuple[float, float]]) -> float | None:
    return sum(y for _, y in points) / len(points) if points else None
