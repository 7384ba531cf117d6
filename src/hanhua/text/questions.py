"""Evaluation questions from their published files, for the contamination rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError
from hanhua.text.contamination import gram_length
from hanhua.text.formats import Broken, file_format, read_values
from hanhua.text.minhash import canonical_points

QUESTION_FIELDS = ("question", "query", "problem", "premise", "prompt", "input", "text")
"""Names of the field that holds the question, in any case; the first one that occurs counts."""
MIN_GRAMS = 5
"""A question with fewer n-grams is taken together with its options."""


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of all benchmark files, in order.

    Args:
        texts: one for each item.
        files: (name, items) of each file; its items follow on those of the file before.
        too_short: items that cannot be told from common phrases.
    """

    texts: Sequence[str]
    files: Sequence[tuple[str, int]]
    too_short: int

    def account(self, touched: Iterable[int]) -> dict[str, Any]:
        """What was looked for, and by file the items (from 0) that some document held.

        A score can then be given with and without them.
        """
        if not self.files:
            return {"status": "not checked", "questions": 0, "too_short": 0}
        hit, start, found = sorted(set(touched)), 0, {}
        for name, count in self.files:
            found[name] = [item - start for item in hit if start <= item < start + count]
            start += count
        return {
            "status": "checked", "questions": len(self.texts), "too_short": self.too_short,
            "touched": {name: items for name, items in found.items() if items},
        }  # fmt: skip


def read_question_files(paths: Sequence[Path]) -> Questions:
    """Read the questions of several benchmark files.

    Raises:
        InputError: when one has none.
    """
    texts, files, too_short = [], [], 0
    for path in paths:
        found = read_questions(path)
        texts += found
        files.append((path.name, len(found)))
    for text in texts:
        points = canonical_points(text)
        too_short += len(points) < gram_length(points)
    return Questions(texts, files, too_short)


def read_questions(path: Path) -> list[str]:
    """Read the questions of one benchmark file.

    Of a table the column that is named as a question, else its first (MMLU has no header); of
    JSON the fields so named, at any depth; of txt every line. A question too short to be told
    from common phrases stands together with what is beside it, its options.

    Raises:
        InputError: when the file has none.
    """
    values = [value for _, value in read_values(path) if not isinstance(value, Broken)]
    if file_format(path) == "txt":
        found = [line for value in values for line in value.splitlines() if line.strip()]
    else:
        found = _fields(values)
        if not found and file_format(path) == "csv":
            found = _first_column(values)
    if not found:
        raise InputError(
            "This file has no questions.", where=path,
            fix=f"give a table, or jsonl with one of the fields {', '.join(QUESTION_FIELDS)}",
        )  # fmt: skip
    return found


def _fields(values: list[Any]) -> list[str]:
    found: dict[str, list[str]] = {}
    for name, text, owner in (hit for value in values for hit in _walk(value)):
        found.setdefault(name, []).append(_long_enough(text, owner.values()))
    return next((found[name] for name in QUESTION_FIELDS if name in found), [])


def _walk(value: Any) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Every (field, text, object) whose field is named as a question."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, str):
                if str(key).lower() in QUESTION_FIELDS:
                    yield str(key).lower(), inner, value
            else:
                yield from _walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner)


def _first_column(rows: list[Any]) -> list[str]:
    """The first column of a table whose first row, read as a header, is a question too."""
    if not rows:
        return []
    texts = [_long_enough(next(iter(row.values())), row.values()) for row in rows if row]
    return [_long_enough(next(iter(rows[0])), rows[0]), *texts]


def _long_enough(text: str, beside: Any) -> str:
    points = canonical_points(text)
    if len(points) >= gram_length(points) + MIN_GRAMS - 1:
        return text
    return " ".join(other for other in beside if isinstance(other, str))
