"""The page of benchmarks/gpu.py: what was measured on a GPU, in Markdown."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Line = dict[str, Any]


def page(lines: Sequence[Line], left_out: Mapping[str, str], machine: Line, rehearsal: bool) -> str:
    """All of it.

    Args:
        lines: of the results, oldest first; of a piece the last that found something counts.
        left_out: piece -> why it was not begun.
        machine: this one, where there are no lines.
        rehearsal: whether it ran on a CPU at toy sizes, so that its figures say nothing.
    """
    best: dict[str, Line] = {}
    for line in lines:
        before = best.get(line["piece"])
        if before is None or line["found"] or not before["found"]:
            best[line["piece"]] = line
    on = [_machine(line) for line in lines] or [_machine(machine)]
    found = [f"# On a GPU, {datetime.date.today()}", ""]
    if rehearsal:
        found += ["A rehearsal on a CPU at toy sizes: its figures say nothing.", ""]
    found += [f"Machine: {text}" for text in dict.fromkeys(on)]
    for kind, (title, make) in SECTIONS.items():
        mine = [line for line in best.values() if line["kind"] == kind]
        if mine:
            found += ["", f"## {title}", "", *make(mine), "", *_commands(mine)]
    found += _missing(best, left_out)
    return "\n".join(found) + "\n"


def _machine(line: Line) -> str:
    size = f" ({line['gpu_bytes'] / 1e9:.0f} GB)" if line["gpu_bytes"] else ""
    versions = [f"{name} {version}" for name, version in line["versions"].items() if version]
    return (
        f"{line['gpu']}{size}, {line['cores']} virtual cores, Python {line['python']}, torch "
        f"{line['torch']} (CUDA {line['cuda']}), {', '.join(versions)}."
    )


def _commands(lines: Sequence[Line]) -> list[str]:
    return [f"    {line['command']}" for line in lines]


def _missing(best: Mapping[str, Line], left_out: Mapping[str, str]) -> list[str]:
    """What failed, ran out of time or was not begun, and why."""
    bad = [line for line in best.values() if line["state"] != "done"]
    if not bad and not left_out:
        return []
    found = ["", "## Not measured, or in part", ""]
    for line in bad:
        last = next((text for text in reversed(line["tail"]) if text.strip()), "")
        found.append(f"- {line['piece']}: {line['state']} after {line['seconds']:g} s. {last}")
    return found + [f"- {name}: {why}" for name, why in left_out.items()]


def _tests(lines: Sequence[Line]) -> list[str]:
    rows = ["| tests | passed | failed | skipped | ended |", "|---|---|---|---|---|"]
    for line in lines:
        n = line["found"]["counts"]
        bad = n.get("failed", 0) + n.get("error", 0)
        rows.append(f"| {line['piece']} | {n.get('passed', 0)} | {bad} | {n.get('skipped', 0)} | "
                    f"{line['state']} |")  # fmt: skip
    return rows + [f"\n`{name}` did not pass." for line in lines for name in line["found"]["bad"]]


def _training(lines: Sequence[Line]) -> list[str]:
    titles = ("model, what learns", "tokens a step", "engine", "tok/s (range, n)",
              "share of the limit", "MFU", "peak memory", "hanhua is")  # fmt: skip
    rows = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    cases = [case for line in lines for case in (line["found"] or {}).get("cases", [])]
    for case in cases:
        rows += [_engine(case, name, each) for name, each in case["engines"].items()]
    return [*rows, "", "The limit is the best product of matrices of the model's shapes in the "
            "same minutes; MFU counts FLOPs without recomputation over the data sheet's peak; "
            "ratios are turn by turn."]  # fmt: skip


def _engine(case: Line, name: str, each: Line) -> str:
    start = f"| {case['case']} | {case['batch_tokens']:,} | {name} |"
    if not each:
        why = (case["failed"].get(name, "").splitlines() or [""])[-1]
        return f"{start} failed: {why} | | | | |"
    speed, ratio = each[case["unit"]], case["ratios"].get(name)
    mfu = f"{each['mfu']:.1%}" if each.get("mfu") else ""
    times = (
        f"{ratio['speed']:.2f} ({ratio['min']:.2f}–{ratio['max']:.2f}) times as fast"
        if ratio
        else ""
    )
    return (
        f"{start} {speed:,.0f} ({each['min']:,.0f}–{each['max']:,.0f}, {each['n']}) | "
        f"{each['share_of_matmul_limit']:.0%} | {mfu} | {each['peak_memory_bytes'] / 1e9:.1f} GB | "
        f"{times} |"
    )


def _plan(lines: Sequence[Line]) -> list[str]:
    rows = ["| case | predicted GB | measured GB | error |", "|---|---|---|---|"]
    cases = {c["case"]: c for line in lines for c in (line["found"] or {}).get("cases", [])}
    for case in cases.values():
        rows.append(f"| {case['case']} | {case['predicted'] / 1e9:.2f} | "
                    f"{case['measured'] / 1e9:.2f} | {case['error']:+.1%} |")  # fmt: skip
    failed = {name: why for line in lines
              for name, why in (line["found"] or {}).get("failed", {}).items()}  # fmt: skip
    return rows + [f"\n{name} failed: {why}" for name, why in failed.items()]


def _attention(lines: Sequence[Line]) -> list[str]:
    cases = [row for line in lines for row in (line["found"] or {}).get("rows", [])]
    if not cases:
        return ["Nothing was measured."]
    ways = [key for key, value in cases[0].items() if isinstance(value, dict)]
    rows = [f"| heads × width | documents | {' | '.join(ways)} |", "|---" * (2 + len(ways)) + "|"]
    for row in cases:
        cells = [_way(row[way]) for way in ways]
        rows.append(f"| {row['heads']} | {row['documents']} | {' | '.join(cells)} |")
    return rows


def _way(found: Line) -> str:
    ms, flops = found["ms"], found["tflops"]
    return "–" if ms is None or ms != ms else f"{ms:.2f} ms, {flops:.0f} TFLOP/s"


def _head(lines: Sequence[Line]) -> list[str]:
    rows = ["| | ms (range) | TFLOP/s | memory beside the inputs | off from fp32 |",
            "|---|---|---|---|---|"]  # fmt: skip
    for line in lines:
        for name, each in ((line["found"] or {}).get("heads") or {}).items():
            off = ", ".join(f"{key} {value:.1e}" for key, value in each["off"].items())
            rows.append(f"| {name} | {each['ms']} ({each['min']}–{each['max']}) | "
                        f"{each['tflops']} | {each['peak_mb'] / 1e3:.2f} GB | {off} |")  # fmt: skip
    return rows


def _serving(lines: Sequence[Line]) -> list[str]:
    rows = ["| server | users | requests/s | tokens/s | first token ms p50 / p95 | errors |",
            "|---|---|---|---|---|---|"]  # fmt: skip
    for line in lines:
        for row in (line["found"] or {}).get("rows", []):
            first = row["first_token_ms"]
            rows.append(
                f"| {row['server']} | {row['users']} | {_spread(row['requests_per_second'])} | "
                f"{_spread(row['tokens_per_second'])} | {first['p50']:g} / {first['p95']:g} | "
                f"{'; '.join(row['errors']) or 0} |"
            )
    return rows


def _spread(found: Line) -> str:
    return f"{found['median']:g} ({found['min']:g}–{found['max']:g})"


SECTIONS: dict[str, tuple[str, Callable[[Sequence[Line]], list[str]]]] = {
    "training": ("Training", _training),
    "plan": ("Memory that the plan predicts", _plan),
    "attention": ("Attention of one layer, forward and backward, bf16", _attention),
    "head": ("The loss with its last layer", _head),
    "serving": ("Serving", _serving),
    "tests": ("Tests", _tests),
}
