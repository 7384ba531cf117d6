"""``draw_mixture``: the answer of ``hanhua mix`` as one page that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hanhua.core.files import write_text
from hanhua.mix.answer import FINE
from hanhua.report.chart import Series, curves
from hanhua.report.html import Html, Words, count, interval, number, percent, table, tag
from hanhua.report.mixture_sizes import measured_sizes, sizes
from hanhua.report.page import Section, beside, document, note, paragraph
from hanhua.report.run import language

PAGE = "mixture.html"
COLOURS = ("c6", "c4", "c3", "c1", "c2", "c5")
LAW, TRUE = "c2", "c1"
Result = Mapping[str, Any]


def draw_mixture(result: Result, folder: Path, name: str) -> Path:
    """Write the page.

    Args:
        result: see :func:`hanhua.mix.answer.as_result`.
        folder: where to write ``mixture.html``.
        name: of the recipe.

    Raises:
        StorageError: when it can't be written.
    """
    said = Words(f"Which mixture? Wish: {result['wish']}", f"该用什么配比？要求：{result['wish']}")
    under = tag("p", tag("span", said), class_="soft-text")
    sections = [pareto(result), laws(result), budgets(result)]
    sections += [sizes(result)] if "sizes" in result else []
    sections += [rates(result)] if result["by_learning_rate"] else []
    sections += [measured(result)]
    foot = paragraph(
        "Made by hanhua mix; answer.json beside it holds the same. This file asks nothing of the "
        "network.",
        "由 hanhua mix 根据同目录的 answer.json 生成；本文件不访问网络。",
    )
    page = document(Words(f"{name}: mixture", f"{name}：配比"), under, _top(result), sections, foot)
    write_text(folder / PAGE, page)
    return folder / PAGE


def _top(result: Result) -> list[Html]:
    target = language(result["target"])
    low, high = (percent(end, 0) for end in result["interval"])
    level = percent(result["level"], 0)
    shares = ", ".join(f"{code} {percent(part, 0)}" for code, part in result["shares"].items())
    sure = Words("The runs can tell.", "小规模实验足以判断。")
    if not result["sure"]:
        sure = Words("The runs cannot tell.", "小规模实验不足以判断。")
    return [
        tag("p", tag("strong", Words(f"Recommended: {shares}.", f"推荐配比：{shares}。"))),
        paragraph(
            f"The {level} interval of {target.en}'s share is {low} to {high}, for a run of "
            f"{count(result['tokens'])} tokens.",
            f"{target.zh}占比的 {level} 区间为 {low} 至 {high}，对应 "
            f"{count(result['tokens'])} 词元的训练。",
        ),
        _flat(result),
        tag("p", tag("strong", sure), " ", _why(result)),
        *(tag("p", text, class_="note", lang="en") for text in result.get("notes", ())),
        _losses(result),
    ]


def _why(result: Result) -> Html:
    """What stands against the answer; in English alone where an older version found it."""
    if "why_zh" not in result:
        return tag("span", result["why"], lang="en")
    return tag("span", Words(result["why"], result["why_zh"]))


def _flat(result: Result) -> Html:
    least, most = result["flat"]
    low, high, fine = (percent(end, 0) for end in (least, most, FINE))
    within, target = percent(result["flat_within"]), language(result["target"])
    best = result["wish"].lower() == "best"
    if most - least < FINE:
        lost = Words("the sum of losses", "损失之和") if best else Words("a loss", "一种损失")
        return paragraph(
            f"A share off by {fine} already costs {within} of {lost.en}.",
            f"占比偏离 {fine}，{lost.zh}就增加 {within}。",
        )
    what = Words("both losses stay", "两种损失相差不超过")
    if best:
        what = Words("the sum of losses stays", "损失之和与最佳值相差不超过")
    return paragraph(
        f"With {low} to {high} of {target.en} {what.en} within {within}: any of these is as good.",
        f"{target.zh}占 {low} 至 {high} 时，{what.zh} {within}：其中任何一个都一样好。",
    )


def _losses(result: Result) -> Html:
    head = (
        Words("Bits per byte", "比特/字节"), Words("Base", "基座"), Words("Predicted", "预测"),
        Words("Interval", "区间"), Words("Change", "变化"), Words("Law", "拟合律"),
        Words("Its held-out error", "留出误差"),
    )  # fmt: skip
    rows = []
    for code in (result["target"], result["source"]):
        found, law = result["predicted"][code], result["law"][code]
        rows.append((
            language(code), number(found["base"]), number(found["loss"]),
            interval(found["low"], found["high"]), percent(found["change"], signed=True),
            law["name"], percent(law["held_out_error"]),
        ))  # fmt: skip
    return table(head, rows)


def pareto(result: Result) -> Section:
    """What is lost of one language for what is gained in the other."""
    target, source = language(result["target"]), language(result["source"])
    line = [(row[1], row[2]) for row in sorted(result["pareto"], key=lambda row: row[1])]
    here = result["predicted"]
    chosen = (here[result["target"]]["loss"], here[result["source"]]["loss"])
    drawn = curves(
        [Series(Words("law, at the large run's tokens", "拟合律（正式训练的词元数）"), line, LAW),
         Series(Words("recommended", "推荐"), [], TRUE),
         Series(Words("measured, longest small runs", "实测（最长的小实验）"), [], "c6")],
        "Pareto", 220, dots=[Series("", _longest(result), "c6"), Series("", [chosen], TRUE)],
        axis=Words(f"{target.en}, bits per byte →", f"{target.zh}，比特/字节 →"), zero=False,
    )  # fmt: skip
    cost = number(result["cost_of_a_point"], 4)
    said = note(
        f"Up: {source.en}, bits per byte. Lower and further left is better. One more point of "
        f"{target.en} costs {source.en} {cost} bits per byte at the recommended share.",
        f"纵轴：{source.zh}，比特/字节。越靠左下越好。在推荐配比处，{target.zh}每多一个百分点，"
        f"{source.zh}增加 {cost} 比特/字节。",
    )
    return Section("pareto", Words("Gain against loss", "得与失"), [drawn, said])


def _longest(result: Result) -> list[tuple[float, float]]:
    """Of the longest runs that three mixtures had, or all; the few that are longer say little."""
    points = result["measured"]["points"]
    shares: dict[float, set[float]] = {}
    for point in points:
        shares.setdefault(point["tokens"], set()).add(point["share"])
    enough = min(3, len({point["share"] for point in points}))
    most = max((tokens for tokens, found in shares.items() if len(found) >= enough), default=0)
    codes = result["target"], result["source"]
    return [
        (point["losses"][codes[0]], point["losses"][codes[1]])
        for point in points if point["tokens"] == most
    ]  # fmt: skip


def laws(result: Result) -> Section:
    """Each language's loss over shares: the law as lines, what was measured as dots."""
    codes = (result["target"], result["source"])
    drawn = [_law(result, code) for code in codes]
    said = note(
        "Lines are the law, dots were measured. The line without dots is the length of the large "
        "run.",
        "曲线为拟合律，点为实测；没有点的曲线对应正式训练的长度。",
    )
    told = [_ahead(result, codes)] if result["law"][codes[0]].get("ahead") else []
    return Section("laws", Words("Loss by share", "损失与配比"), [beside(*drawn), said, *told])


