"""The section that shows what the models write, side by side on the same prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hanhua.report.html import Html, Words, tag
from hanhua.report.page import Section, note, sources
from hanhua.report.run import Run, language, listing, mapping, model, models

MOST_PROMPTS = 12
NOTHING = tag("span", Words("(nothing)", "（空）"), class_="absent")
MOST_CHARS = 1200


def samples(run: Run) -> Section:
    """Prompts with the continuation of every model."""
    said: dict[tuple[str, str], dict[str, str]] = {}
    for name in models({n.removeprefix("eval-"): 1 for n in run.stages if n.startswith("eval-")}):
        for sample in _read(run.json(f"eval-{name}", "samples.json")):
            key = (str(sample.get("language", "")), str(sample.get("prompt", "")))
            said.setdefault(key, {})[name] = str(sample.get("text", ""))
    body: list[Html] = []
    for (code, prompt), texts in list(said.items())[:MOST_PROMPTS]:
        tongue = tag("span", language(code), class_="note")
        body.append(tag("p", tongue, " ", tag("span", prompt, class_="prompt")))
        shown = [_sample(name, texts[name]) for name in models(texts)]
        body.append(tag("div", *shown, class_="samples"))
    if body:
        body.append(
            note(
                "Generated with a fixed seed; nothing was picked. Base and pretrained model "
                "continue the prompt, the chat model answers it in its template.",
                "固定种子生成，未经挑选。原模型与继续预训练模型续写提示，对话模型按其模板回答。",
            )
        )
        body.append(sources(*(run.link(f"eval-{n}", "samples.json") for n in models(_names(said)))))
    return Section("samples", Words("Samples", "生成样例"), body)


def _names(said: Mapping[tuple[str, str], Mapping[str, str]]) -> dict[str, int]:
    return {name: 1 for texts in said.values() for name in texts}


def _read(value: Any) -> list[Mapping[str, Any]]:
    return [mapping(sample) for sample in listing(value)]


def _sample(name: str, words: str) -> Html:
    shown = words if len(words) <= MOST_CHARS else words[:MOST_CHARS] + " …"
    return tag(
        "div",
        tag("div", model(name), class_="who"),
        tag("p", shown if shown.strip() else NOTHING, class_="said"),
        class_="sample",
    )
