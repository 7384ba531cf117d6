"""``draw_scratch``: the answer of ``hanhua study scratch`` as one page that needs no network."""

from __future__ import annotations

from pathlib import Path

from hanhua.core.files import write_text
from hanhua.report.chart import Series, curves
from hanhua.report.html import Html, Words, count, interval, number, table, tag
from hanhua.report.page import Section, beside, document, note, paragraph
from hanhua.report.scratch_verdict import BOTH, Result, loss_name, verdict

PAGE = "scratch.html"
ARMS = {"localised": Words("localised", "本地化"), "scratch": Words("from scratch", "从零训练")}
COLOURS = {"localised": ("c1", "c5"), "scratch": ("c2", "c6")}
"""Of an arm's ends of runs, and of the moments within its longest run."""


def draw_scratch(result: Result, folder: Path, name: str) -> Path:
    """Write the page.

    Args:
        result: see :func:`hanhua.mix.scratch_answer.as_result`.
        folder: where to write ``scratch.html``.
        name: of the recipe.

    Raises:
        StorageError: when it can't be written.
    """
    under = tag("p", tag("span", Words("Scratch or continue?", "从零训练，还是继续训练？")),
                class_="soft-text")  # fmt: skip
    sections = [losses(result), equal(result), measured(result), compute(result)]
    foot = paragraph(
        "Made by hanhua study scratch; scratch.json beside it holds the same. This file asks "
        "nothing of the network.",
        "由 hanhua study scratch 根据同目录的 scratch.json 生成；本文件不访问网络。",
    )
    page = document(
        Words(f"{name}: scratch or continue", f"{name}：从零还是继续"),
        under,
        verdict(result),
        sections,
        foot,
    )
    write_text(folder / PAGE, page)
    return folder / PAGE


def losses(result: Result) -> Section:
    """Both arms over tokens, for each language and for both."""
    drawn = [_curves(result, code) for code in result["languages"]]
    said = note(
        "Lines join the ends of runs, each with its own schedule to its end. Points off the lines "
        "(ochre: localised, grey: scratch) are moments on the way of the longest runs, where the "
        "learning rate is still high. The sum takes each language's loss over that of the expanded "
        "base. Lower is better.",
        "连线为各次实验的终点，每次实验都有自己完整的学习率计划；线外的点（赭色：本地化，灰色：从零训练）为最长实验中途的测量，"
        "当时学习率仍高。“合计”为各语言损失与扩词表后基座之比的和。越低越好。",
    )
    title = Words("Loss over tokens", "损失与词元数")
    return Section("losses", title, [beside(*drawn[:2]), beside(*drawn[2:]), said])


def _curves(result: Result, code: str) -> Html:
    points = result["languages"][code]["points"]
    lines, dots = [], []
    for arm, said in ARMS.items():
        ends, moments = COLOURS[arm]
        own = [(point["tokens"], point[arm]) for point in points]
        lines.append(Series(said, own, ends))
        dots += [Series("", _moments(result, arm, code), moments), Series("", own, ends)]
    unit = Words("relative losses, summed", "相对损失之和")
    if code != BOTH:
        unit = Words("bits per byte", "比特/字节")
    name = loss_name(code)
    title = tag("h3", Words(f"{name.en}, {unit.en}", f"{name.zh}，{unit.zh}"))
    return tag("div", title, curves(lines, code, 220, dots=dots))


def _moments(result: Result, arm: str, code: str) -> list[tuple[float, float]]:
    """Moments of the arm's longest run, first draw, from the shortest run's length on."""
    longest = len(result["lengths"]) - 1
    found = next(
        one["points"] for one in result["moments"]
        if (one["arm"], one["draw"], one["length"]) == (arm, 0, longest)
    )  # fmt: skip
    base = result["base"]
    return [
        (tokens, sum(each[name] / base[name] for name in base) if code == BOTH else each[code])
        for tokens, each in found if tokens >= result["lengths"][0]
    ]  # fmt: skip


def equal(result: Result) -> Section:
    """How many tokens scratch needs for what localising reaches."""
    head = Words("Localised at", "本地化词元数"), *(loss_name(code) for code in result["languages"])
    rows: list[tuple[object, ...]] = [
        (count(tokens), *(_ratio(found["equal_loss"][i]) for found in result["languages"].values()))
        for i, tokens in enumerate(result["lengths"])
    ]
    start = (_start(found["start"], result) for found in result["languages"].values())
    rows.insert(0, (Words("0 (the start)", "0（起点）"), *start))
    said = note(
        "Times as many tokens as localising took, for scratch to come to the same held-out loss; "
        "in the first row, tokens. “>” is a bound: scratch did not come to it within what was run.",
        "从零训练达到相同留出损失所需的词元数，为本地化所用词元数的倍数；首行为词元数。"
        "“>” 为下界：在实验范围内未能达到。",
    )
    return Section(
        "equal", Words("Tokens for the same loss", "同等损失所需词元"), [table(head, rows), said]
    )


def _ratio(found: Result) -> str:
    sign = {"more": "> ", "less": "≤ ", None: ""}[found["bound"]]
    return f"{sign}{number(found['ratio'], 2)} ×"


def _start(found: Result, result: Result) -> str:
    if found["scratch_tokens"] is None:
        return f"> {count(result['lengths'][-1])}"
    sign = "≤ " if found["before_shortest"] else ""
    return f"{sign}{count(found['scratch_tokens'])}"


def measured(result: Result) -> Section:
    """Every length, with the gap and its interval."""
    head = (
        Words("Tokens", "词元"), Words("Loss", "损失"), Words("Localised", "本地化"),
        Words("Scratch", "从零训练"), Words("Gap", "差"), Words("Interval", "区间"),
    )  # fmt: skip
    rows = [
        (count(point["tokens"]), loss_name(code),
         *(number(point[arm]) for arm in ARMS),
         number(point["gap"], signed=True), interval(point["low"], point["high"]))
        for code, found in result["languages"].items() for point in found["points"]
    ]  # fmt: skip
    n = result["seeds"]
    how = Words(
        f"n={n}: means over draws, 90 % intervals of the paired gap.",
        f"n={n}：为各次抽取的均值，区间为配对差的 90 % 区间。",
    )
    if n == 1:
        how = Words(
            "n=1: how much of it is luck is not known. In place of an interval stands 5 % of the "
            "loss; --seeds 3 gives one.",
            "n=1：其中运气成分未知。区间以损失的 5 % 代替；用 --seeds 3 可得到真正的区间。",
        )
    said = note(
        f"{how.en} Held-out text, the same documents every time.", f"{how.zh}留出文本每次都相同。"
    )
    return Section("measured", Words("What was measured", "实测数据"), [table(head, rows, 2), said])


def compute(result: Result) -> Section:
    """What each arm took."""
    head = (
        Words("Arm", "方式"), Words("Tokens", "词元"), Words("FLOPs", "浮点运算"),
        Words("Seconds", "秒"),
    )  # fmt: skip
    rows = [
        (said, count(found["tokens"]),
         "–" if found["flops"] is None else f"{found['flops']:.3g}", count(found["seconds"]))
        for arm, said in ARMS.items() for found in [result["compute"][arm]]
    ]  # fmt: skip
    said = note(
        "Equal tokens, all runs of an arm together. The architecture is the same; where phases "
        "freeze weights, localising computes fewer gradients.",
        "词元数相同，为该方式全部实验之和。架构相同；若有阶段冻结权重，本地化少算一些梯度。",
    )
    return Section("compute", Words("What it took", "所需计算"), [table(head, rows), said])
