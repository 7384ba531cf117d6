"""What `hanhua plan` prints: per stage done or not and why, and a first estimate of the cost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hanhua.chat.config import ChatSourceConfig
from hanhua.core.artifact import outside_files
from hanhua.core.progress import duration, human
from hanhua.core.runner import Step
from hanhua.core.runner import plan as plan_walk
from hanhua.model.facts import base_facts, parameters
from hanhua.recipe import Recipe


def plan_rows(recipe: Recipe, runs: Path, until: str | None) -> list[dict[str, Any]]:
    """One JSON-able row a stage: name, status, why, fingerprint, estimate."""
    walk = recipe.walk(runs)
    facts = plan_facts(recipe)
    return [_row(step, facts) for step in plan_walk(walk, until)]


def plan_facts(recipe: Recipe) -> dict[str, Any]:
    """What the stages' estimates want to know: shapes, tokens, cores."""
    facts = base_facts(recipe.base)
    facts["cores"] = recipe.machine.threads or os.cpu_count() or 1
    if "vocab_size" in facts and recipe.vocab is not None:
        facts["vocab_size"] += 0 if recipe.vocab.add == "auto" else recipe.vocab.add
        facts["n_params"] = parameters(facts)
    if recipe.tokens is not None:
        facts["tokens"] = recipe.tokens.budget_tokens
        facts["seq_len_tokens"] = recipe.tokens.seq_len_tokens
    if recipe.chatdata is not None:
        facts["chat_tokens"] = sum(map(_chat_tokens, recipe.chatdata.sources))
    return facts


def _chat_tokens(source: ChatSourceConfig) -> int:
    """A guess from the files' sizes: 3.5 bytes a token, packed files three times as large."""
    files = outside_files(source.path, "chatdata.sources")
    packed = (".gz", ".zst", ".xz", ".parquet")
    return int(sum(f.stat().st_size * (3 if f.suffix in packed else 1) for f in files) / 3.5)


def _row(step: Step, facts: Mapping[str, Any]) -> dict[str, Any]:
    estimate: dict[str, Any] = {}
    if step.node.stage.estimate is not None and not step.done:
        estimate = dict(step.node.stage.estimate(step.node.config, facts))
        estimate.setdefault("disk_bytes", estimate.pop("bytes", 0))
    return {
        "stage": step.name,
        "title": step.node.stage.title,
        "status": "done" if step.done else "run",
        "why": list(step.why),
        "fingerprint": step.fingerprint,
        "path": step.path.name,
        "estimate": estimate,
    }


def plan_text(recipe: Recipe, rows: Sequence[Mapping[str, Any]]) -> str:
    """The plan for people."""
    lines = [f"{recipe.name}: {recipe.source} → {recipe.target}, seed {recipe.seed}"]
    for row in rows:
        mark = "done" if row["status"] == "done" else "run "
        lines.append(f"  {mark}  {row['stage']:<14} {row['title']}")
        for reason in row["why"][:4]:
            lines.append(f"          because {reason}")
        if len(row["why"]) > 4:
            lines.append(f"          and {len(row['why']) - 4} more reasons")
        if row["estimate"]:
            lines.append("          about " + ", ".join(_shown(row["estimate"])))
    lines.append(_total(rows))
    return "\n".join(lines)


def _shown(estimate: Mapping[str, Any]) -> list[str]:
    show = {
        "tokens": lambda v: f"{human(v)} tokens",
        "steps": lambda v: f"{v:,.0f} steps",
        "flops": lambda v: f"{v:.2g} FLOPs",
        "seconds": lambda v: duration(v),
        "memory_bytes": lambda v: f"{v / 2**30:.2g} GB memory",
        "disk_bytes": lambda v: f"{v / 2**20:,.0f} MB disk",
    }
    return [show[key](estimate[key]) for key in show if estimate.get(key)]


def _total(rows: Sequence[Mapping[str, Any]]) -> str:
    to_run = [row for row in rows if row["status"] == "run"]
    if not to_run:
        return "nothing to run: every artifact is there"
    seconds = sum(row["estimate"].get("seconds", 0) for row in to_run)
    disk = sum(row["estimate"].get("disk_bytes", 0) for row in to_run)
    free = shutil.disk_usage(Path.cwd()).free
    text = f"{len(to_run)} of {len(rows)} stages to run"
    if seconds:
        text += f", training about {duration(seconds)} (a first estimate)"
    if disk:
        text += f", {disk / 2**20:,.0f} MB of disk ({free / 2**30:,.0f} GB free)"
    return text
