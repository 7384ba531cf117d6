"""What `hanhua plan` knows: per stage done or not and why, and what it will cost."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hanhua.chat.config import ChatSourceConfig
from hanhua.core.artifact import outside_files
from hanhua.core.files import read_json
from hanhua.core.stage import Node
from hanhua.core.walk import Step
from hanhua.core.walk import plan as plan_walk
from hanhua.model.config import BaseConfig, ExpandConfig
from hanhua.model.facts import active_parameters, base_facts, parameters, why_unknown
from hanhua.recipe import Recipe
from hanhua.train.cost.accelerators import MFU

TRAINING = ("pretrain", "finetune", "prefer")
"""Stages that train the model."""
BYTES_PER_TOKEN = 3.5
"""Of conversations, assumed."""
LARGE_HOST_BYTES = 16 * 10**9
"""Main memory from which on a plan on GPUs speaks of it."""


def plan_rows(recipe: Recipe, runs: Path, until: str | None) -> list[dict[str, Any]]:
    """One JSON-able row a stage: name, status, why, fingerprint, estimate."""
    steps = plan_walk(recipe.walk(runs), until)
    facts = plan_facts(recipe, steps)
    return [_row(step, facts) for step in steps]


def cost_rows(recipe: Recipe) -> list[dict[str, Any]]:
    """The same for the stages that train, from the recipe alone: no file that it names is read."""
    facts = plan_facts(recipe, guess_chat=False)
    return [
        {
            "stage": node.stage.name, "title": node.stage.title, "status": "run", "why": [],
            "fingerprint": None, "path": None, "estimate": _estimate(node, facts),
        }
        for node in recipe.walk(Path("runs")).nodes if node.stage.name in TRAINING
    ]  # fmt: skip


def plan_facts(
    recipe: Recipe, steps: Sequence[Step] = (), guess_chat: bool = True
) -> dict[str, Any]:
    """What the stages' estimates want to know: shapes, tokens, machine.

    Args:
        recipe: what is asked for.
        steps: of the walk; what is done is read from its artifacts instead of guessed.
        guess_chat: whether to guess the conversations' tokens from the sizes of their files.
    """
    facts = base_facts(recipe.base)
    facts["cores"] = recipe.machine.threads or os.cpu_count() or 1
    facts["machine"] = recipe.machine
    if "vocab_size" in facts and recipe.vocab is not None:
        facts["vocab_size"] = _grown(facts["vocab_size"], recipe)
        facts |= {"n_params": parameters(facts), "n_active_params": active_parameters(facts)}
    if recipe.tokens is not None:
        facts["tokens"] = recipe.tokens.budget_tokens
        facts["seq_len_tokens"] = recipe.tokens.seq_len_tokens
    if recipe.chatdata is not None and guess_chat:
        facts["chat_tokens"] = sum(map(_chat_tokens, recipe.chatdata.sources))
    for step in steps:
        if step.done:
            facts |= _made(step)
    return facts


def _grown(rows: int, recipe: Recipe) -> int:
    """Rows of the embedding behind the expand stage."""
    assert recipe.vocab is not None
    rows += 0 if recipe.vocab.add == "auto" else recipe.vocab.add
    pad_to = (recipe.expand or ExpandConfig()).pad_to
    return -(-rows // pad_to) * pad_to


def _made(step: Step) -> dict[str, Any]:
    """What an artifact tells better than the recipe."""
    folder = step.path / "model"
    if step.name in ("base", "expand") and (folder / "config.json").is_file():
        return base_facts(BaseConfig(model=str(folder)))
    if step.name == "tokens":
        counts = read_json(step.path / "record.json").get("counts", {})
        return {"tokens": counts["tokens"]} if counts.get("tokens") else {}
    if step.name == "chatdata":  # what was kept, by whole bytes; files hold much that was not
        size = read_json(step.path / "ledger.json").get("totals", {}).get("bytes")
        return {"chat_tokens": int(size / BYTES_PER_TOKEN)} if size else {}
    return {}


def plan_notes(recipe: Recipe, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the figures leave out or take for granted."""
    notes = []
    training = {row["stage"]: row for row in rows if row["stage"] in TRAINING}
    costs = [row["estimate"] for row in training.values() if row["status"] == "run"]
    if any("memory" not in cost for cost in costs):
        notes.append(why_unknown(recipe.base))
    active = next((cost["active_parameters"] for cost in costs if "active_parameters" in cost), 0)
    if active:
        notes.append(
            f"a mixture of experts: memory is of all {costs[0]['parameters']:,} parameters, time "
            f"of the {active:,} that a token meets"
        )
    if any("memory" in cost and "tokens" not in cost for cost in costs):
        notes.append("the tokens of a stage are not known, so neither is its time")
    made = any(row["stage"] == "expand" and row["status"] == "done" for row in rows)
    if recipe.vocab is not None and recipe.vocab.add == "auto" and not made:
        notes.append("vocab.add is auto, so new rows are not counted")
    if any("mfu" in cost for cost in costs):
        whose = "assumed" if recipe.machine.mfu is None else "machine.mfu"
        share = (recipe.machine.mfu or MFU) * 100
        notes.append(
            f"{whose}: devices compute at {share:g} % of their peak, and their rates add up"
        )
    host = max((cost.get("host_memory_bytes", 0) for cost in costs), default=0)
    if host > LARGE_HOST_BYTES:
        notes.append(
            f"saving a model and comparing it takes up to {host / 1e9:,.0f} GB of the first "
            "process's main memory"
        )
    return notes


def _chat_tokens(source: ChatSourceConfig) -> int:
    """A guess from the files' sizes, packed files being three times as large as they look."""
    files = outside_files(source.path, "chatdata.sources")
    packed = (".gz", ".zst", ".xz", ".parquet")
    size = sum(f.stat().st_size * (3 if f.suffix in packed else 1) for f in files)
    return int(size / BYTES_PER_TOKEN)


def _row(step: Step, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "stage": step.name,
        "title": step.node.stage.title,
        "status": "done" if step.done else "run",
        "why": list(step.why),
        "fingerprint": step.fingerprint,
        "path": step.path.name,
        "estimate": {} if step.done else _estimate(step.node, facts),
    }


def _estimate(node: Node, facts: Mapping[str, Any]) -> dict[str, Any]:
    if node.stage.estimate is None:
        return {}
    found = dict(node.stage.estimate(node.config, facts))
    found.setdefault("disk_bytes", found.pop("bytes", 0))
    return found
