"""Results of OpenCompass: its summary table, the result of one data set, or a model's folder.

A run's folder holds ``summary/summary_TIME.csv`` and ``results/MODEL/SET.json``; the latter say
item by item what was right where the run was told to (``--dump-eval-details``).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError
from hanhua.eval.published import Measured, Results, Row, read_object

HEAD = ("dataset", "version", "metric", "mode")
METRICS = ("score", "accuracy", "humaneval_pass@1", "rouge1", "f1", "exact_match")
"""Those from 0 to 100, in the order in which OpenCompass takes one for the main one."""


def read_opencompass(path: Path) -> Results:
    """Read ``summary_*.csv`` (of one model) or ``results/MODEL/DATASET.json``.

    Raises:
        InputError: another form, or a table of several models.
    """
    if path.suffix == ".csv":
        return _table(path)
    one = _result(path)
    return Results(tool="OpenCompass", model=path.parent.name, path=path, measured={one.name: one})


def read_opencompass_folder(folder: Path) -> Results:
    """Read ``results/MODEL``: every data set's result that is there.

    Raises:
        InputError: a file of another form.
    """
    found = [_result(path) for path in sorted(folder.glob("*.json"))]
    return Results(tool="OpenCompass", model=folder.name, path=folder,
                   measured={one.name: one for one in found})  # fmt: skip


def _result(path: Path) -> Measured:
    found = read_object(path)
    metric = next((m for m in METRICS if isinstance(found.get(m), (int, float))), None)
    if metric is None:
        raise InputError(
            "This is no result that is known.", where=path, found=", ".join(list(found)[:8]),
            fix="name results of hanhua, lm-evaluation-harness or OpenCompass",
        )  # fmt: skip
    return _measured(path.stem, found[metric], {"metric": metric}, _details(found.get("details")))


def _measured(
    name: str, percent: float, facts: dict[str, Any], items: tuple[Row, ...] | None
) -> Measured:
    value, n = percent / 100, len(items) if items else None
    stderr = (value * (1 - value) / (n - 1)) ** 0.5 if n and n > 1 else None
    return Measured(name=name, language="", unit="accuracy", value=value, n=n, stderr=stderr,
                    facts=facts, items=items)  # fmt: skip


def _details(found: Any) -> tuple[Row, ...] | None:
    """Rows of what was right, where the result says it of every item."""
    if isinstance(found, Mapping):
        pairs = [(str(k), v) for k, v in found.items() if isinstance(v, Mapping)]
    elif isinstance(found, list):
        pairs = [(str(i), v) for i, v in enumerate(found)]
    else:
        return None
    scores = [_score(value) for _, value in pairs]
    if not pairs or None in scores:
        return None
    return tuple(
        {"id": key, "subject": "", "right": score > 0.5}
        | ({} if score in (0.0, 1.0) else {"score": score})
        for (key, _), score in zip(pairs, scores, strict=True) if score is not None
    )  # fmt: skip


def _score(value: Any) -> float | None:
    """Of an item; of one that was tried several times the mean."""
    told = value.get("correct") if isinstance(value, Mapping) else None
    tries = told if isinstance(told, list) else [told]
    if not tries or not all(isinstance(one, (bool, int, float)) for one in tries):
        return None
    return sum(map(float, tries)) / len(tries)


def _table(path: Path) -> Results:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError("This table does not read.", where=path, found=error) from error
    if not rows or tuple(rows[0][:4]) != HEAD or len(rows[0]) != 5:
        raise InputError(
            "This is no summary of one model.", where=path, found=",".join(rows[0] if rows else []),
            fix="give a csv with the columns dataset, version, metric, mode and one model, or the "
            "folder of one model: results/MODEL",
        )  # fmt: skip
    model = rows[0][4]
    found: dict[str, Measured] = {}
    for name, version, metric, mode, value in (row for row in rows[1:] if len(row) == 5):
        if _is_number(value) and name not in found:  # the first metric of a set is the main one
            facts = {"version": version, "metric": metric, "mode": mode}
            items = _items(path.parents[1] / "results" / model / f"{name}.json", float(value))
            found[name] = _measured(name, float(value), facts, items)
    return Results(tool="OpenCompass", model=model, path=path, measured=found)


def _items(path: Path, percent: float) -> tuple[Row, ...] | None:
    """Items of a result beside the summary, if they are what its number was made from."""
    if not path.is_file():
        return None
    items = _details(read_object(path).get("details"))
    if items is None:
        return None
    mean = sum(row.get("score", row["right"]) for row in items) / len(items)
    return items if abs(100 * mean - percent) < 0.01 else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
