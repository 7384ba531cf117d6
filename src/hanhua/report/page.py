"""The frame of the page: head, switches, list of sections, and what a section looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from hanhua.report.html import Html, Words, join, tag, text


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page; ``body`` empty means that the run does not have it."""

    name: str
    title: Words
    body: Sequence[Html]


def paragraph(en: object, zh: object, style: str | None = None) -> Html:
    """A paragraph in both languages."""
    return tag("p", Words(en, zh), class_=style)


def note(en: object, zh: object) -> Html:
    """A remark in small print: how something was measured and how to read it."""
    return paragraph(en, zh, "note")


def beside(*parts: Html) -> Html:
    """Parts side by side where there is room."""
    return tag("div", *(tag("div", part) for part in parts if part), class_="pair")


def more(en: str, zh: str, *inside: Html) -> Html:
    """Something to open."""
    return tag("details", tag("summary", Words(en, zh)), *inside)


def sources(*links: str | None) -> Html:
    """The files of the run that a section was read from."""
    found = [tag("a", _address(link), href=link) for link in links if link]
    if not found:
        return Html("")
    return tag("p", Words("From: ", "出处："), join(found, ", "), class_="note")


def _address(link: str) -> str:
    """``eval-base/scores.json`` for ``eval-base-0123456789ab/scores.json``."""
    folder, _, name = link.partition("/")
    return f"{folder.rpartition('-')[0] or folder}/{name}"


def document(
    title: str | Words, under: Html, top: Sequence[Html], sections: Sequence[Section],
    foot: Html | None = None,
) -> str:  # fmt: skip
    """The whole page as text; ``foot`` says what it was made from, where that is no ledger."""
    plain = title.en if isinstance(title, Words) else title
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(plain)}</title><style>{_asset('page.css')}</style>"
    )
    buttons = tag(
        "div",
        tag("button", Words("中文", "English"), id="language", type="button"),
        tag("button", Words("Dark / light", "深色 / 浅色"), id="theme", type="button"),
        class_="buttons",
    )
    shown = [s for s in sections if s.body]
    links = [tag("a", s.title, href=f"#{s.name}") for s in shown]
    skip = tag("a", Words("Skip to the sections", "跳到正文"), href="#sections", class_="skip")
    nav = tag("nav", *links, id="sections", tabindex="-1", aria_label="sections")
    body = join(
        (
            skip,
            tag("header", tag("div", tag("h1", title), under), buttons),
            tag("main", *top, nav, *map(_section, shown), _not_run(sections)),
            tag("footer", foot or _foot()),
            Html(f"<script>{_asset('page.js')}</script>"),
        )
    )
    return (
        f'<!doctype html>\n<html lang="en" data-show="en"><head>{head}</head><body>{body}'
        "</body></html>\n"
    )


def _section(section: Section) -> Html:
    heading = tag("h2", section.title)
    return tag("section", heading, *section.body, id=section.name)


def _not_run(sections: Sequence[Section]) -> Html:
    """What this run does not have, in one line at the end."""
    missing = [s.title for s in sections if not s.body]
    if not missing:
        return Html("")
    en, zh = ", ".join(str(t.en) for t in missing), "、".join(str(t.zh) for t in missing)
    return paragraph(f"Not run: {en}.", f"未运行：{zh}。", "absent")


def _foot() -> Html:
    return paragraph(
        "Made by hanhua from ledger.json and the artifacts beside it; this file asks nothing of "
        "the network. Links work while it lies in its run folder.",
        "由 hanhua 根据 ledger.json 及同目录的产物生成；本文件不访问网络。"
        "放在运行目录中时链接有效。",
    )


def _asset(name: str) -> str:
    return (files("hanhua.report") / "templates" / name).read_text(encoding="utf-8")
