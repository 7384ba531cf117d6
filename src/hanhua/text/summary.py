"""What is told of a finished corpus: report.json, the samples of what went, the stage's result."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hanhua.core.files import write_json, write_text
from hanhua.core.stage import Result
from hanhua.text.ledger import Account, Ledger

MOST_REASONS = 3
"""Reasons named of a source that lost most of its documents."""


def report(
    ledger: Ledger, contamination: Mapping[str, Any], domains: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """report.json: in = kept + dropped, in all, by source, by language and by domain."""
    everything = _sums(ledger, lambda _: "all").get("all", _sum([]))
    return {
        **everything,
        "languages": _sums(ledger, lambda account: account.language),
        "sources": _sums(ledger, lambda account: account.source),
        **_by_domain(ledger, domains or {}),
        "contamination": contamination,
    }


def much_lost(ledger: Ledger) -> list[str]:
    """A line for each source that gave nothing, or lost most of its documents.

    A language declared wrongly or an empty file shows here, while other sources hide it elsewhere.
    """
    found = []
    for source, sums in _sums(ledger, lambda account: account.source).items():
        read, kept = sums["documents_in"], sums["documents_kept"]
        if not read:
            found.append(f"{source}: no document was found in it")
        elif 2 * kept < read:
            reasons = sorted(sums["dropped"].items(), key=lambda item: -item[1])[:MOST_REASONS]
            told = ", ".join(f"{name} {n:,}" for name, n in reasons)
            found.append(f"{source}: {kept:,} of {read:,} documents kept; dropped: {told}")
    return found


def _by_domain(ledger: Ledger, domains: Mapping[str, str]) -> dict[str, Any]:
    if not domains:
        return {}

    def key(account: Account) -> str:
        return "/".join(filter(None, (account.language, domains.get(account.source))))

    return {"domains": _sums(ledger, key)}


def _sums(ledger: Ledger, name_of: Callable[[Account], str]) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[Account]] = {}
    for account in ledger.accounts:
        groups.setdefault(name_of(account), []).append(account)
    return {name: _sum(groups[name]) for name in sorted(groups)}


def _sum(accounts: list[Account]) -> dict[str, Any]:
    dropped = sum((a.dropped for a in accounts), Counter[str]())
    changes = sum((a.changes for a in accounts), Counter[str]())
    return {
        "documents_in": sum(a.read for a in accounts),
        "documents_kept": sum(a.train.docs + a.held_out.docs for a in accounts),
        "documents_held_out": sum(a.held_out.docs for a in accounts),
        "dropped": dict(sorted(dropped.items())),
        "characters": sum(a.train.chars + a.held_out.chars for a in accounts),
        "bytes": sum(a.train.bytes + a.held_out.bytes for a in accounts),
        "changes": dict(sorted(changes.items())),
    }


def write_account(
    out: Path, ledger: Ledger, contamination: Mapping[str, Any],
    score: Mapping[str, Any] | None = None, domains: Mapping[str, str] | None = None,
) -> Result:  # fmt: skip
    """Write ledger.json, report.json and dropped/REASON.jsonl.

    Args:
        out: the artifact's folder.
        ledger: what became of every document.
        contamination: what was looked for, and found.
        score: how documents were scored, where they were.
        domains: of the sources that have one.

    Returns:
        The counts and metrics of the stage's record.
    """
    account = ledger.as_dict()
    write_json(out / "ledger.json", {**account, "contamination": contamination})
    scored = {} if score is None else {"score": score}
    write_json(out / "report.json", {**report(ledger, contamination, domains), **scored})
    (out / "dropped").mkdir(exist_ok=True)
    for reason, samples in itertools.groupby(ledger.samples, lambda s: str(s["reason"])):
        lines = [json.dumps(s, ensure_ascii=False, sort_keys=True) + "\n" for s in samples]
        write_text(out / "dropped" / f"{reason}.jsonl", "".join(lines))
    totals = account["totals"]
    counts = {key: totals[key] for key in ("in", "kept", "held_out")}
    return Result(
        counts={**counts, "dropped": sum(totals["dropped"].values())},
        metrics={
            "languages": totals["languages"],
            "dropped": totals["dropped"],
            "contamination": contamination,
            **scored,
        },
    )
