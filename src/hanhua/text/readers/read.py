"""Raw files to records: which field is the text, which the id, and what is wrong if neither.

A record that cannot be read comes out with a problem in place of a text, and is counted like any
other drop, with its file and line. Web pages and marked-up texts come as they are, with their
kind: what takes the text out of them is slow and can run elsewhere (``extract.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hanhua.core.errors import InputError
from hanhua.text.readers.formats import (
    Broken,
    Mended,
    Page,
    ReadOptions,
    Values,
    read_values,
    text_kind,
)
from hanhua.text.readers.pages import check_extractor

TEXT_FIELDS = (
    "text", "content", "body", "article", "document", "raw_content", "markdown", "review",
    "sentence", "正文", "内容", "文本", "段落.内容",
)  # fmt: skip
"""The last one is MNBVC's: a list of paragraphs, each an object."""
ID_FIELDS = ("id", "_id", "doc_id", "uuid")
URL_FIELD = "url"
_TELLING_RECORDS = 10


class Record(NamedTuple):
    """One record of a raw file. A tuple, because millions are made.

    Args:
        where: ``name:line`` (``name:row`` for Parquet, ``name:record`` for WARC), the first
            being 1.
        text: the text, or None where there is none.
        id: the record's own id, if it has one.
        problem: why there is no text, a reason to count by.
        found: what was there instead.
        kind: what the text is: "text", "html", "markdown" or "rst".
        url: where it was published, if the record says so.
        note: what was done to read it, a word to count by: "re_encoded" or nothing.
    """

    where: str
    text: str | None
    id: str | None = None
    problem: str = ""
    found: str = ""
    kind: str = "text"
    url: str = ""
    note: str = ""


def read_records(
    path: Path, options: ReadOptions | None = None, tell: Callable[[int], None] | None = None
) -> Iterator[Record]:
    """Read one raw file.

    Args:
        path: a file of one of the formats, packed or not.
        options: field, encoding and what a document is in a txt file.
        tell: called now and then with the bytes of the file consumed so far.

    Returns:
        Records in the file's order; an empty file has none.

    Raises:
        InputError: when the file is missing, damaged, of no known format or encoding, or none
            of its records has a text field.
        DependencyError: for web pages without the ``web`` extra.
    """
    options = for_texts(options or ReadOptions())
    kind = text_kind(path) if options.kind == "auto" else options.kind
    return to_records(read_values(path, options, tell), replace(options, kind=kind), str(path))


def for_texts(options: ReadOptions) -> ReadOptions:
    """The same options for a reader of texts: only some columns, and mending what can be."""
    wanted = {*TEXT_FIELDS, *ID_FIELDS, URL_FIELD, options.text_field or ""}
    return replace(options, columns=frozenset(wanted), mend=True)


def to_records(values: Values, options: ReadOptions, path: str) -> Iterator[Record]:
    """Plain values to records; a file of records that all lack the field is a wrong setting.

    Args:
        values: what a reader gives.
        options: the field, and what kind of text its strings are.
        path: named in the error.

    Raises:
        InputError: at the end, when none of the records had a text field or could be decoded.
        DependencyError: for web pages without the ``web`` extra.
    """
    names = (options.text_field,) if options.text_field else TEXT_FIELDS
    kind = "text" if options.kind == "auto" else options.kind
    any_text, lacking, undecoded, records = False, None, 0, 0
    for where, value in values:
        records += 1
        record = _record(where, value, names, kind)
        if record.kind == "html":
            check_extractor()
        if record.text is not None:
            any_text = True
        elif record.problem == "broken_encoding":
            undecoded += 1
        elif lacking is None and record.problem == "no_text_field":
            lacking = record
        yield record
    if not any_text and lacking:
        raise _no_field(lacking, path)
    if undecoded == records >= _TELLING_RECORDS:
        raise InputError(
            "No record of this file can be decoded.", where=path, found=f"{records} records",
            fix="set the source's `encoding` (`hanhua corpus --encoding`), or convert it to UTF-8",
        )  # fmt: skip


def _no_field(record: Record, path: str) -> InputError:
    return InputError(
        "No record of this file has a field with text.",
        where=f"{path}:{record.where.rpartition(':')[2]}",
        found=f"fields: {record.found}",
        fix="set the source's `text_field` (`hanhua corpus --text-field`), or call the field text",
    )  # fmt: skip


def _record(where: str, value: Any, names: Sequence[str], kind: str) -> Record:
    """The text and id of one value: a string, a page, or an object with a known field."""
    note = ""
    if isinstance(value, Mended):
        value, note = value.value, value.note
    if isinstance(value, str):
        return Record(where, value, None, "", "", kind, "", note)
    if isinstance(value, Broken):
        return Record(where, None, None, value.reason, value.found)
    if isinstance(value, Page):
        return Record(where, value.html, None, "", "", "html", value.url, note)
    if not isinstance(value, Mapping):
        return Record(where, None, None, "no_text_field", type(value).__name__)
    identifier, url = _id(value), value.get(URL_FIELD)
    for name in names:
        text = value.get(name)
        if text is None and "." in name:
            text = _inside(value, name.split("."))
        if text is None:
            continue
        if not isinstance(text, str):
            text = _joined(text)
        if text is None:
            found = f"{name}: {value.get(name)!r:.200}"
            return Record(where, None, identifier, "text_is_not_a_string", found)
        url = url if isinstance(url, str) else ""
        return Record(where, text, identifier, "", "", kind, url, note)
    return Record(where, None, identifier, "no_text_field", ", ".join(map(str, value)))


def _id(value: Mapping[str, Any]) -> str | None:
    for name in ID_FIELDS:
        own = value.get(name)
        if own is not None and own != "":
            return str(own) if isinstance(own, (str, int)) else None
    return None


def _inside(value: Any, names: Sequence[str]) -> Any:
    """What stands under a path of names; of a list what stands under it in each item."""
    for place, name in enumerate(names):
        if isinstance(value, list):
            found = (_inside(item, names[place:]) for item in value)
            return [item for item in found if item is not None] or None
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _joined(text: Any) -> str | None:
    """A list of paragraphs as one text, bytes as UTF-8; None for anything else."""
    if isinstance(text, bytes):
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError:
            return None
    if isinstance(text, list) and all(isinstance(part, str) for part in text):
        return "\n".join(text)
    return None
