"""A document as the quality rules see it: its characters by class, and its lines.

Without the compiled part each number is counted when the first rule asks, and kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar, overload

from hanhua.text.quality.flags import BULLET, ENDS, TRAILING, line_table
from hanhua.text.scripts import BROKEN, DIGIT, OTHER, SPACE, SYMBOL, Profile

Value = TypeVar("Value")

UNSPACED = frozenset(("zh", "ja", "th", "lo", "km", "my", "bo"))
"""Languages written without spaces between words: their n-grams are of characters."""
SHORT_LINE_CHARS = {True: 12, False: 30}
"""Of languages without and with spaces: 12 Han characters say about what 30 letters say."""
_DIGITS = "0123456789"


class lazy(Generic[Value]):
    """A value computed at its first use; functools.cached_property takes a lock each time."""

    def __init__(self, make: Callable[[Any], Value]) -> None:
        self.make = make
        self.name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> lazy[Value]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Value: ...
    def __get__(self, instance: object | None, owner: type[Any]) -> lazy[Value] | Value:
        """The value, kept in the instance so that the next look-up does not come here."""
        if instance is None:
            return self
        value = self.make(instance)
        instance.__dict__[self.name] = value
        return value


class LineFacts:
    """A document's characters by class, and its lines; those that are not empty unless said.

    Args:
        text: the document, normalised.
        profile: its characters by class.
        language: the code that its source declares.
    """

    def __init__(self, text: str, profile: Profile, language: str) -> None:
        self.text = text
        self.language = base_language(language)
        self.unspaced = self.language in UNSPACED
        self.chars = len(text)
        counts = profile.counts
        self.visible: int = self.chars - counts[SPACE]
        self.symbols: int = counts[SYMBOL]
        self.digits: int = counts[DIGIT]
        self.broken: int = counts[BROKEN]
        self.letters: int = sum(counts[OTHER:])

    @lazy
    def _lines(self) -> list[str]:
        return self.text.split("\n")

    @lazy
    def _filled(self) -> list[str]:
        return [line for line in self._lines if line]

    @lazy
    def _distinct(self) -> set[str]:
        return set(self._filled)

    @lazy
    def lines(self) -> int:
        """Lines, empty ones too."""
        return len(self._lines)

    @lazy
    def empty_lines(self) -> int:
        """Lines without a character."""
        return len(self._lines) - len(self._filled)

    @lazy
    def ended_lines(self) -> int:
        """Lines that end in punctuation or a closing quote."""
        return len(self._filled) - self.open_lines

    @lazy
    def bullet_lines(self) -> int:
        """Lines that begin with a bullet."""
        return len([1 for line in self._filled if line_table()[ord(line[0])] & BULLET])

    @lazy
    def ellipsis_lines(self) -> int:
        """Lines that end in an ellipsis, a page number behind it or not."""
        likely = [line for line in self._filled if line_table()[ord(line[-1])] & TRAILING]
        return len([1 for x in likely if x.rstrip(_DIGITS).endswith(("…", "..."))])

    @lazy
    def _open(self) -> list[str]:
        return [line for line in self._filled if not line_table()[ord(line[-1])] & ENDS]

    @lazy
    def short_lines(self) -> int:
        """Lines that are short and do not end in punctuation."""
        limit = SHORT_LINE_CHARS[self.unspaced]
        return len([1 for line in self._open if len(line) < limit])

    @lazy
    def open_lines(self) -> int:
        """Lines that no punctuation ends."""
        return len(self._open)

    @lazy
    def open_line_chars(self) -> int:
        """Their characters."""
        return sum(map(len, self._open))

    @lazy
    def longest_line(self) -> int:
        """Characters of the longest line."""
        return max(map(len, self._lines))

    @lazy
    def repeated_lines(self) -> int:
        """How many lines that are not empty stood there before."""
        return len(self._filled) - len(self._distinct)

    @lazy
    def repeated_line_chars(self) -> int:
        """Their characters."""
        return sum(map(len, self._filled)) - sum(map(len, self._distinct))

    @property
    def filled_lines(self) -> int:
        """Lines with a character."""
        return self.lines - self.empty_lines


@cache
def base_language(code: str) -> str:
    """The language of a code: zh of zh-Hant-TW."""
    return code.replace("_", "-").partition("-")[0].lower()
