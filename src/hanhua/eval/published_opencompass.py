"""Results of OpenCompass: its summary table, the result of one data set, or a model's folder.

A run's folder holds ``summary/summary_TIME.csv`` and ``results/MODEL/SET.json``; the latter say
item by item what was right where the run was told to (``--dump-eval-details``).
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError
from hanhua.eval.published import Measured, Results, Row, read_object

HEAD = ("dataset", "version", "metric", "mode")
METRICS = (
    "score", "auc_score", "accuracy", "humaneval_pass@1", "rouge1", "avg_toxicity_score",
    "bleurt_diff", "matthews_correlation", "truth", "f1", "exact_match",
)  # fmt: skip
"""In the order in which OpenCompass takes one for the main one; else it is the first number."""
AVERAGES = ("naive_average", "weighted_average", "harmonic_mean")
"""Of a group of sets, where its sets share no metric."""
ASIDE = ("bp", "sys_len", "ref_len", "type", "correct_bpb", "incorrect_bpb", "extract_rate")
"""Numbers beside the score."""
RIGHT = ("correct", "is_correct", "cascade_correct")
"""What its evaluators call whether an item was right."""


def read_opencompass(path: Path) -> Results:
    """Read ``summary_*.csv`` (of one model) or ``results/MODEL/DATASET.json``.

    Raises:
        InputError: another form, or a table of several models.
    """
    if path.suffix == ".csv":
        return _table(path)
    one = _result(path, read_object(path))
    return Results(tool="OpenCompass", model=path.parent.name, path=path, measured={one.name: one})


def read_opencompass_folder(folder: Path) -> Results:
    """Read ``results/MODEL``: every data set's result that is there, but those that failed.

    Raises:
        InputError: no file with a result.
    """
    whole = {path: read_object(path) for path in sorted(folder.glob("*.json"))}
    found = [_result(path, one) for path, one in whole.items() if "error" not in one]
    if not found:
        told = "; ".join(f"{path.stem}: {one['error']}" for path, one in whole.items())
        raise InputError("No evaluation here has succeeded.", where=folder, found=told[:300],
                         fix="run OpenCompass again")  # fmt: skip
    return Results(tool="OpenCompass", model=folder.name, path=folder,
                   measured={one.name: one for one in found})  # fmt: skip


def _result(path: Path, found: Mapping[str, Any]) -> Measured:
    numbers = [k for k, v in found.items()
               if isinstance(v, (int, float)) and not isinstance(v, bool) and k not in ASIDE]  # fmt: skip # noqa: E501
    its = "details" in found or path.absolute().parents[1].name == "results"
    if not its:  # any file may hold numbers
        numbers = [name for name in numbers if _rank(name) < len(METRICS)]
    if not numbers:
        raise InputError(
            "This is no result that is known.", where=path, found=", ".join(list(found)[:8]),
            fix="name results of hanhua, lm-evaluation-harness or OpenCompass",
        )  # fmt: skip
    metric = min(numbers, key=_rank)
    value = float(found[metric])
    return _measured(path.stem, value, {"metric": metric}, _details(found.get("details"), value))


def _rank(metric: str) -> int:
    """How soon a metric is taken for the main one; "accuracy (4 runs average)" as "accuracy"."""
    known = (*METRICS, *AVERAGES)
    name = metric.partition(" (")[0]
    if name in known:
        return known.index(name)
    return len(known) + (name in ASIDE)


def _measured(
    name: str, percent: float, facts: dict[str, Any], items: tuple[Row, ...] | None
) -> Measured:
    value, n = percent / 100, len(items) if items else None
    stderr = (value * (1 - value) / (n - 1)) ** 0.5 if n and n > 1 and 0 <= value <= 1 else None
    return Measured(name=name, language="", unit="accuracy", value=value, n=n, stderr=stderr,
                    facts=facts, items=items)  # fmt: skip


def _details(found: Any, percent: float) -> tuple[Row, ...] | None:
    """Rows of what was right, where the result says it of every item and its number is their mean.

    They are a list, or an object with an item for each number and a word on the kind.
    """
    if isinstance(found, Mapping):
        pairs = [(str(k), v) for k, v in found.items() if isinstance(v, Mapping)]
    elif isinstance(found, list):
        pairs = [(_id(i, v), v) for i, v in enumerate(found)]
    else:
        return None
    scores = [_score(value) for _, value in pairs]
    told = [score for score in scores if score is not None]
    if not pairs or len(told) < len(pairs) or abs(100 * sum(told) / len(told) - percent) >= 0.01:
        return None
    return tuple(
        {"id": key, "subject": "", "right": score > 0.5}
        | ({} if score in (0.0, 1.0) else {"score": score}) | _prompt(value)
        for (key, value), score in zip(pairs, told, strict=True)
    )  # fmt: skip


def _id(place: int, item: Any) -> str:
    told = item.get("example_abbr") if isinstance(item, Mapping) else None
    return str(told or place)


def _score(item: Any) -> float | None:
    """Of an item; of one that was tried several times the mean.

    Where it does not say what was right it may tell answer and reference, which are then compared
    as text, as OpenCompass's accuracy does.
    """
    if not isinstance(item, Mapping):
        return None
    told = next((item[key] for key in RIGHT if item.get(key) is not None), None)
    if told is None and isinstance(item.get("predictions"), str):
        told = item["predictions"] == item.get("references")
    tries = told if isinstance(told, list) else [told]
    if not tries or not all(isinstance(one, (bool, int, float)) for one in tries):
        return None
    return sum(map(float, tries)) / len(tries)


def _prompt(item: Mapping[str, Any]) -> dict[str, str]:
    """A digest of what was asked, where it is told."""
    asked = item.get("origin_prompt") or item.get("prompt")
    if asked is None and isinstance(inner := item.get("origin_prediction"), Mapping):
        asked = inner.get("origin_prompt")
    text = json.dumps(asked, ensure_ascii=False, sort_keys=True)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return {"prompt": digest[:16]} if asked else {}


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
    lines: dict[str, list[list[str]]] = {}
    for row in rows[1:]:
        if len(row) == 5 and _is_number(row[4]):
            lines.setdefault(row[0], []).append(row)
    found: dict[str, Measured] = {}
    for name, several in lines.items():  # those of a group are in no order
        _, version, metric, mode, value = min(several, key=lambda row: _rank(row[2]))
        facts = {"version": version, "metric": metric, "mode": mode}
        items = _items(path.parents[1] / "results" / model / f"{name}.json", float(value))
        found[name] = _measured(name, float(value), facts, items)
    return Results(tool="OpenCompass", model=model, path=path, measured=found)


def _items(path: Path, percent: float) -> tuple[Row, ...] | None:
    """Items of a result beside the summary."""
    return _details(read_object(path).get("details"), percent) if path.is_file() else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
