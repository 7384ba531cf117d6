"""The box at the top of an unfinished run's page: where it stopped, why, how to go on."""

from __future__ import annotations

from collections.abc import Mapping

from hanhua.core.stopped import Kind, Stopped, read_stopped
from hanhua.report.html import Html, Words, join, tag
from hanhua.report.page import paragraph
from hanhua.report.run import Run

_HOW: Mapping[Kind, Words] = {
    "error": Words("It ended by an error in ", "因错误而结束，所在阶段："),
    "interrupt": Words("It was ended by Ctrl-C in ", "被 Ctrl-C 结束，所在阶段："),
    "until": Words("It ended as was asked, after ", "按要求提前结束，最后的阶段："),
    "cut off": Words("It was cut off, or is still under way, in ", "被中断或仍在进行，所在阶段："),
}

_TOLD: Mapping[str, Words] = {
    "what": Words("Error: ", "错误："), "where": Words("Where: ", "位置："),
    "found": Words("Found: ", "发现："), "do": Words("To do: ", "处理："),
}  # fmt: skip


def stopped(run: Run) -> list[Html]:
    """Nothing where the run is finished."""
    found = read_stopped(run.folder, run.ledger)
    if not found:
        return []
    parts = [tag("p", tag("strong", Words("This run is not finished. ", "本次运行尚未完成。")),
                 *_where(found))]  # fmt: skip
    parts += [tag("p", name, tag("code", found.told[key])) for key, name in _TOLD.items()
              if found.told.get(key)]  # fmt: skip
    if found.command:
        parts.append(tag("p", Words("Go on: ", "继续："), tag("code", found.command)))
    parts.append(_figures(found))
    return [tag("div", *parts, class_="change")]


def _where(found: Stopped) -> list[Html]:
    if not found.stage:
        return []
    number = f" ({found.number}/{found.of})" if found.number else ""
    title = f": {found.title}" if found.title else ""
    return [join((_HOW[found.kind], tag("code", found.stage), f"{number}{title}"))]


def _figures(found: Stopped) -> Html:
    if found.finished:
        return paragraph(
            "Below stands what had finished by then; finished stages are kept.",
            "下面是此前已完成的部分；已完成的阶段会保留。", "note",
        )  # fmt: skip
    return paragraph(
        "No stage of this go had finished: what stands below is of an earlier one.",
        "这一次没有任何阶段完成：下面的内容来自更早的一次运行。", "note",
    )  # fmt: skip
