"""Rows of a published data set: from files in any common format, or from a hub.

A path is a file, a glob, or a folder in which the files of a split are found by the split's name
in theirs. A dataset (``hf:owner/name``) is streamed by the hub's own library.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hanhua.core.artifact import outside_files
from hanhua.core.errors import InputError
from hanhua.eval.tasks.question import Question
from hanhua.text.readers.formats import Broken, Mended, read_values

WHERE = "eval.tasks"
SPLIT_NAMES: Mapping[str, frozenset[str]] = {
    "test": frozenset({"test", "devtest"}),
    "validation": frozenset({"validation", "valid", "val", "dev", "eval"}),
    "train": frozenset({"train", "training"}),
}
_ASIDE = (("socratic",), ("data", "gmt"))
"""Words of paths that are published beside a set and are no part of it: GSM8K's other wording of
its answers, XCOPA by machine translation."""
_DATA = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".ndjson")

Row = Mapping[str, Any]
Parse = Callable[[Any, str], Question | Iterable[Question] | None]
"""A row and its id to a question, or to several; None where the set itself gives no answer.
Raises KeyError, ValueError, TypeError, IndexError or AttributeError for what is no such row."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a set is read from.

    Args:
        path: a file, folder or glob; empty where a dataset is given.
        dataset: ``hf:owner/name``, with ``/config`` and ``#revision`` as wanted.
        config: the subset, where the dataset's reference names none.
    """

    path: str
    dataset: str | None = None
    config: str | None = None


def rows_of(place: Place, split: str) -> Iterator[tuple[str, Any]]:
    """(file:line, row) of one split.

    Raises:
        InputError: no such split or file, or a row that does not read.
        DependencyError: a dataset without the ``datasets`` extra.
    """
    yield from sound(_hub(place, split) if place.dataset else _local(place, split))


def sound(values: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """(file:line, value) without the marks of the reader.

    Raises:
        InputError: for a value that does not read.
    """
    for where, value in values:
        plain = value.value if isinstance(value, Mended) else value
        if isinstance(plain, Broken):
            raise InputError(
                "This row does not read.", where=where, found=f"{plain.reason}: {plain.found}",
                fix="fetch the file again",
            )  # fmt: skip
        yield where, plain


def questions_of(
    rows: Iterable[tuple[str, Any]], parse: Parse, prefix: str, form: str
) -> Iterator[Question]:
    """Questions with an answer, in the order of the rows.

    One that an earlier file had is left out: folders hold folds beside the whole, as FewCLUE's do.
    What one file repeats stays, as others count it.

    Args:
        rows: of `rows_of`.
        parse: of the set.
        prefix: of the ids, before "/" and the row's number.
        form: a row as it should be, for the error.

    Raises:
        InputError: naming file and line of a row that is no question.
    """
    first: dict[Question, str] = {}
    for i, (where, row) in enumerate(rows):
        file = where.rpartition(":")[0]
        try:
            found = parse(row, f"{prefix}/{i:05d}")
            questions = [found] if isinstance(found, Question) else list(found or ())
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            kind = type(error).__name__
            raise InputError(
                "This row is no question of this set.", where=where,
                found=f"{kind}: {error} in {str(row)[:200]}", fix=f"give rows as published: {form}",
            ) from error  # fmt: skip
        for question in questions:
            if first.setdefault(replace(question, id=""), file) == file:
                yield question


def _hub(place: Place, split: str) -> Iterator[tuple[str, Any]]:
    from hanhua.text.hubs.hub_datasets import parse_reference
    from hanhua.text.hubs.hugging_face import stream_dataset

    found = parse_reference(place.dataset or "")
    if found.hub == "hf":
        config = found.config or place.config
        return stream_dataset(found.name, config, found.split or split, found.revision, None)
    raise InputError(
        "Tasks are read from Hugging Face or from files.", where=WHERE, found=place.dataset,
        fix="download the set and give its folder as path",
    )  # fmt: skip


def _local(place: Place, split: str) -> Iterator[tuple[str, Any]]:
    for path in files_of(place, split):
        yield from placed(path)


def placed(path: Path) -> Iterator[tuple[str, Any]]:
    """(folder/file:line, value) of a file, as its reader gives it."""
    for where, value in read_values(path):
        yield f"{path.parent}/{where}", value


def files_of(place: Place, split: str) -> list[Path]:
    """The files of a split; a file or glob is taken as it is.

    Raises:
        InputError: when there are none.
    """
    found = outside_files(place.path, WHERE)
    root = Path(place.path)
    if not root.is_dir():
        return found
    data = [p for p in found if any(p.name.endswith((s, s + ".gz", s + ".zst")) for s in _DATA)]
    data = [p for p in data if not any(_has(_words(str(p.relative_to(root))), a) for a in _ASIDE)]
    if place.config:
        subset = _words(place.config)
        data = [p for p in data if _has(_words(str(p.relative_to(root))), subset)] or data
    names = SPLIT_NAMES[split]
    chosen = [p for p in data if names & set(_words(str(p.relative_to(root))))]
    if not chosen:
        raise InputError(
            f"No file here is of the {split} split.", where=place.path,
            found=", ".join(p.name for p in data[:8]) or "no data files",
            fix=f"name one of the files (`path` in a recipe; --data FILE with this task alone), or "
            f"call it {split}.jsonl",
        )  # fmt: skip
    return chosen


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+|[0-9]+", name.lower())


def _has(words: Sequence[str], part: Sequence[str]) -> bool:
    return any(list(words[i : i + len(part)]) == list(part) for i in range(len(words)))
