"""What became of every record: in = kept + held out + dropped, for each source."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hanhua.chat.conversation import Conversation
from hanhua.text.verdict import Drop

_SAMPLE_CHARS = 400
UNNAMED = "unnamed"
"""The task or domain of conversations whose set names none."""


@dataclass(slots=True)
class Account:
    """The count of one source.

    Args:
        source: its name.
        licence: its licence as stated.
        samples: how many dropped records of each reason are kept to look at.
    """

    source: str
    licence: str
    samples: int
    files: list[dict[str, Any]] = field(default_factory=list)
    records: int = 0
    kept: int = 0
    held_out: int = 0
    chars: int = 0
    bytes: int = 0
    target_bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    tasks: Counter[str] = field(default_factory=Counter)
    domains: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    formats: dict[str, Counter[str]] = field(default_factory=dict)
    schemas: dict[str, None] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    scored: int = 0
    score_sum: float = 0.0
    signals: Counter[str] = field(default_factory=Counter)

    def drop(self, where: str, drop: Drop, text: str = "") -> None:
        """Count a dropped record and keep a sample."""
        self.dropped[drop.reason] += 1
        if self.dropped[drop.reason] > self.samples:
            return
        line = {
            "source": self.source,
            "where": where,
            "reason": drop.reason,
            "value": drop.value,
            "text": text[:_SAMPLE_CHARS],
        }
        # A lone surrogate, which is why some are dropped, cannot be written as UTF-8.
        whole = json.dumps(line, ensure_ascii=False, sort_keys=True)
        self.lines.append(whole.encode("utf-8", "backslashreplace").decode())

    def read(self, schema: str, records: int) -> None:
        """Count the records of a file by its format."""
        self.schemas.setdefault(schema)
        self.formats.setdefault(schema, Counter())["in"] += records

    def score(self, score: float, signals: Iterable[str]) -> None:
        """Count a conversation's quality, kept or not."""
        self.scored += 1
        self.score_sum += score
        self.signals.update(list(signals))

    def keep(self, conversation: Conversation, held_out: bool, schema: str = "") -> None:
        """Count a conversation that is used."""
        if schema:
            name = "held_out" if held_out else "kept"
            self.formats.setdefault(schema, Counter())[name] += 1
        if held_out:
            self.held_out += 1
            return
        texts = (conversation.system, *(turn.text for turn in conversation.turns))
        self.kept += 1
        self.chars += conversation.chars
        self.bytes += sum(len(text.encode("utf-8")) for text in texts)
        self.target_bytes += conversation.target_bytes
        self.languages[conversation.language] += 1
        self.tasks[conversation.task or UNNAMED] += 1
        self.domains[conversation.domain or UNNAMED] += 1

    def as_dict(self) -> dict[str, Any]:
        """The source's row of ledger.json."""
        return {
            "source": self.source,
            "licence": self.licence,
            "language": ", ".join(name for name, _ in self.languages.most_common()),
            "languages": dict(self.languages),
            "schema": ", ".join(self.schemas),
            "schemas": {name: dict(counts) for name, counts in self.formats.items()},
            "tasks": dict(self.tasks.most_common()),
            "domains": dict(self.domains.most_common()),
            "splits": dict(self.splits),
            "files": self.files,
            "in": self.records,
            "kept": self.kept,
            "held_out": self.held_out,
            "dropped": dict(self.dropped),
            "changed": dict(self.changed),
            "chars": self.chars,
            "bytes": self.bytes,
            "target_bytes": self.target_bytes,
            **({"quality": self._quality()} if self.scored else {}),
        }

    def _quality(self) -> dict[str, Any]:
        return {
            "scored": self.scored,
            "mean_score": round(self.score_sum / self.scored, 4),
            "signals": dict(self.signals.most_common()),
        }


def ledger_dict(accounts: Iterable[Account]) -> dict[str, Any]:
    """ledger.json: a row for each source, and the sums."""
    rows = [account.as_dict() for account in accounts]
    numbers = ("in", "kept", "held_out", "chars", "bytes", "target_bytes")
    totals: dict[str, Any] = {name: sum(row[name] for row in rows) for name in numbers}
    for name in ("dropped", "changed", "languages", "tasks", "domains"):
        counts: Counter[str] = Counter()
        for row in rows:
            counts.update(row[name])
        totals[name] = dict(counts)
    totals["schemas"] = _by_schema(rows)
    scored = [row["quality"] for row in rows if "quality" in row]
    if scored:
        totals["quality"] = _quality_of_all(scored)
    return {"sources": rows, "totals": totals}


def _by_schema(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Records in, kept and held out of each format; what is not kept or held out was dropped."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        for name, counts in row["schemas"].items():
            found.setdefault(name, Counter()).update(counts)
    return {name: {n: counts[n] for n in ("in", "kept", "held_out")}
            for name, counts in found.items()}  # fmt: skip


def _quality_of_all(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The scores of several sources as of one."""
    found, n, total = Counter[str](), 0, 0.0
    for row in rows:
        found.update(row["signals"])
        n += row["scored"]
        total += row["scored"] * row["mean_score"]
    return {"scored": n, "mean_score": round(total / n, 4), "signals": dict(found.most_common())}
