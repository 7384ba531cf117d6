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

from hanhua.text.lines import RE_ENCODED, decode, line_lists
from hanhua.text.values import Broken, Mended, Task, Values

_ROW_CHARS = 1 << 26
_ROW_CHARS_AFTER = 1 << 20
"""A row may be so long; after one that was not closed, so long."""
_UNCLOSED = "a quotation mark that is not closed"


def read_csv(task: Task) -> Values:
    """Rows as mappings by the first row.

    Raises:
        InputError: when the file cannot be opened, is damaged, or of no known encoding.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    header: list[str] | None = None
    for number, row in _rows(_Feed(task)):
        if header is None and not isinstance(row, Broken):
            header = [name.strip().removeprefix("\ufeff") for name in _fields(row)]
        else:
            yield f"{task.path.name}:{number}", _mapping(header or [], row)


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
        self._again: deque[tuple[int, str, bool]] = deque()
        self._limit_chars = _ROW_CHARS
        self._chars = 0
        self.held: list[tuple[int, str, bool]] = []
        self.ended = False
        self.separator = "\t" if ".tsv" in task.path.name.lower() else ","

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines, None)
        if line is None:
            self.ended = True
            raise StopIteration
        self.held.append(line)
        self._chars += len(line[1])
        if self._chars > self._limit_chars and len(self.held) > 1:
            raise _TooLong
        return line[1]

    def begin_row(self) -> None:
        """Let go of the lines of the row before."""
        self.held.clear()
        self._chars, self.ended = 0, False

    def swallowed(self, row: Sequence[str], width: int) -> bool:
        """Whether a stray quotation mark joined lines: they make no row by the strict rules, or
        the first has all the fields alone.
        """
        if len(self.held) < 2:
            return False
        if 1 < width != len(row) and self.held[0][1].count(self.separator) == width - 1:
            return True
        lines = (line for _, line, _ in self.held)
        try:
            return len(list(csv.reader(lines, delimiter=self.separator, strict=True))) != 1
        except csv.Error:
            return True

    def give_back(self, shorter: bool) -> None:
        """Offer all held lines but the first once more; maybe expect shorter rows from now on."""
        self._again.extendleft(reversed(self.held[1:]))
        self._limit_chars = _ROW_CHARS_AFTER if shorter else self._limit_chars

    def find_separator(self) -> None:
        """Take another separator if the first line has it and not the usual one."""
        first = next(self, "")
        others = [mark for mark in "\t;|" if mark in first]
        if self.separator not in first and len(others) == 1:
            self.separator = others[0]
        self._again.extendleft(self.held)
        self.begin_row()


def _text_lines(task: Task) -> Iterator[tuple[int, str, bool]]:
    """Every line with its number, and whether it was in another encoding than the file."""
    number = 0
    for lines, encoding in line_lists(task):
        for line in lines:
            number += 1
            found = decode(line, encoding, task.options.mend)
            if isinstance(found, Broken):
                found = line.decode(encoding, "replace")
            mended = isinstance(found, Mended)
            text = found.value if isinstance(found, Mended) else found
            yield number, f"{text.removesuffix(chr(13))}\n".replace("\0", ""), mended


def _rows(feed: _Feed) -> Iterator[tuple[int, list[str] | Mended | Broken]]:
    """Every row that is not empty, with the line it begins on."""
    feed.find_separator()
    rows = csv.reader(feed, delimiter=feed.separator)
    width = 0
    while True:
        feed.begin_row()
        problem = ""
        try:
            row = next(rows, None)
        except csv.Error as error:
            row, problem = [], str(error)
        except _TooLong:
            row, problem = [], _UNCLOSED
        if row is None:
            return
        number, line, _ = feed.held[0]
        if feed.ended or feed.swallowed(row, width):
            problem = _UNCLOSED
        if problem:
            feed.give_back(shorter=problem == _UNCLOSED)
            rows = csv.reader(feed, delimiter=feed.separator)
            yield number, Broken("broken_row", f"{problem}: {line[:200]}")
        elif row:
            width = width or len(row)
            mended = any(held[2] for held in feed.held)
            yield number, Mended(row, RE_ENCODED) if mended else row
