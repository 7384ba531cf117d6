"""The section on training: loss by language, held-out answers and text, learning rate."""

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
    "prefer": Words("Preference tuning", "偏好微调"),
}
TOTAL = Words("all", "全部")
LOSS = Words("Loss, nats per token", "损失，nat/词元")
PAIR_LOSS = Words("Loss of a pair", "每对的损失")
ANSWERS = Words("Loss on held-out answers, nats per token", "留出回答的损失，nat/词元")
BITS = Words("Bits per byte of held-out text", "留出文本的比特/字节")
RATE = Words("Learning rate", "学习率")
SHARES = Words("Share of tokens", "词元占比")
RIGHT = Words("Share of pairs told right", "判断正确的对所占比例")
MARGIN = Words("Margin, nats", "差距，nat")
COLOURS = 6
"""Of the page's style sheet, c1 to c6."""
Rows = Sequence[Mapping[str, Any]]


def training(run: Run) -> Section:
    """Curves of every stage that left a log."""
    body: list[Html] = []
    for stage, title in STAGES.items():
        rows = list(run.lines(stage, "log.jsonl"))
        if rows:
            body += [tag("h3", title), _curves(rows, run), _ends(rows), *_events(rows)]
            body.append(sources(run.link(stage, "log.jsonl")))
    if body:
        body.append(
            note(
                "Loss is nats per token on the rows as they come, so it depends on the tokenizer; "
                "of preference tuning it is the loss of a pair, as its method defines it. Compare "
                "models by bits per byte above. Each point is the mean of neighbouring steps.",
                "损失为训练行上每词元的 nat 数，与分词器有关；偏好微调的损失则按其方法以每对计。"
                "比较模型请看上面的比特/字节。每个点是相邻若干步的均值。",
            )
        )
    return Section("training", Words("Training", "训练过程"), body)


def _curves(rows: Rows, run: Run) -> Html:
    losses = [Series(TOTAL, _points(rows, "loss"), "c6")]
    for code in run.languages(c for row in rows for c in losses_by_language(row)):
        losses.append(Series(language(code), _points(rows, code), run.colour(code)))
    bits = [
        Series(_bits_of(language(code)), _held_out(rows, code), run.colour(code))
        for code in run.languages(c for row in rows for c in mapping(row.get("held_out")))
    ]
    rate = [Series(Words("learning rate", "学习率"), _points(rows, "lr"), "c4")]
    shown = (
        (PAIR_LOSS if _has_pairs(rows) else LOSS, losses),
        (ANSWERS, _answers(rows, run, "languages")),
        (ANSWERS, _answers(rows, run, "domains")), (BITS, bits), (RATE, rate),
        (SHARES, _steered(rows, run)), (RIGHT, _pairs(rows, run, "accuracies")),
        (MARGIN, _pairs(rows, run, "margins")),
    )  # fmt: skip
    drawn = [
        curves(lines, str(unit.en), unit=unit)
        for unit, lines in shown
        if any(line.points for line in lines)
    ]
    return beside(*drawn)


def _has_pairs(rows: Rows) -> bool:
    """Whether the stage learnt from pairs, whose loss is not one of tokens."""
    return any("accuracies" in row for row in rows)


def _answers(rows: Rows, run: Run, kind: str) -> list[Series]:
    """Loss on held-out answers by language or domain, from before the first step on."""
    told = [(0.0, mapping(rows[0].get("answers_start")))]
    told += [(x, mapping(r["answers"])) for r in rows
             if "answers" in r and (x := real(r.get("tokens"))) is not None]  # fmt: skip
    values = [(x, mapping(one.get(kind))) for x, one in told]
    names = {name for _, one in values for name in one}
    ordered = run.languages(names) if kind == "languages" else sorted(names)
    return [
        Series(
            _answers_of(language(name) if kind == "languages" else Words(name, name)),
            [(x, y) for x, one in values if (y := real(one.get(name))) is not None],
            run.colour(name) if kind == "languages" else f"c{place % COLOURS + 1}",
        )
        for place, name in enumerate(ordered)
    ]


def _answers_of(name: Words) -> Words:
    return Words(f"{name.en}, held-out answers", f"{name.zh}，留出回答")


def _steered(rows: Rows, run: Run) -> list[Series]:
    """The shares of tokens as they were steered; nothing where they were not."""
    told = [(real(row.get("tokens")), mapping(row["steer"])) for row in rows if "steer" in row]
    shares = [(tokens, mapping(steer.get("shares"))) for tokens, steer in told]
    return [
        Series(
            Words(f"{language(code).en}, share of tokens", f"{language(code).zh}，词元占比"),
            [
                (x, y)
                for x, one in shares
                if x is not None and (y := real(one.get(code))) is not None
            ],
            run.colour(code),
        )
        for code in run.languages(c for _, one in shares for c in one)
    ]


def _pairs(rows: Rows, run: Run, key: str) -> list[Series]:
    """Accuracy or margin of pairs by language; nothing where the stage knows no pairs."""
    en, zh = {"accuracies": ("pairs told right", "判断正确的对"), "margins": ("margin", "差距")}[
        key
    ]
    return [
        Series(
            Words(f"{language(code).en}, {en}", f"{language(code).zh}，{zh}"),
            [
                (x, y)
                for row in rows
                if (x := real(row.get("tokens"))) is not None
                and (y := real(mapping(row.get(key)).get(code))) is not None
            ],
            run.colour(code),
        )
        for code in run.languages(c for row in rows for c in mapping(row.get(key)))
    ]


def _points(rows: Rows, name: str) -> list[tuple[float, float]]:
    """(tokens, value) of one quantity; a language's code means its loss."""
    points = []
    for row in rows:
        x = real(row.get("tokens"))
        y = real(row.get(name) if name in ("loss", "lr") else losses_by_language(row).get(name))
        if x is not None and y is not None:
            points.append((x, y))
    return points


def _bits_of(name: Words) -> Words:
    return Words(f"{name.en}, held-out bits per byte", f"{name.zh}，留出文本比特/字节")


def _held_out(rows: Rows, code: str) -> list[tuple[float, float]]:
    """(tokens, bits per byte) of held-out text, from before the first step on."""
    start = real(mapping(rows[0].get("held_out_start")).get(code))
    points = [] if start is None else [(0.0, start)]
    for row in rows:
        x, y = real(row.get("tokens")), real(mapping(row.get("held_out")).get(code))
        if x is not None and y is not None:
            points.append((x, y))
    return points


def _events(rows: Rows) -> list[Html]:
    """What the guard and the gate did, in a sentence each; nothing where they did nothing."""
    found = []
    skipped = [row for row in rows if row.get("skipped")]
    back = [row for row in rows if "went_back_to_step" in row]
    if skipped:
        en = f"Steps refused as spikes: {len(skipped)}; ways back to a kept step: {len(back)}"
        zh = f"因损失突跳未被采纳的步数：{len(skipped)}；回退次数：{len(back)}"
        found.append(note(f"{en}; the log names them.", f"{zh}；详见日志。"))
    stopped = mapping(rows[-1].get("stopped"))
    if stopped:
        name, rise = language(str(stopped.get("language"))), number(stopped.get("rise_bits"))
        at, kept = count(stopped.get("at_step")), count(stopped.get("kept_step"))
        found.append(
            note(
                f"Stopped early at step {at}: held-out text in {name.en} had risen by {rise} bits "
                f"per byte. The model of step {kept} went on.",
                f"在第 {at} 步提前停止：{name.zh}留出文本上升 {rise} 比特/字节。"
                f"采用第 {kept} 步的模型。",
            )
        )
    return found


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
