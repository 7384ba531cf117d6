"""Results of OpenCompass: its summary table, or the result file of one data set."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError
from hanhua.eval.published import Measured, Results, read_object

HEAD = ("dataset", "version", "metric", "mode")


def read_opencompass(path: Path) -> Results:
    """Read ``summary_*.csv`` (of one model) or ``results/MODEL/DATASET.json``.

    Raises:
        InputError: another form, or a table of several models.
    """
    if path.suffix == ".csv":
        return _table(path)
    found = read_object(path)
    value = found.get("accuracy", found.get("score"))
    if not isinstance(value, (int, float)):
        raise InputError(
            "This is no result that is known.", where=path, found=", ".join(list(found)[:8]),
            fix="name results of hanhua, lm-evaluation-harness or OpenCompass",
        )  # fmt: skip
    items = _details(found.get("details"))
    one = _measured(path.stem, value, {"metric": "accuracy"}, items)
    return Results(tool="OpenCompass", model=path.parent.name, path=path, measured={one.name: one})


def _measured(
    name: str, percent: float, facts: dict[str, Any], items: tuple[dict[str, Any], ...] | None
) -> Measured:
    value, n = percent / 100, len(items) if items else None
    stderr = (value * (1 - value) / (n - 1)) ** 0.5 if n and n > 1 else None
    return Measured(name=name, language="", unit="accuracy", value=value, n=n, stderr=stderr,
                    facts=facts, items=items)  # fmt: skip


def _details(found: Any) -> tuple[dict[str, Any], ...] | None:
    """Rows of what was right, where the result says it item by item."""
    if isinstance(found, dict):
        pairs = [(str(k), v) for k, v in found.items()]
    elif isinstance(found, list):
        pairs = [(str(i), v) for i, v in enumerate(found)]
    else:
        return None
    rows = [
        {"id": key, "subject": "", "right": bool(value["correct"])}
        for key, value in pairs if isinstance(value, dict) and "correct" in value
    ]  # fmt: skip
    return tuple(rows) or None


def _table(path: Path) -> Results:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError("This table does not read.", where=path, found=error) from error
    if not rows or tuple(rows[0][:4]) != HEAD or len(rows[0]) != 5:
        raise InputError(
            "This is no summary of one model.", where=path, found=",".join(rows[0] if rows else []),
            fix="give a csv with the columns dataset, version, metric, mode and one model",
        )  # fmt: skip
    found = {}
    for name, version, metric, mode, value in (row for row in rows[1:] if len(row) == 5):
        if _is_number(value):
            facts = {"version": version, "metric": metric, "mode": mode}
            found[name] = _measured(name, float(value), facts, None)
    return Results(tool="OpenCompass", model=rows[0][4], path=path, measured=found)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
