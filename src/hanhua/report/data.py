"""The sections on what went in: corpus, vocabulary, mixture, instruction data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hanhua.report.chart import Stack, stacks
from hanhua.report.fitted import fitted
from hanhua.report.html import Html, Words, count, join, number, percent, table, tag
from hanhua.report.page import Section, more, note, sources
from hanhua.report.reasons import reason
from hanhua.report.run import Run, dig, language, listing, mapping, real
from hanhua.report.waterfall import falls, waterfalls


def corpus(run: Run) -> Section:
    """Where every document went: kept, held out, or dropped for which reason."""
    ledger = run.json("corpus", "ledger.json")
    rows = [mapping(row) for row in listing(dig(ledger, "sources"))]
    body: list[Html] = []
    if rows:
        body = [
            waterfalls(falls(run, rows)),
            _accounts(rows),
            note(
                "In = kept + held out + dropped, for every source. Held-out documents are chosen "
                "by a hash of their id, are never trained on, and are what bits per byte is "
                "measured on.",
                "读入 = 保留 + 留出 + 丢弃，逐来源成立。留出文档按 id 的哈希选取，绝不用于训练，"
                "比特/字节即在其上测得。",
            ),
            more("Drops by reason", "按原因统计的丢弃", _drops(rows)),
            sources(run.link("corpus", "ledger.json"), run.link("corpus", "dropped")),
        ]
    return Section("corpus", Words("Data accounting", "数据账目"), body)


def _dropped(row: Mapping[str, Any]) -> int:
    return sum(int(real(n) or 0) for n in mapping(row.get("dropped")).values())


def _accounts(rows: list[Mapping[str, Any]]) -> Html:
    head = (
        Words("Source", "来源"), Words("Language", "语言"), Words("Licence", "许可证"),
        Words("In", "读入"), Words("Kept", "保留"), Words("Held out", "留出"),
        Words("Dropped", "丢弃"), Words("Characters", "字符"),
    )  # fmt: skip
    lines = [
        (
            row.get("source"), language(str(row.get("language"))), row.get("licence"),
            count(row.get("in")), count(row.get("kept")), count(row.get("held_out")),
            count(_dropped(row)), count(row.get("chars")),
        )
        for row in rows
    ]  # fmt: skip
    return table(head, lines, numbers=3)


def _drops(rows: list[Mapping[str, Any]]) -> Html:
    reasons = sorted({reason for row in rows for reason in mapping(row.get("dropped"))})
    head = [Words("Source", "来源"), *map(reason, reasons)]
    lines = [
        [row.get("source"), *(count(dig(row, "dropped", r) or 0) for r in reasons)] for row in rows
    ]
    return table(head, lines)


def mixture(run: Run) -> Section:
    """The shares asked for, and those counted in the rows that were written."""
    shares = mapping(run.summary.get("shares"))
    asked, counted = mapping(shares.get("asked")), mapping(shares.get("counted"))
    languages = run.languages(asked.keys() | counted.keys())
    body: list[Html] = []
    if languages:
        tokens = mapping(dig(run.stage("tokens"), "counts", "tokens_by_language"))
        documents = dig(run.stage("tokens"), "counts", "documents")
        head = (
            Words("Language", "语言"), Words("Asked", "要求"), Words("Counted", "实际"),
            Words("Difference", "差"), Words("Tokens", "词元"), Words("Epochs", "轮数"),
        )  # fmt: skip
        rows = [
            (
                language(c), percent(asked.get(c), 2), percent(counted.get(c), 2),
                percent(_minus(counted.get(c), asked.get(c)), 2, signed=True), count(tokens.get(c)),
                number(dig(documents, c, "epochs"), 2),
            )
            for c in languages
        ]  # fmt: skip
        body = [
            _shares_chart(run, asked, counted, languages),
            table(head, rows),
            *_domains(run),
            _counted_note(shares),
            more("All counts of this stage", "本阶段全部计数", facts(run.stage("tokens"))),
        ]
    return Section("mixture", Words("Mixture", "语言配比"), body)


def _domains(run: Run) -> list[Html]:
    """Shares of domains, asked and counted, where the recipe asked for them."""
    asked, counted = (
        mapping(dig(run.metrics("tokens"), "domains", key)) for key in ("asked", "counted")
    )
    if not asked:
        return []
    documents = dig(run.stage("tokens"), "counts", "documents")
    head = (
        Words("Of which", "其中"), Words("Asked", "要求"), Words("Counted", "实际"),
        Words("Difference", "差"), Words("Tokens", "词元"), Words("Epochs", "轮数"),
    )  # fmt: skip
    rows = [
        (
            _of_language(key, asked), percent(asked[key], 2), percent(counted.get(key), 2),
            percent(_minus(counted.get(key), asked[key]), 2, signed=True),
            count(dig(documents, key, "document_tokens")), number(dig(documents, key, "epochs"), 2),
        )
        for key in sorted(asked)
    ]  # fmt: skip
    return [table(head, rows)]


def _of_language(key: str, asked: Mapping[str, Any]) -> Html:
    """A domain's name; a language beside its own domains is what stands outside of them."""
    code, _, domain = key.partition("/")
    beside_own = not domain and any(other.startswith(f"{code}/") for other in asked)
    rest = Words(", the rest", "，其余") if beside_own else ""
    return join((language(code), f" / {domain}" if domain else rest))


