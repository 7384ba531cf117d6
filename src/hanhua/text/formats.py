"""Raw files to plain values: txt, jsonl, json, csv, tsv and Parquet, read value by value.

A value that cannot be read comes out as Broken and costs only itself. Only a file that cannot be
read as a whole is an error.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

from hanhua.core.errors import InputError
from hanhua.text.streams import PACKINGS, SAMPLE_BYTES, find_encoding, open_bytes, read_sample

_READ_BYTES = 1 << 20
_TELL_LINES = 256


@dataclass(frozen=True, slots=True)
class Broken:
    """A value that cannot be read: a reason to count by, and what was found."""

    reason: str
    found: str = ""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a file.

    Args:
        text_field: the field or column with the text; None looks for the usual names.
        txt: whether a txt file is one value ("file") or every line is ("line").
        encoding: a Python codec, or "auto".
        columns: the only columns needed of a Parquet file; None reads all.
    """

    text_field: str | None = None
    txt: str = "file"
    encoding: str = "auto"
    columns: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class _Task:
    path: Path
    options: ReadOptions
    tell: Callable[[int], None]


Values: TypeAlias = Iterator[tuple[str, Any]]
"""(``name:line``, a string, mapping or other JSON value, or Broken); ``name:row`` for Parquet."""


def file_format(path: Path) -> str:
    """The format a file's name promises, packing suffixes aside: "jsonl", "txt" and so on.

    Raises:
        InputError: for a format that has no reader.
    """
    name = path.name.lower()
    for packing in PACKINGS:
        name = name.removesuffix(packing)
    suffix = name.rpartition(".")[2] if "." in name else ""
    if suffix not in _FORMATS:
        raise InputError(
            "There is no reader for this kind of file.", where=path,
            found=f".{suffix}" if suffix else "a name without a suffix",
            fix=f"give {', '.join(sorted(_FORMATS))} (plain, gz, zst, xz or bz2), or narrow the "
            "path by a glob such as folder/*.jsonl",
        )  # fmt: skip
    return _FORMATS[suffix]


def read_values(
    path: Path, options: ReadOptions | None = None, tell: Callable[[int], None] | None = None
) -> Values:
    """Read one raw file.

    Args:
        path: a txt, md, jsonl, json, csv, tsv or parquet file, packed or not.
        options: encoding and what a document is in a txt file.
        tell: called now and then with the bytes of the file consumed so far.

    Returns:
        (where, value) in the file's order; an empty file has none.

    Raises:
        InputError: when the file is missing, damaged, or of no known format or encoding.
    """
    task = _Task(path, options or ReadOptions(), tell or (lambda _: None))
    readers: Mapping[str, Callable[[_Task], Values]] = {
        "txt": _read_txt, "jsonl": _read_jsonl, "json": _read_json, "csv": _read_csv,
        "parquet": _read_parquet,
    }  # fmt: skip
    return readers[file_format(path)](task)


def _lines(stream: IO[bytes], head: bytes, encoding: str, errors: str) -> Iterator[str | None]:
    """Lines without their ends; None for one that does not decode, if errors are strict."""
    if encoding.startswith(("utf-16", "utf-32")):
        raw = io.BufferedReader(_Joined(head, stream), _READ_BYTES)
        wide = io.TextIOWrapper(raw, encoding, errors="replace", newline="\n")
        yield from (line.rstrip("\r\n") for line in wide)
        return
    tail: list[bytes] = []
    block = head.removeprefix(codecs.BOM_UTF8)
    while block:
        first, *rest = block.split(b"\n")
        tail.append(first)
        if rest:
            yield _decode(b"".join(tail), encoding, errors)
            for line in rest[:-1]:
                yield _decode(line, encoding, errors)
            tail = [rest[-1]]
        block = stream.read(_READ_BYTES)
    if any(tail):
        yield _decode(b"".join(tail), encoding, errors)


def _decode(line: bytes, encoding: str, errors: str) -> str | None:
    try:
        return line.decode(encoding, errors).rstrip("\r")
    except UnicodeDecodeError:
        return None