def _ahead(result: Result, codes: Sequence[str]) -> Html:
    """What the law missed where mixtures were run further than the others."""
    laws_ = {code: result["law"][code]["ahead"] for code in codes}
    tokens, shares = count(laws_[codes[0]]["tokens"]), laws_[codes[0]]["shares"]
    parts = [percent(share, 0) for share in shares]
    off = {code: [percent(part, signed=True) for part in law["off"]] for code, law in laws_.items()}
    en = "; ".join(f"{language(code).en} by {' and '.join(own)}" for code, own in off.items())
    zh = "；".join(f"{language(code).zh} {'、'.join(own)}" for code, own in off.items())
    target, runs = language(codes[0]), "one run" if len(parts) == 1 else "one run each"
    return note(
        f"With {' and '.join(parts)} of {target.en} {runs} went on to {tokens} tokens. The law, "
        f"fitted to the others, was off there: {en}. That is set right for all mixtures, from the "
        "longest run of the others on.",
        f"{target.zh}占 {'、'.join(parts)} 的实验一直训练到 {tokens} 词元。由其他实验拟合的律在那里"
        f"的偏差：{zh}。从其他实验的最大长度起，所有配比都按此校正。",
    )


def _law(result: Result, code: str) -> Html:
    lines, dots = [], []
    for number_, curve in enumerate(result["curves"][code]):
        colour = COLOURS[number_ % len(COLOURS)]
        tokens = count(curve["tokens"])
        label = Words(f"{tokens} tokens", f"{tokens} 词元")
        lines.append(Series(label, [(x, y) for x, y in curve["points"]], colour))
        found = [
            (point["share"], point["losses"][code]) for point in result["measured"]["points"]
            if point["tokens"] == curve["tokens"]
        ]  # fmt: skip
        dots.append(Series("", found, colour))
    target = language(result["target"])
    axis = Words(f"share of {target.en} →", f"{target.zh}占比 →")
    title = tag(
        "h3", Words(f"{language(code).en}, bits per byte", f"{language(code).zh}，比特/字节")
    )
    return tag("div", title, curves(lines, code, 220, dots=dots, axis=axis))


