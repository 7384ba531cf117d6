"""Readers of csv and tsv, row by row as mappings.

A row with another number of fields than the header is broken, not filled up: a stray comma or
line end would else cut a text in silence. A quotation mark that is never closed would swallow
the rest of the file; it costs its line.
"""

from __future__ import annotations

import csv
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from hanhua.core.errors import InputError
from hanhua.text.readers.lines import RE_ENCODED, text_lists
from hanhua.text.readers.values import Broken, Mended, Task, Values

_MOST_LINES = 1 << 19
_MOST_LINES_AFTER = 1 << 13
"""A row may be so long; after one that was not closed, so long."""


def read_csv(task: Task) -> Values:
    """Rows as mappings by the first row.

    Raises:
        InputError: when the file cannot be opened, is damaged, of no known encoding, or its
            first row cannot be read.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    rows = _rows(_Feed(task))
    number, first = next(rows, (0, []))
    if isinstance(first, Broken):
        raise InputError(
            "The first row of this table, its header, cannot be read.",
            where=f"{task.path}:{number}", found=first.found, fix="mend that line",
        )  # fmt: skip
    header = [name.strip().removeprefix("\ufeff") for name in _fields(first)]
    for number, row in rows:
        yield f"{task.path.name}:{number}", _mapping(header, row)


def _fields(row: list[str] | Mended) -> list[str]:
    return row.value if isinstance(row, Mended) else row


def _mapping(header: Sequence[str], row: list[str] | Mended | Broken) -> Any:
    if isinstance(row, Broken):
        return row
    fields = _fields(row)
    if len(fields) != len(header) and (len(fields) < len(header) or any(fields[len(header) :])):
        found = f"{len(fields)} fields, the header has {len(header)}: {','.join(fields)[:200]}"
        return Broken("wrong_number_of_fields", found)
    value = dict(zip(header, fields, strict=False))
    return Mended(value, row.note) if isinstance(row, Mended) else value


class _TooLong(Exception):
    """A row that goes on and on: its quotation mark was never closed."""


class _Feed:
    """Lines for the csv module, held until their row is whole, so that they can be given back."""

    def __init__(self, task: Task) -> None:
        self._lines = _text_lines(task)
        self._again: deque[str] = deque()
        self._most_lines = _MOST_LINES
        self.number = 1
        self.held: list[str] = []
        self.separator = "\t" if ".tsv" in task.path.name.lower() else ","

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.held.append(line)
        if len(self.held) > self._most_lines:
            raise _TooLong
        return line

    def begin_row(self) -> None:
        """Let go of the lines of the row before."""
        self.number += len(self.held)
        self.held.clear()

    def reader(self) -> Iterator[list[str]]:
        """Rows by the strict rules, from here on."""
        return csv.reader(self, delimiter=self.separator, strict=True)

    def first_alone(self, width: int) -> list[str] | None:
        """The first line as a row by laxer rules, as in ``1,"so "called" text"``, if it is one."""
        if self.held[0].count('"') % 2:
            return None
        line = self.held[0].replace("\r", " ")
        try:
            row = next(csv.reader([line], delimiter=self.separator), [])
        except csv.Error:
            return None
        return row if len(row) == (width or len(row)) else None

    def swallowed(self, row: Sequence[str], width: int) -> bool:
        """Whether a quotation mark joined rows: the first line has all the fields alone."""
        wrong = len(self.held) > 1 and 1 < width != len(row)
        return wrong and self.held[0].count(self.separator) == width - 1

    def give_back(self) -> None:
        """Offer all held lines but the first once more, and expect shorter rows from now on."""
        self._again.extendleft(reversed(self.held[1:]))
        del self.held[1:]
        self._most_lines = _MOST_LINES_AFTER

    def find_separator(self) -> None:
        """Take another separator if the first line has it and not the usual one."""
        first = next(self, "")
        others = [mark for mark in "\t;|" if mark in first]
        if self.separator not in first and len(others) == 1:
            self.separator = others[0]
        self._again.extendleft(self.held)
        self.held.clear()


class _MendedLine(str):
    """A line that was in another encoding than its file."""


def _text_lines(task: Task) -> Iterator[str]:
    """Every line with its newline; csv keeps what follows one as part of a row."""
    for lines in text_lists(task, replace=True):
        for line in lines:
            if isinstance(line, str):
                yield f"{line}\n".replace("\0", "")
            elif isinstance(line, Mended):
                yield _MendedLine(f"{line.value}\n")


def _rows(feed: _Feed) -> Iterator[tuple[int, list[str] | Mended | Broken]]:
    """Every row that is not empty, with the line it begins on."""
    feed.find_separator()
    rows, width = feed.reader(), 0
    while True:
        feed.begin_row()
        problem = ""
        try:
            row = next(rows, None)
        except (csv.Error, _TooLong) as error:
            row, problem = feed.first_alone(width), str(error)
            feed.give_back()
            rows = feed.reader()
        if row is None and not problem:
            return
        if row and feed.swallowed(row, width):
            row, problem = None, "a quotation mark that is not closed"
            feed.give_back()
        if row is None:
            yield feed.number, Broken("broken_row", f"{problem}: {feed.held[0][:200]}")
        elif row:
            width = width or len(row)
            mended = any(type(line) is _MendedLine for line in feed.held)
            yield feed.number, Mended(row, RE_ENCODED) if mended else row
