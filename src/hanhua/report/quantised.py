"""The section on quantised models: size, memory, and what each lost against the model it is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hanhua.report.html import Html, Words, number, percent, table, tag
from hanhua.report.page import Section, note, sources
from hanhua.report.run import Run, dig, language, listing, mapping, real
from hanhua.report.scores import ranged

PROOF = "proof"
"""Folder of a method's scores and samples in the stage's."""


def quantised_rows(run: Run) -> list[Mapping[str, Any]]:
    """What the stage measured: the model as it came first, then each method."""
    found = dig(run.json("quantise", "quantise.json"), "rows")
    return [mapping(row) for row in listing(found)]


def quantised_files(run: Run, name: str) -> dict[str, Any]:
    """Of each method, one of the JSON files that its evaluation left."""
    methods = [str(row.get("method")) for row in quantised_rows(run)[1:]]
    found = {m: run.json("quantise", f"{m}/{PROOF}/{name}") for m in methods}
    return {method: content for method, content in found.items() if content is not None}


def quantised(run: Run) -> Section:
    """A row for each method."""
    rows = quantised_rows(run)
    title = Words("Quantised", "量化")
    if not rows:
        return Section("quantised", title, [])
    codes = run.languages(code for row in rows for code in mapping(row.get("bits_per_byte")))
    tasks = list(dict.fromkeys(name for row in rows for name in mapping(row.get("tasks"))))
    head = [Words("Model", "模型"), Words("Size", "大小"), Words("Memory", "内存")]
    for code in codes:
        en, zh = language(code)
        head += [Words(f"{en}: bits per byte", f"{zh}：比特/字节"), Words("Change", "变化")]
    body = [
        table([*head, *tasks], [_row(row, codes, tasks) for row in rows]),
        note(
            "The first row is the model as it came. Change: of bits per byte against it, paired on "
            "the same documents, with the 95 % interval; below zero is better.",
            "首行为量化前的模型。变化：在同一批文档上与其成对比较的比特/字节之差，附 95 % 区间；"
            "小于零更好。",
        ),
        *_broken(rows),
        sources(run.link("quantise", "quantise.json")),
    ]
    return Section("quantised", title, body)


def _row(row: Mapping[str, Any], codes: list[str], tasks: list[str]) -> list[object]:
    name = str(row.get("method"))
    first = Words("as it came", "量化前") if name == "source" else name
    cells: list[object] = [first, _size(row.get("bytes")), _size(row.get("memory_bytes"))]
    for code in codes:
        change = mapping(dig(row, "change", code))
        cells += [number(dig(row, "bits_per_byte", code)), ranged(change, 3, True)]
    return [*cells, *(percent(dig(row, "tasks", task)) for task in tasks)]


def _size(value: Any) -> str:
    found = real(value)
    return "–" if found is None else f"{found / 2**20:,.1f} MB"


def _broken(rows: list[Mapping[str, Any]]) -> list[Html]:
    """Limits of the recipe that a method breaks."""
    lines = [
        tag("li", f"{row.get('method')}: {line}")
        for row in rows
        for line in listing(row.get("broken"))
    ]
    return [tag("ul", *lines, class_="bad")] if lines else []