def _kept(shares: Mapping[str, Any]) -> Words:
    """What the steered language ended at; runs from before that was kept say nothing."""
    if "ended" not in shares:
        return Words("", "")
    ended, limit = number(shares["ended"]), number(shares["limit"])
    en, zh = ("kept", "达到") if shares["ended"] <= shares["limit"] else ("missed", "未达到")
    return Words(
        f" It was {en}: {ended} bits per byte of the watched text at the end, limit {limit}.",
        f"结果{zh}：结束时监测文本为 {ended} 比特/字节，限度 {limit}。",
    )


def _counted_note(shares: Mapping[str, Any]) -> Html:
    """Where the counted shares come from."""
    if "wish" in shares:
        kept = _kept(shares)
        return note(
            f"Steered while it trained, to the wish {shares['wish']}: asked is what was packed, "
            f"counted is what was read of it.{kept.en}",
            f"训练中按目标 {shares['wish']} 调整配比：“要求”为打包时的配比，"
            f"“实际”为训练读到的配比。{kept.zh}",
        )
    return note(
        "Counted from the token rows that were written to disk, after packing; not from "
        "weights or plans.",
        "按写入磁盘的词元行（打包之后）计数，而非按权重或计划推算。",
    )


def _minus(a: Any, b: Any) -> float | None:
    left, right = real(a), real(b)
    return None if left is None or right is None else left - right


def _shares_chart(
    run: Run, asked: Mapping[str, Any], counted: Mapping[str, Any], languages: list[str]
) -> Html:
    def row(label: Words, shares: Mapping[str, Any]) -> Stack:
        parts = [(language(c), real(shares.get(c)) or 0.0, run.colour(c)) for c in languages]
        return Stack(label, parts, " : ".join(number(100 * p, 1) for _, p, _ in parts))

    return stacks([row(Words("asked", "要求"), asked), row(Words("counted", "实际"), counted)])


def chatdata(run: Run) -> Section:
    """The instruction data: where from, how many kept, why not the others."""
    ledger = run.json("chatdata", "ledger.json")
    rows = [mapping(row) for row in listing(dig(ledger, "sources"))]
    body: list[Html] = []
    if rows:
        head = (
            Words("Source", "来源"), Words("Language", "语言"), Words("Licence", "许可证"),
            Words("Format", "格式"), Words("In", "读入"), Words("Kept", "保留"),
            Words("Held out", "留出"), Words("Dropped", "丢弃"),
        )  # fmt: skip
        lines = [
            (
                row.get("source"), _languages(row), row.get("licence"),
                row.get("schema") or row.get("format") or "–", count(row.get("in")),
                count(row.get("kept")), count(row.get("held_out")), count(_dropped(row)),
            )
            for row in rows
        ]  # fmt: skip
        body = [
            table(head, lines, numbers=4),
            *fitted(run, "finetune", "conversations"),
            more("Drops by reason", "按原因统计的丢弃", _drops(rows)),
            *_chat_measures(run),
            sources(run.link("chatdata", "ledger.json"), run.link("chatdata", "dropped.jsonl")),
        ]
    elif run.stage("chatdata"):
        body = [facts(run.stage("chatdata"))]
    return Section("chatdata", Words("Instruction data", "指令数据"), body)


def _chat_measures(run: Run) -> list[Html]:
    """Shares of tasks and domains, asked and counted, and quality, where they were asked for."""
    found = run.metrics("chatdata")
    told = {name: found[name] for name in ("balance", "quality") if found.get(name)}
    if not told:
        return []
    head = (Words("What", "项目"), Words("Value", "值"))
    return [more("Balance and quality", "配比与质量", table(head, _flat(told)))]


def _languages(row: Mapping[str, Any]) -> Html:
    codes = mapping(row.get("languages")).keys() or [str(row.get("language"))]
    return join((tag("span", language(code)) for code in codes), ", ")


def facts(stage: Mapping[str, Any]) -> Html:
    """A stage's counts and metrics as they are in the ledger, one row each."""
    rows = [*_flat(mapping(stage.get("counts"))), *_flat(mapping(stage.get("metrics")))]
    return table((Words("What", "项目"), Words("Value", "值")), rows)


def _flat(value: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key in sorted(value, key=str):
        item, name = value[key], f"{before}{key}"
        if isinstance(item, Mapping):
            rows += _flat(item, f"{name} · ")
        elif real(item) is not None:
            rows.append((name, count(item) if isinstance(item, int) else number(item, 4)))
        else:
            rows.append((name, str(item)))
    return rows