class _Joined(io.RawIOBase):
    """A stream with the beginning that was read for the encoding put back."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        self._head, self._stream = head, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._head[: len(buffer)] or self._stream.read(len(buffer))
        self._head = self._head[len(part) :]
        buffer[: len(part)] = part
        return len(part)


def _encoding(task: _Task, head: bytes) -> str:
    if task.options.encoding != "auto":
        return task.options.encoding
    return find_encoding(head, task.path) if head else "utf-8"


def _file_lines(task: _Task, errors: str = "strict") -> Iterator[tuple[int, str | None]]:
    with open_bytes(task.path) as opened:
        head = read_sample(opened.stream)
        lines = _lines(opened.stream, head, _encoding(task, head), errors)
        for number, line in enumerate(lines, start=1):
            yield number, line
            if number % _TELL_LINES == 0:
                task.tell(opened.raw.tell())


def _whole(task: _Task) -> str:
    """A whole file as text; what does not decode becomes U+FFFD, which the quality rules see."""
    with open_bytes(task.path) as opened:
        data = opened.stream.read()
        return data.decode(_encoding(task, data[:SAMPLE_BYTES]), "replace")


def _read_txt(task: _Task) -> Values:
    name = task.path.name
    if task.options.txt == "line":
        for number, line in _file_lines(task):
            if line is None:
                yield f"{name}:{number}", Broken("broken_encoding")
            elif line.strip():
                yield f"{name}:{number}", line
        return
    text = _whole(task)
    if text.strip():
        yield f"{name}:1", text


def _read_jsonl(task: _Task) -> Values:
    for number, line in _file_lines(task):
        where = f"{task.path.name}:{number}"
        if line is None:
            yield where, Broken("broken_encoding")
        elif line.strip():
            yield where, _parse(line)


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return Broken("broken_json", f"{error}: {line[:200]}")


def _read_json(task: _Task) -> Values:
    """Values of a JSON array, of an object's only array, or one after the other."""
    text = _whole(task).removeprefix("\ufeff")
    array = text.lstrip()[:1] == "["
    for where, value in _json_values(text, task.path.name):
        inner = None if array else _only_list(value)
        if inner is None or task.options.text_field in value:
            yield where, value
        else:
            yield from ((f"{where}[{n}]", item) for n, item in enumerate(inner, start=1))
    if array and not text.rstrip().endswith("]"):
        raise InputError(
            "This JSON array is cut off: it has no closing bracket.",
            where=f"{task.path}:{text.count(chr(10)) + 1}", found=text.rstrip()[-80:],
            fix="fetch the file again, or close the array with ] if that is all there is",
        )  # fmt: skip


def _only_list(value: Any) -> list[Any] | None:
    """The records of an object like {"version": 1, "data": [...]}."""
    if not isinstance(value, Mapping):
        return None
    lists = [item for item in value.values() if isinstance(item, list)]
    return lists[0] if len(lists) == 1 and lists[0] and isinstance(lists[0][0], dict) else None


def _json_values(text: str, name: str) -> Values:
    decoder, place, line, counted = json.JSONDecoder(), 0, 1, 0
    if text.lstrip()[:1] == "[":
        place = text.index("[") + 1
    while (place := _next_value(text, place)) < len(text):
        line, counted = line + text.count("\n", counted, place), place
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            value = Broken("broken_json", f"{error}: {text[place : place + 200]}")
            begins = [text.find(mark, place + 1) for mark in ("\n{", "\n  {", "\n    {", "},{")]
            place = min((b for b in begins if b >= 0), default=len(text)) + 1
        yield f"{name}:{line}", value


def _next_value(text: str, place: int) -> int:
    """Skip white space, commas and a closing bracket between two values."""
    while place < len(text) and text[place] in " \t\r\n,]}":
        place += 1
    return place


def _read_csv(task: _Task) -> Values:
    """Rows as mappings by the first row."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    separator = "\t" if ".tsv" in task.path.name.lower() else ","
    lines = (f"{line or ''}\n".replace("\0", "") for _, line in _file_lines(task, "replace"))
    rows = csv.reader(lines, delimiter=separator)
    try:
        header = [name.strip() for name in next(rows, [])]
        for row in rows:
            if row:
                yield f"{task.path.name}:{rows.line_num}", dict(zip(header, row, strict=False))
    except csv.Error as error:
        raise InputError(
            "This table cannot be read.", where=f"{task.path}:{rows.line_num}", found=error,
            fix="mend the quotes on that line, or set `on_error: skip` to keep what comes before",
        ) from error  # fmt: skip


def _read_parquet(task: _Task) -> Values:
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = task.options.columns
    try:
        with pq.ParquetFile(task.path) as file:
            names = file.schema_arrow.names
            columns = [name for name in names if wanted is None or name in wanted]
            row = 0
            for batch in file.iter_batches(batch_size=1024, columns=columns or names):
                for value in batch.to_pylist():
                    row += 1
                    yield f"{task.path.name}:{row}", value
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            "This Parquet file cannot be read.", where=task.path, found=error,
            fix="fetch it again, or set `on_error: skip`",
        ) from error  # fmt: skip


_FORMATS = {
    "txt": "txt", "text": "txt", "md": "txt", "rst": "txt", "jsonl": "jsonl", "ndjson": "jsonl",
    "json": "json", "csv": "csv", "tsv": "csv", "parquet": "parquet",
}  # fmt: skip
