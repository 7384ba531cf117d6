"""The section that shows what the models write, side by side on the same prompts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hanhua.report.html import Html, Words, join, tag
from hanhua.report.page import Section, note, sources
from hanhua.report.quantised import quantised_files
from hanhua.report.run import Run, language, listing, mapping, model, models

MOST_PROMPTS = 12
MOST_CHARS = 1200
FOLD_CHARS = 260
"""A longer text is folded behind its beginning."""

NOTHING = tag("span", Words("(nothing)", "（空）"), class_="absent")
BREAKS = re.compile(r"\A(?:[^\S\n]*\n)+|\n(?:[^\S\n]*\n){2,}")
SKIPPED = "expand"
"""A model that has learnt nothing since its vocabulary grew; its texts stay in its samples.json."""


def samples(run: Run) -> Section:
    """Prompts with the continuation of every model."""
    names = models({n.removeprefix("eval-"): 1 for n in run.stages if n.startswith("eval-")})
    if len(names) > 2:
        names = [name for name in names if name != SKIPPED]
    said = sayings(run, names)
    body: list[Html] = []
    names += list(quantised_files(run, "samples.json"))
    for (code, prompt), texts in list(said.items())[:MOST_PROMPTS]:
        tongue = tag("span", language(code), class_="note")
        asked = tag("p", tongue, " ", tag("span", prompt, class_="prompt"))
        shown = [_sample(name, texts[name]) for name in texts]
        body.append(tag("div", asked, tag("div", *shown, class_="samples"), class_="asked"))
    if body:
        body += [_note(len(said)), sources(*(run.link(f"eval-{n}", "samples.json") for n in names))]
    return Section("samples", Words("Samples", "生成样例"), body)


def sayings(run: Run, names: list[str]) -> dict[tuple[str, str], dict[str, Mapping[str, Any]]]:
    """(language, prompt) -> model -> sample; quantised models behind those of the walk."""
    said: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    files = {name: run.json(f"eval-{name}", "samples.json") for name in names}
    files |= quantised_files(run, "samples.json")
    for name, found in files.items():
        for sample in map(mapping, listing(found)):
            key = (str(sample.get("language", "")), str(sample.get("prompt", "")))
            said.setdefault(key, {})[name] = sample
    return said


def _note(n: int) -> Html:
    shown = min(n, MOST_PROMPTS)
    return note(
        f"{shown} of {n} prompts. Generated with a fixed seed; nothing was picked. Base and "
        "pretrained model continue the prompt, the chat model answers it in its template. ↵ stands "
        "for empty lines that the text has there; ▪ for where it was cut at its longest.",
        f"{n} 条提示中的前 {shown} 条。固定种子生成，未经挑选。原模型与继续预训练模型续写提示，"
        "对话模型按其模板回答。↵ 表示文本中此处的空行；▪ 表示达到最大长度而被截断。",
    )


def _sample(name: str, sample: Mapping[str, Any]) -> Html:
    words, cut = str(sample.get("text", "")), sample.get("finish") == "length"
    end = tag("span", " ▪", class_="absent") if cut else ""
    if len(words) > MOST_CHARS:
        words, end = words[:MOST_CHARS], tag("span", " …", class_="absent")
    if not words.strip():
        body = tag("p", NOTHING, end, class_="said")
    elif len(words) <= FOLD_CHARS:
        body = tag("p", tidied(words), end, class_="said")
    else:
        body = _folded(words, end)
    return tag("div", tag("div", model(name), class_="who"), body, class_="sample")


def _folded(words: str, end: object) -> Html:
    start, n = words[:FOLD_CHARS], len(words)
    label = tag("summary", Words(f"all {n} characters", f"全部 {n} 个字符"))
    whole = tag("details", label, tag("p", tidied(words), end, class_="said"))
    return join((tag("p", tidied(start), tag("span", " …", class_="absent"), class_="said"), whole))


def tidied(words: str) -> Html:
    """Text with blank lines at its start, and more than one in a row, as a sign with their number.

    Nothing is left out: three line breaks at the start are "↵×3".
    """
    parts: list[object] = []
    at = 0
    for found in BREAKS.finditer(words):
        breaks = found[0].count("\n")
        sign = tag("span", "↵" if breaks == 1 else f"↵×{breaks}", class_="absent")
        before = "\n" if found.start() else ""
        parts += [words[at : found.start()], before, sign, "\n" if found.start() else " "]
        at = found.end()
    return join([*parts, words[at:]])
