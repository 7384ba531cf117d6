"""The page that benchmarks/language.py writes."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from language_data import LENGTHS, Items


def wilson(right: int, n: int) -> str:
    """A share in percent with its 95 % interval; Wilson (1927), https://doi.org/10.2307/2276774."""
    z, p = 1.96, right / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return f"{100 * p:.1f} ({100 * (middle - half):.1f}–{100 * (middle + half):.1f}; {n})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return [lines[0], "|-" * len(head) + "|", *lines[1:], ""]


def report(found: dict[str, Any], items: Items, options: argparse.Namespace) -> str:
    lines = [f"# Languages, {date.today().isoformat()}", "", _head(options), ""]
    lines += ["Percent right, mean over languages (code apart), and texts named a CPU-second:", ""]
    lines += _table(
        ["", *LENGTHS, "texts/CPU-s"], [_means(n, s) for n, s in found["systems"].items()]
    )
    lines += ["Ours, percent right (95 % interval; n):", ""]
    labels = list(dict.fromkeys(label for length in LENGTHS for label in items[length]))
    right = {length: found["systems"]["hanhua"][length]["right"] for length in LENGTHS}
    lines += _table(["", *LENGTHS], [[label] + [
        wilson(*right[x][label]) if label in right[x] else "–" for x in LENGTHS] for label in labels
    ])  # fmt: skip
    lines += ["Commonest errors (is → named, times):", ""]
    for length in LENGTHS:
        errors = found["systems"]["hanhua"][length]["errors"]
        lines.append(
            f"- {length}: " + (", ".join(f"{a} → {b} {n}" for a, b, n in errors) or "none")
        )
    lines += ["", "Chinese texts: right, untold and wrong variants:", ""]
    lines += [f"- {length}: " + "; ".join(f"{label} {v[0]}, {v[1]}, {v[2]}" for label, v in found[
        "variants"][length].items()) for length in found["variants"]]  # fmt: skip
    lines += ["", "Four to ten Han characters alone, percent right (95 % interval; n):", ""]
    names = list(found["han"]["hanhua"])
    lines += _table(["", *names], [[n] + [wilson(*row[x]) for x in names]
                                   for n, row in found["han"].items()])  # fmt: skip
    lines += ["Pages of eight paragraphs, half in each language:", ""]
    head = ["", "named right", "characters in the right piece", "nothing lost"]
    lines += _table(head, [
        [pair, f"{p['named']} of {p['pages']}", f"{100 * p['right_chars'] / p['chars']:.1f} %",
         f"{p['joined']} of {p['pages']}"] for pair, p in found["pages"].items()
    ])  # fmt: skip
    lines += ["Documents, beyond their profile, the best of nine rounds each:", ""]
    lines += _table(["", "documents", "mean bytes", "µs each", "MB/s"], [
        [label, f"{s['documents']}", f"{s['mean_bytes']:.0f}", f"{s['us_per_document']:.0f}",
         f"{s['mb_per_second']:.0f}"] for label, s in found["speed"].items()
    ])  # fmt: skip
    return "\n".join(lines)


def _head(options: argparse.Namespace) -> str:
    asked = f" --part {options.part} --limit {options.limit}" + " --peers" * options.peers
    asked = f" --part {options.part} --limit {options.limit}" + " --peers" * options.peers
    command = "python benchmarks/language.py" + (" --quick" if options.quick else asked)
    versions = []
    for name in ("numpy", "opencc", "py3langid", "fasttext-predict", "lingua-language-detector"):
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {', '.join(versions)}"
    return f"Command: `{command}`. Machine: {machine}."


def _means(name: str, found: dict[str, Any]) -> list[str]:
    cells, texts, seconds = [name], 0, 0.0
    for length in LENGTHS:
        right = {k: v for k, v in found[length]["right"].items() if k != "code"}
        mean = sum(r / n for r, n in right.values()) / max(len(right), 1)
        cells.append(f"{100 * mean:.1f}" if right else "–")
        texts += sum(n for _, n in found[length]["right"].values())
        seconds += found[length]["seconds"]
    return [*cells, f"{texts / max(seconds, 1e-9):,.0f}"]
