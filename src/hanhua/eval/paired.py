"""Two models on the same items: rows of items files to differences, whole, by subject, untouched.

Rows are those that evaluation writes: ``id``, ``subject`` and ``right`` of a question (and
``score`` where it is between right and wrong), ``id``, ``nats`` and ``n_bytes`` of a text. A row
with ``error`` was not measured and is in no pair.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hanhua.eval.compare import (
    mcnemar,
    paired_accuracy,
    paired_ratios,
    proportion,
    ratio,
    standard_error,
    tidy,
)
from hanhua.eval.many import holm
from hanhua.eval.verdict import judge

Row = Mapping[str, Any]


def whole(rows: Iterable[Row]) -> dict[str, Row]:
    """Rows that were measured, by id."""
    return {str(row["id"]): row for row in rows if "error" not in row}


def accuracy_change(
    new: Iterable[Row], old: Iterable[Row], seed: int, draws: int
) -> dict[str, Any] | None:
    """Difference of two accuracies (or mean scores) on the questions that both answered.

    Returns:
        as JSON, where each is right or wrong with items ``gained`` and ``lost``; None where they
        share no question.
    """
    pairs = _pairs(new, old)
    if not pairs:
        return None
    if not is_binary(row for pair in pairs for row in pair):
        a, b = ([score(row) for row in side] for side in zip(*pairs, strict=True))
        return paired_ratios(a, b, [1.0] * len(a), seed, draws).as_dict()
    found, gained, lost = paired_accuracy(
        [bool(a["right"]) for a, _ in pairs], [bool(b["right"]) for _, b in pairs], seed, draws,
        [str(a.get("subject", "")) for a, _ in pairs],
    )  # fmt: skip
    return found.as_dict() | {"gained": gained, "lost": lost}


def score(row: Row) -> float:
    """Of a question, from 0 to 1."""
    return float(row.get("score", row["right"]))


def is_binary(rows: Iterable[Row]) -> bool:
    """Whether each question is right or wrong, none between."""
    return all(score(row) in (0.0, 1.0) for row in rows)


def bits_change(
    new: Iterable[Row], old: Iterable[Row], seed: int, draws: int
) -> dict[str, Any] | None:
    """Difference in bits per byte on the texts that both measured, byte for byte the same."""
    pairs = [(a, b) for a, b in _pairs(new, old) if a["n_bytes"] == b["n_bytes"]]
    if not pairs:
        return None
    bits = [[float(row["nats"]) / math.log(2) for row in side] for side in zip(*pairs, strict=True)]
    sizes = [float(a["n_bytes"]) for a, _ in pairs]
    return paired_ratios(bits[0], bits[1], sizes, seed, draws).as_dict()


def _pairs(new: Iterable[Row], old: Iterable[Row]) -> list[tuple[Row, Row]]:
    before = whole(old)
    return [(row, before[key]) for key, row in whole(new).items() if key in before]


def by_group(new: Iterable[Row], old: Iterable[Row], key: str = "subject") -> list[dict[str, Any]]:
    """The change within each subject (or category), corrected for how many there are.

    McNemar's exact test for each, its p Holm-corrected over all; the direction counts where the
    corrected p is at most 5 %.

    Args:
        new: rows of questions.
        old: the same questions, asked of the other model.
        key: of the row that groups are named by, one or a list; rows without it are left out.

    Returns:
        a row for each group; none where questions are not just right or wrong.
    """
    groups: dict[str, list[tuple[Row, Row]]] = {}
    both = _pairs(new, old)
    binary = is_binary(row for rows in both for row in rows)
    for pair in both if binary else ():
        names = pair[0].get(key) or ()
        for name in [names] if isinstance(names, str) else names:
            groups.setdefault(str(name), []).append(pair)
    rows: list[dict[str, Any]] = []
    for name, pairs in sorted(groups.items()):
        gained = sum(bool(a["right"]) and not b["right"] for a, b in pairs)
        lost = sum(bool(b["right"]) and not a["right"] for a, b in pairs)
        rows.append({
            key: name, "n": len(pairs), "value": tidy((gained - lost) / len(pairs)),
            "gained": gained, "lost": lost, "p": tidy(mcnemar(gained, lost)),
        })  # fmt: skip
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = tidy(p)
        row["verdict"] = judge({"low": row["value"], "high": row["value"], "p_holm": p}, True)
    return rows


def untouched(
    rows: Sequence[Row], old: Sequence[Row] | None, seed: int, draws: int
) -> dict[str, Any]:
    """The score on the questions that no training text held.

    Args:
        rows: of questions, those that a text held with ``contaminated`` true, those that were
            looked for and not found with false; the others are left out.
        old: the other model's, for the paired difference on the same questions.
        seed: of the bootstrap.
        draws: of the bootstrap.

    Returns:
        touched, touched_by (texts that held them -> how many), n, unknown where some were never
        looked for, and where n is above 0 accuracy with interval, error and difference.
    """
    measured = [row for row in rows if "error" not in row]
    clean = [row for row in measured if row.get("contaminated") is False]
    n, scores = len(clean), [score(row) for row in clean]
    touched = sum(row.get("contaminated") is True for row in measured)
    found: dict[str, Any] = {"touched": touched, "n": n}
    if by := Counter(name for row in measured for name in row.get("contaminated_by", ())):
        found["touched_by"] = dict(sorted(by.items()))
    if unknown := len(measured) - n - touched:
        found["unknown"] = unknown
    if not n:
        return found
    binary = is_binary(clean)
    share = proportion(int(sum(scores)), n) if binary else ratio(scores, [1.0] * n, seed, draws)
    return found | {
        "accuracy": tidy(share.value), "low": tidy(share.low), "high": tidy(share.high),
        "stderr": tidy(standard_error(int(sum(scores)), n)) if binary else None,
        "difference": accuracy_change(clean, old, seed, draws) if old else None,
    }  # fmt: skip
