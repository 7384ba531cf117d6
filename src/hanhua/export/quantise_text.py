"""What quantising cost and saved, as a table for people: a row for each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MIB = 2**20


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Method, size on disk, memory of the weights, tokens/s, and each language's bits per byte.

    Args:
        rows: of ``quantise.json``; the first is the model as it came.
    """
    languages = sorted({code for row in rows for code in row.get("bits_per_byte", {})})
    tasks = list(dict.fromkeys(name for row in rows for name in row.get("tasks", {})))
    head = ["method", "disk MiB", "memory MiB", "tokens/s",
            *(f"bits/byte {code}" for code in languages),
            *(f"change {code}" for code in languages), *tasks]  # fmt: skip
    body = [_cells(row, languages, tasks) for row in rows]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                  for i, (cell, w) in enumerate(zip(line, widths, strict=True)))
        for line in [head, *body]
    ]  # fmt: skip
    notes = [f"{row['method']}: refused: {line}" for row in rows for line in row.get("broken", ())]
    engines = sorted({row["speed"]["engine"] for row in rows if row.get("speed")})
    if engines:
        notes.append("tokens/s: one user, greedy, median; in " + " and ".join(engines))
    if len(engines) > 1:
        notes.append("speeds of different engines say nothing of the methods")
    return "\n".join([*lines, *notes])


def _cells(row: Mapping[str, Any], languages: Sequence[str], tasks: Sequence[str]) -> list[str]:
    speed = row.get("speed") or {}
    bits, changes = row.get("bits_per_byte", {}), row.get("change", {})
    return [
        row["method"], f"{row['bytes'] / MIB:.1f}", f"{row['memory_bytes'] / MIB:.1f}",
        f"{speed['median']:.1f}" if speed else "–",
        *(f"{bits[code]:.4f}" if code in bits else "–" for code in languages),
        *(_change(changes.get(code)) for code in languages),
        *(f"{100 * row['tasks'][name]:.1f} %" if name in row.get("tasks", {}) else "–"
          for name in tasks),
    ]  # fmt: skip


def _change(found: Mapping[str, float] | None) -> str:
    if not found:
        return "–"
    value, low, high = (100 * found[key] for key in ("value", "low", "high"))
    return f"{value:+.2f} % [{low:+.2f}, {high:+.2f}]"