def budgets(result: Result) -> Section:
    """How the answer moves with the tokens of the large run."""
    head = Words("Tokens", "词元"), Words("Share", "占比"), Words("Interval", "区间")
    rows = [
        (count(tokens), _share(share, met), f"{percent(low)} – {percent(high)}")
        for tokens, share, low, high, met in result["by_tokens"]
    ]  # fmt: skip
    title = Words("With other budgets", "其他训练量下的答案")
    return Section("budgets", title, [table(head, rows)])


def _share(share: float, met: bool) -> str | Words:
    """A share that the wish asks for; where it is only the nearest, that is said."""
    if met:
        return percent(share)
    return Words(f"{percent(share)} (nearest; the wish is not met)",
                 f"{percent(share)}（最接近；要求达不到）")  # fmt: skip


def rates(result: Result) -> Section:
    """How the answer moves with the learning rate, and what was measured for that."""
    rows = result["by_learning_rate"]
    codes = result["target"], result["source"]
    head = [Words("Peak learning rate", "峰值学习率"), Words("Share", "占比")]
    for point in rows[0]["points"]:
        at = percent(point["share"], 0)
        head.append(Words(f"{' / '.join(codes)} at {at}", f"{at} 时的 {' / '.join(codes)}"))
    body = [
        (f"{row['learning_rate']:g}", _share(row["share"], row["met"]), *(
            " / ".join(number(point["losses"][code]) for code in codes) for point in row["points"]
        )) for row in rows
    ]  # fmt: skip
    tokens = count(rows[0]["tokens"])
    said = note(
        f"Measured by the longest small runs, {tokens} tokens: bits per byte, and the share that "
        "the wish asks for at that length. How a learning rate does over a longer run was not "
        "measured.",
        f"由最长的小实验（{tokens} 词元）测得：比特/字节，以及在该长度下按要求得出的占比。"
        "更长的训练中学习率的影响未测。",
    )
    return Section("rates", Words("With other learning rates", "其他学习率下的答案"),
                   [table(head, body), said])  # fmt: skip


def measured(result: Result) -> Section:
    """Every point, and what the study cost."""
    if "sizes" in result:
        return measured_sizes(result)
    codes = result["target"], result["source"]
    head = Words("Share", "占比"), Words("Tokens", "词元"), *map(language, codes)
    rows: Sequence[Sequence[object]] = [
        (percent(point["share"]), count(point["tokens"]),
         *(number(point["losses"][code]) for code in codes))
        for point in result["measured"]["points"]
    ]  # fmt: skip
    compute = result["compute"]
    part = percent(compute["of_large_run"], 0)
    said = note(
        f"{compute['runs']} small runs, {count(compute['tokens'])} tokens together, {part} of the "
        "large run's. Losses are held-out bits per byte, on the same documents every time.",
        f"共 {compute['runs']} 次小实验，合计 {count(compute['tokens'])} 词元，"
        f"为正式训练的 {part}。损失为留出文本的比特/字节，每次都用同样的文档。",
    )
    return Section("measured", Words("What was measured", "实测数据"), [table(head, rows), said])
