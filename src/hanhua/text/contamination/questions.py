"""Evaluation questions from their published files, for the contamination rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError
from hanhua.core.files import sha256_file
from hanhua.text.contamination.overlap import gram_length
from hanhua.text.copies.minhash import canonical_points
from hanhua.text.readers.formats import Broken, file_format, read_values
from hanhua.text.rewrite.normalise import normalise

QUESTION_FIELDS = ("question", "query", "problem", "premise", "prompt", "input", "text",
                   "sentence1", "sentence", "content", "问题")  # fmt: skip
"""Names of the field that holds the question, in any case; the first one that occurs counts."""
MIN_GRAMS = 5
"""A question with fewer n-grams is taken together with its options."""
_OPTION_FIELDS = ("choices", "options", "candidates", "answers", "endings")
_ASIDE = ("id", "_id", "subject", "category", "source", "type", "level", "answer", "label")
_LETTERS = "ABCDEFGH"


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of all benchmark files, in order.

    Args:
        texts: one for each item.
        files: (name, items) of each file; its items follow on those of the file before. Names
            are the last parts of paths, as many as tell the files apart.
        too_short: items that cannot be told from common phrases.
        digests: SHA-256 of each file, in the order of `files`.
    """

    texts: Sequence[str]
    files: Sequence[tuple[str, int]]
    too_short: int
    digests: Sequence[str]

    def account(self, touched: Iterable[int]) -> dict[str, Any]:
        """What was looked for, and by file the items (from 0) that some document held.

        A score can then be given with and without them. All files are named with their SHA-256,
        for what was looked for and not found is an answer too.
        """
        if not self.files:
            return {"status": "not checked", "questions": 0, "too_short": 0}
        hit, start = sorted(set(touched)), 0
        found: dict[str, list[int]] = {}
        for name, count in self.files:
            here = {item - start for item in hit if start <= item < start + count}
            found[name] = sorted(here.union(found.get(name, ())))
            start += count
        return {
            "status": "checked", "questions": len(self.texts), "too_short": self.too_short,
            "touched": {name: items for name, items in found.items() if items},
            "files": {
                name: {"questions": count, "sha256": digest}
                for (name, count), digest in zip(self.files, self.digests, strict=True)
            },
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
        files.append(len(found))
    for text in texts:
        points = canonical_points(text)
        too_short += len(points) < gram_length(points)
    named = list(zip(_names(paths), files, strict=True))
    return Questions(texts, named, too_short, list(map(sha256_file, paths)))


def _names(paths: Sequence[Path]) -> list[str]:
    """File names; where two files share one, with as many folders before it as tell them apart."""
    names = [path.name for path in paths]
    for length in range(2, max((len(path.parts) for path in paths), default=0) + 1):
        doubled = {name for name in names if names.count(name) > 1}
        if not doubled:
            break
        names = [
            "/".join(path.parts[-length:]).lstrip("/") if name in doubled else name
            for path, name in zip(paths, names, strict=True)
        ]
    return names


def as_looked_for(text: str, choices: Sequence[str]) -> str:
    """A question with its options in the form in which documents are held against it."""
    return _long_enough(text, _lettered(choices))


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
        found = [normalise(line) for value in values for line in value.splitlines() if line.strip()]
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
        found.setdefault(name, []).append(_long_enough(text, _options(owner)))
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
    found = []
    for question, *others in ([*rows[0]], *(list(row.values()) for row in rows if row)):
        if others and str(others[-1]).strip().upper() in _LETTERS:  # the answer
            others.pop()
        found.append(_long_enough(question, _lettered(others)))
    return found


def _options(owner: Mapping[str, Any]) -> list[str]:
    """The options that stand beside a question, each behind its letter, as texts have them."""
    fields = {str(key).lower(): value for key, value in owner.items()}
    lettered = [
        f"{letter} {fields[letter.lower()]}"
        for letter in _LETTERS
        if isinstance(fields.get(letter.lower()), str)
    ]
    if lettered:
        return lettered
    listed = next((fields[name] for name in _OPTION_FIELDS if name in fields), None)
    if isinstance(listed, list):
        return _lettered(listed)
    named = (*QUESTION_FIELDS, *_ASIDE)
    return [text for key, text in fields.items() if isinstance(text, str) and key not in named]


def _lettered(options: Iterable[Any]) -> list[str]:
    return [
        f"{letter} {option}"
        for letter, option in zip(_LETTERS, options, strict=False)
        if isinstance(option, str)
    ]


def _long_enough(text: str, options: Iterable[str]) -> str:
    """A question as it is looked for: normalised as documents are, with its options if short."""
    text = normalise(text)
    points = canonical_points(text)
    if len(points) >= gram_length(points) + MIN_GRAMS - 1:
        return text
    return normalise(" ".join((text, *options)))
