"""Readers of JSON: a value a line, or an array, or values one after the other.

Lines go to orjson, about twice as fast as the standard parser; what it refuses (lone surrogates,
NaN, control characters inside strings) is tried again with the standard one, which is laxer.
A file of one large array is parsed as it is read, so that its size does not matter.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from hanhua.core.errors import InputError
from hanhua.text.readers.lines import decided, decode, line_lists
from hanhua.text.readers.values import Broken, Mended, Task, Values

_NOTHING = object()
_NEXT_RECORD = re.compile(r"\}\s*,\s*\{")
_SLACK_CHARS = 16
_END_CHARS = 1000
_KEPT_CHARS = 1 << 20


def read_jsonl(task: Task) -> Values:
    """The value of every line.

    Raises:
        InputError: when the file cannot be opened, is damaged, or of no known encoding.
    """
    name, number, loads = task.path.name, 0, orjson.loads
    for lines, encoding in line_lists(task):
        straight = encoding == "utf-8"
        for line in lines:
            number += 1
            try:
                value = loads(line) if straight else _parse(line, encoding, task.options.mend)
            except ValueError:
                value = _parse(line, encoding, task.options.mend)
            if value is not _NOTHING:
                yield f"{name}:{number}", value


def _parse(line: bytes, encoding: str, mend: bool) -> Any:
    """The value of a line that the fast way refused, or _NOTHING."""
    found = decode(line, encoding, mend)
    if isinstance(found, Broken):
        return found
    if isinstance(found, str):
        return _parse_text(found)
    value = _parse_text(found.value)
    return value if isinstance(value, Broken) else Mended(value, found.note)


def _parse_text(text: str) -> Any:
    text = text.strip("\0 \t\r\n\ufeff").removesuffix(",")
    if not text:
        return _NOTHING
    try:
        return orjson.loads(text)
    except ValueError:
        pass
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        return Broken("broken_json", f"{error}: {text[:200]}")


def read_json(task: Task) -> Values:
    """Values of a JSON array, of an object's only array, or one after the other.

    Raises:
        InputError: when the file cannot be opened, is damaged, or an array has no end.
    """
    scanner = _Scanner(task)
    if scanner.is_lines():
        scanner.close()
        yield from read_jsonl(task)
        return
    for where, value in scanner.values():
        inner = None if scanner.array else _only_list(value)
        if inner is None or task.options.text_field in value:
            yield where, value
        else:
            yield from ((f"{where}[{n}]", item) for n, item in enumerate(inner, start=1))
    scanner.check_end()


def _only_list(value: Any) -> list[Any] | None:
    """The records of an object like {"version": 1, "data": [...]}."""
    if not isinstance(value, Mapping):
        return None
    lists = [item for item in value.values() if isinstance(item, list)]
    return lists[0] if len(lists) == 1 and lists[0] and isinstance(lists[0][0], dict) else None


def _texts(task: Task) -> Iterator[str]:
    """A file's text piece by piece; what does not decode becomes U+FFFD."""
    encoding = "utf-8"
    decoder: codecs.IncrementalDecoder = codecs.getincrementaldecoder(encoding)("replace")
    with task.opened() as opened:
        for block, now in decided(opened, task.options.encoding):
            if now != encoding:
                encoding, decoder = now, codecs.getincrementaldecoder(now)("replace")
            if text := decoder.decode(block):
                yield text
            task.tell(opened.raw.tell())
        if text := decoder.decode(b"", final=True):
            yield text


class _Scanner:
    """JSON values out of text that comes in pieces; a broken one is passed over.

    Args:
        task: the file.
    """

    def __init__(self, task: Task) -> None:
        self._task, self._pieces = task, _texts(task)
        self._decoder = json.JSONDecoder(strict=False)
        self._text, self._place = "", 0
        self._line, self._counted = 1, 0
        self._end = ""
        self._more()
        self._text = self._text.removeprefix("\ufeff")
        self.array = self._text.lstrip()[:1] == "["

    def close(self) -> None:
        """Leave the file."""
        self._pieces.close()  # type: ignore[attr-defined]

    def is_lines(self) -> bool:
        """Whether this is a file of one object a line, as many that are called json are."""
        lines = self._text[:_KEPT_CHARS].lstrip().split("\n", 2)
        if len(lines) < 2 or not lines[0].startswith("{") or not lines[1].startswith("{"):
            return False
        return isinstance(_parse_text(lines[0]), dict)

    def _more(self) -> bool:
        """Read on, as much again as is held, so that a long value is not parsed too often."""
        self._count()
        pieces, size, wanted = [self._text[self._place :]], 0, len(self._text) - self._place
        while size <= wanted and (piece := next(self._pieces, "")):
            pieces.append(piece)
            size += len(piece)
        if not size:
            self._end = self._text[-_END_CHARS:].rstrip()
            return False
        self._text, self._place, self._counted = "".join(pieces), 0, 0
        return True

    def _count(self) -> int:
        """The line of the place."""
        self._line += self._text.count("\n", self._counted, self._place)
        self._counted = self._place
        return self._line

    def values(self) -> Values:
        """Every value with its line."""
        if self.array:
            self._place = self._text.index("[") + 1
        while self._skip():
            yield f"{self._task.path.name}:{self._count()}", self._value()

    def _skip(self) -> bool:
        """Go to the next value, over white space, commas and a closing bracket."""
        while True:
            while self._place < len(self._text) and self._text[self._place] in " \t\r\n,]}":
                self._place += 1
            if self._place < len(self._text):
                return True
            if not self._more():
                return False

    def _value(self) -> Any:
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._place)
            except (ValueError, RecursionError) as error:
                if self._may_be_cut(error) and self._more():
                    continue
                return self._broken(error)
            if end == len(self._text) and self._more():
                continue  # a number may go on
            self._place = end
            return value

    def _may_be_cut(self, error: Exception) -> bool:
        if not isinstance(error, json.JSONDecodeError):
            return False
        near_end = error.pos >= len(self._text) - _SLACK_CHARS
        return near_end or error.msg.startswith("Unterminated string")

    def _broken(self, error: Exception) -> Broken:
        """Go to the next record: one that begins its line as this one does, else after a comma."""
        begin = self._text.rfind("\n", 0, self._place) + 1
        indent = self._text[begin : self._place]
        found = Broken("broken_json", f"{error}: {self._text[self._place : self._place + 200]}")
        mark = re.compile(f"\n{indent}\\{{") if not indent.strip() else _NEXT_RECORD
        while (match := mark.search(self._text, self._place + 1)) is None:
            self._place = max(self._place, len(self._text) - len(indent) - _SLACK_CHARS)
            if not self._more():
                self._place = len(self._text)
                return found
        self._place = match.end() - 1
        return found

    def check_end(self) -> None:
        """Refuse an array that stops in the middle.

        Raises:
            InputError: saying where.
        """
        if self.array and not self._end.endswith("]"):
            raise InputError(
                "This JSON array is cut off: it has no closing bracket.",
                where=f"{self._task.path}:{self._count()}", found=self._end[-80:],
                fix="fetch the file again, or close the array with ] if that is all there is",
            )  # fmt: skip
