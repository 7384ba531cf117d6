"""What `hanhua plan` prints for people."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hanhua.cli.plan import plan_notes
from hanhua.core.progress import duration, human
from hanhua.recipe import Recipe

GB = 10**9
PARTS = ("weights", "gradients", "optimizer", "activations", "loss", "other", "total")


def plan_text(recipe: Recipe, rows: Sequence[Mapping[str, Any]]) -> str:
    """The plan: a paragraph a stage, a table of memory, what would fit, and the sum."""
    lines = [f"{recipe.name}: {recipe.source} → {recipe.target}, seed {recipe.seed}"]
    for row in rows:
        mark = "done" if row["status"] == "done" else "run "
        lines.append(f"  {mark}  {row['stage']:<14} {row['title']}")
        for reason in row["why"][:4]:
            lines.append(f"          because {reason}")
        if len(row["why"]) > 4:
            lines.append(f"          and {len(row['why']) - 4} more reasons")
        shown = _shown(row["estimate"])
        if shown:
            lines.append("          about " + ", ".join(shown))
    trained = [row for row in rows if "memory" in row["estimate"]]
    if trained:
        lines += ["", *_memory_table(trained), ""]
        for row in trained:
            lines += _fit(row)
    lines += [f"note: {note}" for note in plan_notes(recipe, rows)]
    lines.append(_total(rows))
    return "\n".join(lines)


def _shown(cost: Mapping[str, Any]) -> list[str]:
    show = {
        "tokens": lambda v: f"{human(v)} tokens",
        "steps": lambda v: f"{v:,.0f} steps",
        "flops": lambda v: f"{v:.2g} FLOPs",
        "seconds": lambda v: duration(v) + _on(cost),
        "money": lambda v: f"{v['currency']} {_money(v['amount'])}",
        "disk_bytes": lambda v: f"{_size(v)} disk",
    }
    return [show[key](cost[key]) for key in show if cost.get(key)]


def _on(cost: Mapping[str, Any]) -> str:
    return f" on {cost['devices']} x {cost['accelerator']}" if "mfu" in cost else ""


def _money(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:,.2f}"


def _size(n_bytes: float) -> str:
    return f"{n_bytes / GB:,.3g} GB" if n_bytes >= GB else f"{n_bytes / 1e6:,.0f} MB"


def _memory_table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Parts of a device's memory at its fullest moment."""
    yield "  GB of a device   " + "".join(f"{name:>12}" for name in PARTS) + "         has"
    for row in rows:
        memory = row["estimate"]["memory"]
        parts = "".join(f"{memory[name + '_bytes'] / GB:>12.2f}" for name in PARTS)
        yield f"  {row['stage']:<17}{parts}{memory['device_bytes'] / GB:>12.1f}"


def _fit(row: Mapping[str, Any]) -> Iterator[str]:
    """Whether a stage fits, and what else would."""
    cost = row["estimate"]
    memory = cost["memory"]
    if cost["fits"]:
        yield f"  {row['stage']} fits"
    else:
        needs = memory["total_bytes"] + memory["reserve_bytes"]
        yield (
            f"  {row['stage']} does not fit: {_size(needs)} with what must stay free, of "
            f"{_size(memory['device_bytes'])}"
        )
        if not cost["proposals"]:
            yield "    no settings that would are known: take a larger device or a smaller model"
    for found in cost["proposals"]:
        settings = " ".join(f"--set {key}={_value(value)}" for key, value in found["set"].items())
        price = found.get("money")
        money = f", {price['currency']} {_money(price['amount'])}" if price else ""
        yield f"    {found['what']}: {settings}"
        seconds = f", {duration(found['seconds'])}" if "seconds" in found else ""
        yield f"      {_size(found['memory_bytes'])} of each of {found['devices']}{seconds}{money}"


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _total(rows: Sequence[Mapping[str, Any]]) -> str:
    to_run = [row for row in rows if row["status"] == "run"]
    if not to_run:
        return "nothing to run: every artifact is there"
    seconds = sum(row["estimate"].get("seconds", 0) for row in to_run)
    disk = sum(row["estimate"].get("disk_bytes", 0) for row in to_run)
    free = shutil.disk_usage(Path.cwd()).free
    text = f"{len(to_run)} of {len(rows)} stages to run"
    if seconds:
        counted = ", ".join(row["stage"] for row in to_run if row["estimate"].get("seconds"))
        text += f", about {duration(seconds)} for {counted} (a first estimate)"
    prices = [row["estimate"]["money"] for row in to_run if "money" in row["estimate"]]
    if prices:
        text += f", {prices[0]['currency']} {_money(sum(price['amount'] for price in prices))}"
    if disk:
        text += f", {_size(disk)} of disk ({_size(free)} free)"
    return text
