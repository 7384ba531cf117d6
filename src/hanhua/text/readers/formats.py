"""Raw files to plain values, read value by value: which reader a file's name asks for.

A value that cannot be read comes out as Broken and costs only itself. Only a file that cannot be
read as a whole is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hanhua.core.errors import InputError
from hanhua.text.readers.delimited import read_csv
from hanhua.text.readers.json_values import read_json, read_jsonl
from hanhua.text.readers.plain import read_html, read_txt
from hanhua.text.readers.streams import PACKINGS
from hanhua.text.readers.tables import read_arrow, read_parquet
from hanhua.text.readers.values import Broken, Mended, Page, ReadOptions, Task, Values
from hanhua.text.readers.warc import read_warc

__all__ = [
    "Broken", "Mended", "Page", "ReadOptions", "Values", "file_format", "read_values", "text_kind",
]  # fmt: skip

_FORMATS = {
    "txt": "txt", "text": "txt", "md": "txt", "markdown": "txt", "rst": "txt", "jsonl": "jsonl",
    "ndjson": "jsonl", "json": "json", "csv": "csv", "tsv": "csv", "parquet": "parquet",
    "arrow": "arrow", "html": "html", "htm": "html", "xhtml": "html", "warc": "warc",
    "wet": "warc",
}  # fmt: skip
_READERS: Mapping[str, Callable[[Task], Values]] = {
    "txt": read_txt, "jsonl": read_jsonl, "json": read_json, "csv": read_csv,
    "parquet": read_parquet, "arrow": read_arrow, "html": read_html, "warc": read_warc,
}  # fmt: skip
_KINDS = {"md": "markdown", "markdown": "markdown", "rst": "rst", "html": "html", "htm": "html",
          "xhtml": "html"}  # fmt: skip


def _suffix(path: Path) -> str:
    """The last part of a file's name, packing suffixes aside."""
    name = path.name.lower()
    for packing in PACKINGS:
        name = name.removesuffix(packing)
    return name.rpartition(".")[2] if "." in name else ""


def file_format(path: Path) -> str:
    """The format a file's name promises, packing suffixes aside: "jsonl", "txt" and so on.

    Raises:
        InputError: for a format that has no reader.
    """
    suffix = _suffix(path)
    if suffix not in _FORMATS:
        raise InputError(
            "There is no reader for this kind of file.", where=path,
            found=f".{suffix}" if suffix else "a name without a suffix",
            fix=f"give {', '.join(sorted(_FORMATS))} (plain, gz, zst, xz or bz2), or narrow the "
            "path by a glob such as folder/*.jsonl",
        )  # fmt: skip
    return _FORMATS[suffix]


def text_kind(path: Path) -> str:
    """What the texts of a file are, by its name: "text", "markdown", "rst" or "html"."""
    return _KINDS.get(_suffix(path), "text")


def read_values(
    path: Path, options: ReadOptions | None = None, tell: Callable[[int], None] | None = None
) -> Values:
    """Read one raw file.

    Args:
        path: a file of one of the formats, packed or not.
        options: encoding and what a document is in a txt file.
        tell: called now and then with the bytes of the file consumed so far.

    Returns:
        (where, value) in the file's order; an empty file has none.

    Raises:
        InputError: when the file is missing, damaged, or of no known format or encoding.
    """
    task = Task(path, options or ReadOptions(), tell or (lambda _: None))
    return _read(_READERS[file_format(path)], task)


def _read(reader: Callable[[Task], Values], task: Task) -> Values:
    yield from reader(task)
    yield from task.left
