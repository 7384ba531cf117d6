"""Tables of benchmarks/chatdata.py."""

from __future__ import annotations

import statistics
from typing import Any

Lines = list[dict[str, Any]]


def seconds(line: dict[str, Any], clock: str) -> float:
    """Of all parts."""
    return sum(part[clock] for part in line["parts"].values())


def summary(speeds: dict[str, Lines]) -> dict[str, Any]:
    """Medians and ranges of records a second, and how much faster hanhua is, round by round."""
    found: dict[str, Any] = {}
    for engine, lines in speeds.items():
        mine: dict[str, Any] = {"padding": lines[-1]["padding"], "used": lines[-1]["used"]}
        for clock in ("cpu", "wall"):
            rates = [line["records"] / seconds(line, clock) for line in lines]
            mine[f"records_per_{clock}_second"] = round(statistics.median(rates), 1)
            mine[f"{clock}_range"] = [round(min(rates), 1), round(max(rates), 1)]
        if engine in ("trl", "llamafactory"):
            ratios = [seconds(theirs, "cpu") / seconds(ours, "cpu")
                      for ours, theirs in zip(speeds["hanhua"], lines, strict=True)]  # fmt: skip
            mine["hanhua_faster"] = round(statistics.median(ratios), 2)
            mine["hanhua_faster_range"] = [round(min(ratios), 2), round(max(ratios), 2)]
        found[engine] = mine
    return found


def speed_table(speeds: dict[str, Lines]) -> str:
    """Records a second, parts, padding."""
    found = summary(speeds)
    rows = ["| engine | records | a CPU-second (range) | a wall second | CPU-s of the parts | "
            "used | rows | padding |", "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for engine, lines in speeds.items():
        mine, last = found[engine], lines[-1]
        parts = "; ".join(
            f"{name} {statistics.median(line['parts'][name]['cpu'] for line in lines):.2f}"
            for name in last["parts"]
        )
        low, high = mine["cpu_range"]
        rows.append(
            f"| {engine} | {last['records']:,} | {mine['records_per_cpu_second']:,.0f} "
            f"({low:,.0f} to {high:,.0f}) | {mine['records_per_wall_second']:,.0f} | {parts} | "
            f"{last['used']:,} | {last['rows']:,} | {100 * last['padding']:.3f} % |"
        )
    return "\n".join(rows) + "\n"


def mask_table(masks: dict[str, Any]) -> str:
    """Conversations by what a peer learns from them."""
    if not masks:
        return ""
    rows = ["| engine | conversations | same tokens learnt | others |", "|---|---|---|---|"]
    for engine, found in masks.items():
        others = {k: n for k, n in found.items() if k not in ("conversations", "same")}
        listed = ", ".join(f"{name}: {n:,}" for name, n in sorted(others.items())) or "none"
        rows.append(
            f"| {engine} | {found['conversations']:,} | {found.get('same', 0):,} | {listed} |"
        )
    return "\n".join(rows) + "\n"


def loss_table(losses: dict[str, Lines]) -> str:
    """Nats a token and a byte, by language."""
    if not losses:
        return ""
    rows = ["| model | seed | tokens | learnt | zh nats a token | zh a byte | en nats a token | "
            "en a byte |", "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for engine, lines in losses.items():
        for line in lines:
            units = ("nats_per_token", "nats_per_byte")
            nothing = dict.fromkeys(units, float("nan"))
            cells = [f"{line['answers'].get(language, nothing)[unit]:.4f}"
                     for language in ("zh", "en") for unit in units]  # fmt: skip
            rows.append(
                f"| {engine} | {line.get('seed', '')} | {line.get('tokens', 0):,} | "
                f"{line.get('targets', 0):,} | {' | '.join(cells)} |"
            )
    return "\n".join(rows) + "\n"
