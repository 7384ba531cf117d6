"""The section on the vocabulary: what the new pieces save, and that English kept its ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hanhua.report.chart import Bar, bars
from hanhua.report.html import Html, Words, count, join, number, percent, table, tag, text
from hanhua.report.page import Section, beside, more, note, paragraph, sources
from hanhua.report.run import Run, dig, language, listing, mapping, real

MOST_EXAMPLES, MOST_TOKENS = 2, 40
WHEN = {"before": Words("before", "扩充前"), "after": Words("after", "扩充后")}


def vocabulary(run: Run) -> Section:
    """Tokens per character before and after, by language and by source."""
    report = mapping(run.json("vocab", "report.json"))
    found = mapping(run.summary.get("tokens_per_char"))
    codes = run.languages(code for when in WHEN for code in mapping(found.get(when)))
    body: list[Html] = []
    if codes:
        metrics = run.metrics("vocab")
        body = [
            beside(*(_chart(run, found, code) for code in codes)),
            _by_language(found, metrics, codes),
            _english(run, metrics),
            note(
                "Measured on held-out text, which the vocabulary was not learnt from.",
                "在留出文本上测得；词表不是从这些文本学来的。",
            ),
            *_examples(run, report),
            *_by_source(report),
            sources(run.link("vocab", "report.json"), run.link("vocab", "pieces.jsonl")),
        ]
    return Section("vocabulary", Words("Vocabulary", "词表"), body)


def _chart(run: Run, found: Mapping[str, Any], code: str) -> Html:
    rows = []
    for when, words in WHEN.items():
        value = real(dig(found, when, code))
        if value is not None:
            rows.append(Bar(words, value, number(value), colour=run.colour(code)))
    en, zh = language(code)
    title = Words(f"{en}: tokens per character", f"{zh}：每字符词元数")
    return join((tag("h3", title), bars(rows, title=f"tokens per character, {code}")))


def _by_language(found: Mapping[str, Any], metrics: Mapping[str, Any], codes: list[str]) -> Html:
    head = (
        Words("Language", "语言"), Words("Tokens per character, before", "每字符词元数，扩充前"),
        Words("after", "扩充后"), Words("change", "变化"),
        Words("Tokens per letter of the target, after", "每个目标文字的词元数，扩充后"),
        Words("Bytes per token, before", "每词元字节数，扩充前"), Words("after", "扩充后"),
    )  # fmt: skip
    rows = []
    for code in codes:
        old, new = (real(dig(found, when, code)) for when in WHEN)
        moved = new / old - 1 if old and new is not None else None
        dense = [number(dig(metrics, "bytes_per_token", when, code), 2) for when in WHEN]
        rows.append(
            (
                language(code),
                number(old),
                number(new),
                percent(moved, signed=True),
                number(dig(metrics, "tokens_per_letter", "after", code)),
                *dense,
            )
        )
    return table(head, rows)


def _english(run: Run, metrics: Mapping[str, Any]) -> Html:
    ids = mapping(metrics.get("english_ids_changed"))
    added = count(metrics.get("added"))
    en, zh = language(run.source)
    lines, changed = count(ids.get("lines")), count(ids.get("changed"))
    return paragraph(
        f"Pieces added: {added}. {en} lines whose token ids changed: {changed} of {lines} checked.",
        f"新增词元：{added}。检查的 {lines} 行{zh}文本中，词元 id 有变化的：{changed} 行。",
    )


def _examples(run: Run, report: Mapping[str, Any]) -> list[Html]:
    """A few held-out lines as both tokenizers cut them."""
    lines = [mapping(line) for line in listing(dig(report, "examples", run.target))]
    parts = []
    for line in lines[:MOST_EXAMPLES]:
        for when, words in WHEN.items():
            tokens = [str(token) for token in listing(line.get(when))]
            pieces = [tag("span", token, class_="piece") for token in tokens[:MOST_TOKENS]]
            pieces += [text("…")] if len(tokens) > MOST_TOKENS else []
            label = tag("span", words, f" ({len(tokens)}) ", class_="note")
            parts.append(tag("p", label, *pieces, class_="cut"))
    if not parts:
        return []
    return [
        tag("h3", Words("The same lines, cut before and after", "同一行文本的切分，前与后")),
        *parts,
    ]


def _by_source(report: Mapping[str, Any]) -> list[Html]:
    rows = [
        (row.get("source"), language(str(row.get("language"))), number(row.get("before")),
         number(row.get("after")), count(row.get("chars")))
        for row in map(mapping, listing(report.get("sources")))
    ]  # fmt: skip
    if not rows:
        return []
    head = (
        Words("Source", "来源"), Words("Language", "语言"), Words("Before", "扩充前"),
        Words("After", "扩充后"), Words("Characters measured", "所测字符"),
    )  # fmt: skip
    return [more("Tokens per character by source", "按来源的每字符词元数", table(head, rows, 2))]
