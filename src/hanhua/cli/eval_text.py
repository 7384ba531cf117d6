"""Scores as tables for people: a line for each measure, with n and its 95 % interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def scores_text(scores: Mapping[str, Any]) -> str:
    """The scores of one model."""
    return "\n".join([f"{scores['model']}, with 95 % intervals", *table(list(_rows(scores)))])


def _rows(scores: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    yield "measure", "score", "interval", "n", "remarks"
    for code, part in scores["bits_per_byte"].items():
        yield (f"{code}, bits per byte", f"{part['value']:.4f}", between(part, 1, 4),
               f"{part['n_docs']:,} texts", _failed(part))  # fmt: skip
    for place, part in dict(scores.get("drift") or {}).items():
        yield (f"drift, {place}", f"{part['value']:.4f}", between(part, 1, 4),
               f"{part['n_docs']:,} texts", _failed(part))  # fmt: skip
    for task in scores["tasks"]:
        yield (f"{task['name']}, {task.get('shots', 0)} shots", f"{task['accuracy']:.1%}",
               between(task, 100, 1), f"{task['n']:,}", _remarks(task))  # fmt: skip
        clean = task.get("untouched") or {}
        if clean.get("touched") and clean["n"]:
            yield ("  untouched questions", f"{clean['accuracy']:.1%}", between(clean, 100, 1),
                   f"{clean['n']:,}", standing(clean))  # fmt: skip

    for score in dict(scores.get("answers") or {}).get("metrics", ()):
        what = f"{score['set']}: {score['says']}, {score['language']}"
        yield (what, f"{score['value']:.1%}", between(score, 100, 1), f"{score['n']:,}",
               f"{score['better']} is better")  # fmt: skip


def _remarks(task: Mapping[str, Any]) -> str:
    told = [f"chance {task['chance']:.1%}"] if task.get("chance") is not None else []
    if task.get("with_fewer_shots"):
        told.append(f"{task['with_fewer_shots']:,} with fewer shots")
    if task.get("cut"):
        told.append(f"{task['cut']:,} cut to fit")
    return ", ".join([*told, *filter(None, [_failed(task)])])


def _failed(part: Mapping[str, Any]) -> str:
    return f"{part['failed']:,} FAILED, see items/" if part.get("failed") else ""


def standing(clean: Mapping[str, Any]) -> str:
    """How many questions stand in training texts, and in which."""
    told = ", ".join(f"{name} {n:,}" for name, n in clean.get("touched_by", {}).items())
    return f"{clean['touched']:,} stand in training texts" + (f" ({told})" if told else "")


def between(part: Mapping[str, Any], scale: float, digits: int, sign: str = "") -> str:
    """An interval in brackets; of one text or question there is none."""
    if (part.get("n_docs") or part.get("n")) == 1 and part["low"] == part["high"]:
        return "not known"
    low, high = (float(part[key]) * scale for key in ("low", "high"))
    return f"[{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as they need be; the first row is the head."""
    from unicodedata import east_asian_width

    def width(text: str) -> int:
        return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)

    wide = [max(width(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(c + " " * (w - width(c)) for c, w in zip(row, wide, strict=True)).rstrip()
        for row in rows
    ]
    return [lines[0], "  ".join("-" * w for w in wide), *lines[1:]]
