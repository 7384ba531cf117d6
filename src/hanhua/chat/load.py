"""Raw files of instructions to records, each with its line.

A damaged record costs itself and is counted. A file from which nothing at all can be read is an
error with file and line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from hanhua.chat.schemas.fields import Fields
from hanhua.core.errors import InputError
from hanhua.text.readers.formats import Broken, ReadOptions, Values, file_format, read_values
from hanhua.text.verdict import Drop

NOT_AN_OBJECT = "not_an_object"

_TURN_LISTS = ("conversations", "messages", "conversation", "prompt", "chosen")


@dataclass(frozen=True, slots=True)
class Loaded:
    """One record, or why there is none.

    Args:
        where: ``file:line``, from 1; ``file:row`` for Parquet.
        value: the record's fields.
    """

    where: str
    value: Fields | Drop


def load_records(path: Path, tell: Callable[[int], None] | None = None) -> Iterator[Loaded]:
    """Read the records of a json, jsonl, csv, tsv or parquet file, packed or not.

    Args:
        path: the file.
        tell: called now and then with the bytes of the file consumed so far.

    Raises:
        InputError: for a file that is no such file, or holds nothing but damage.
    """
    kind = file_format(path)
    if kind == "txt":
        raise InputError(
            "Conversations are not read from this kind of file.", where=path, found=path.suffix,
            fix="give json, jsonl, csv, tsv or parquet, or narrow the path by a glob",
        )  # fmt: skip
    values = ((at, one) for where, v in _values(path, kind, tell) for at, one in _each(where, v))
    return _some(path, (Loaded(where, _fields(value)) for where, value in values))


def _each(where: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A value, or the questions of an article in SQuAD's form (SQuAD, CMRC 2018, XQuAD)."""
    paragraphs = value.get("paragraphs") if isinstance(value, Mapping) else None
    if not isinstance(paragraphs, list) or not any(_asks(p) for p in paragraphs):
        yield where, value
        return
    number = 0
    for paragraph in filter(_asks, paragraphs):
        for asked in paragraph["qas"]:
            number += 1
            if isinstance(asked, Mapping):
                asked = {"context": paragraph.get("context", ""), **asked}
            yield f"{where}[{number}]", asked


def _asks(paragraph: Any) -> bool:
    return isinstance(paragraph, Mapping) and isinstance(paragraph.get("qas"), list)


def _values(path: Path, kind: str, tell: Callable[[int], None] | None) -> Values:
    """The file's values; lines of single objects whose only list is their turns stay whole."""
    for name in _TURN_LISTS:
        values = read_values(path, ReadOptions(text_field=name), tell)
        first = list(islice(values, 1))
        if kind != "json" or not (first and _is_turn(first[0][1])):
            return chain(first, values)
    return read_values(path, ReadOptions(), tell)


def _is_turn(value: Any) -> bool:
    keys = set(value) if isinstance(value, Mapping) else set()
    named = bool({"from", "role"} & keys) and bool({"value", "content"} & keys)
    return named or {"human", "assistant"} <= keys


def _fields(value: Any) -> Fields | Drop:
    if isinstance(value, Broken):
        return Drop(value.reason, value.found)
    if not isinstance(value, Mapping):
        return Drop(NOT_AN_OBJECT, f"{value!r:.200}")
    return value


def _some(path: Path, records: Iterator[Loaded]) -> Iterator[Loaded]:
    """Pass records on; damaged ones at the beginning only if a sound one follows."""
    damaged: list[Loaded] = []
    for record in records:
        if not isinstance(record.value, Drop):
            yield from damaged
            yield record
            yield from records
            return
        damaged.append(record)
    if damaged:
        raise InputError(
            "This file holds no record that can be read.",
            where=f"{path}:{damaged[0].where.rpartition(':')[2]}",
            found=damaged[0].value.value if isinstance(damaged[0].value, Drop) else None,
            fix="mend the file: a JSON array of objects, or one object a line",
        )  # fmt: skip
