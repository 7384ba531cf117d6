"""Raw files to records: which field is the text, which the id, and what is wrong if neither.

A record that cannot be read comes out with a problem in place of a text, and is counted like any
other drop, with its file and line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError
from hanhua.text.formats import Broken, ReadOptions, read_values

TEXT_FIELDS = (
    "text", "content", "body", "article", "document", "raw_content", "markdown", "review",
    "sentence", "正文", "内容", "文本",
)  # fmt: skip
ID_FIELDS = ("id", "_id", "doc_id", "uuid")


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a raw file.

    Args:
        where: ``name:line`` (``name:row`` for Parquet), the first being 1.
        text: the text, or None where there is none.
        id: the record's own id, if it has one.
        problem: why there is no text, a reason to count by.
        found: what was there instead.
    """

    where: str
    text: str | None
    id: str | None = None
    problem: str = ""
    found: str = ""


def read_records(
    path: Path, options: ReadOptions | None = None, tell: Callable[[int], None] | None = None
) -> Iterator[Record]:
    """Read one raw file.

    Args:
        path: a txt, md, jsonl, json, csv, tsv or parquet file, packed or not.
        options: field, encoding and what a document is in a txt file.
        tell: called now and then with the bytes of the file consumed so far.

    Returns:
        Records in the file's order; an empty file has none.

    Raises:
        InputError: when the file is missing, damaged, of no known format or encoding, or none
            of its records has a text field.
    """
    options = options or ReadOptions()
    wanted = {*TEXT_FIELDS, *ID_FIELDS, options.text_field or ""}
    values = read_values(path, replace(options, columns=frozenset(wanted)), tell)
    return _with_text((_record(where, v, options.text_field) for where, v in values), path)


def _with_text(records: Iterable[Record], path: Path) -> Iterator[Record]:
    """Pass records through; a file of records that all lack the field is a wrong setting."""
    any_text, lacking = False, None
    for record in records:
        any_text = any_text or record.text is not None
        if record.problem == "no_text_field":
            lacking = lacking or record
        yield record
    if lacking and not any_text:
        raise InputError(
            "No record of this file has a field with text.", where=f"{path}:{_line(lacking)}",
            found=f"fields: {lacking.found}", fix="set the source's `text_field`",
        )  # fmt: skip


def _line(record: Record) -> str:
    return record.where.rpartition(":")[2]


def _record(where: str, value: Any, text_field: str | None) -> Record:
    """The text and id of one value: a string, or an object with a known field."""
    if isinstance(value, str):
        return Record(where, value)
    if isinstance(value, Broken):
        return Record(where, None, problem=value.reason, found=value.found)
    if not isinstance(value, Mapping):
        return Record(where, None, problem="no_text_field", found=type(value).__name__)
    names = (text_field,) if text_field else TEXT_FIELDS
    name = next((name for name in names if value.get(name) is not None), None)
    own = next((value[name] for name in ID_FIELDS if value.get(name) not in (None, "")), None)
    identifier = str(own) if isinstance(own, (str, int)) else None
    if name is None:
        fields = ", ".join(str(key) for key in value)
        return Record(where, None, identifier, "no_text_field", fields)
    text = value[name]
    if not isinstance(text, str):
        return Record(where, None, identifier, "text_is_not_a_string", f"{name}: {text!r:.200}")
    return Record(where, text, identifier)
