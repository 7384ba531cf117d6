"""What the quality rules ask of a text: counted once a document, and only what is asked for.

Thirty rules over one document would read it thirty times. Here a text becomes code points once,
one table look-up gives each character its flags, and words and n-grams are arrays made from
those; each is computed when the first rule asks and kept for the next. Of a long text these arrays
stand for a sample, its beginning, middle and end; characters are counted and lines
looked at in all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeAlias, TypeVar, overload

import numpy as np
import numpy.typing as npt

from hanhua.text.quality.flags import BLANK, LETTER, PARTICLE, PAUSE, TOKEN, Flags, flag_table
from hanhua.text.scripts import (
    BROKEN,
    DIGIT,
    OTHER,
    SPACE,
    SYMBOL,
    CodePoints,
    Profile,
    code_points,
)

Value = TypeVar("Value")
Places: TypeAlias = npt.NDArray[np.intp]
Units: TypeAlias = npt.NDArray[np.uint32]

UNSPACED = frozenset(("zh", "ja", "th", "lo", "km", "my", "bo"))
"""Languages written without spaces between words: their n-grams are of characters."""
SAMPLE_CHARS = {True: 4_500, False: 6_000}
"""Longer texts are sampled; of unspaced languages less, as a Han character says more."""
_PIECES = 3

_LETTER_OR_TOKEN = np.array(LETTER | TOKEN)
_NO_CASE = np.array(0x20, dtype=np.uint32)
"""The bit that tells small letters from capital ones, and a space by itself."""
_MULTIPLIER = 0x9E3779B1
_POWERS = {n: np.array(pow(_MULTIPLIER, n, 1 << 32), dtype=np.uint32) for n in (1, 2, 4)}
_AFTER_SPACE = (0x20 * _MULTIPLIER) % (1 << 32)


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


class Facts:
    """A document as the rules see it.

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

    # The whole text

    @lazy
    def lines(self) -> list[str]:
        """The lines, empty ones too."""
        return self.text.split("\n")

    @lazy
    def filled_lines(self) -> list[str]:
        """The lines that are not empty."""
        return [line for line in self.lines if line]

    @lazy
    def distinct_lines(self) -> set[str]:
        """The lines, each once."""
        return set(self.lines)

    @lazy
    def repeated_lines(self) -> int:
        """How many lines that are not empty stood there before."""
        empty = max(self.lines.count("") - 1, 0)
        return len(self.lines) - len(self.distinct_lines) - empty

    # The sample

    @lazy
    def sample(self) -> str:
        """The text, or of a long one its beginning, middle and end."""
        most = SAMPLE_CHARS[self.unspaced]
        if self.chars <= most:
            return self.text
        size = most // _PIECES
        starts = (n * (self.chars - size) // (_PIECES - 1) for n in range(_PIECES))
        return "\n".join(self.text[start : start + size] for start in starts)

    @lazy
    def points(self) -> CodePoints:
        """The sample's code points, uint32 [sample chars]."""
        return code_points(self.sample)

    @lazy
    def flags(self) -> Flags:
        """Each character's flags, uint8 [sample chars]."""
        return flag_table().take(self.points)

    def count(self, flag: Flags) -> int:
        """How many characters of the sample have a flag."""
        return int(np.count_nonzero(self.flags & flag))

    @lazy
    def particle_share(self) -> float:
        """Particles of Chinese, of all units."""
        return self.count(PARTICLE) / max(len(self.units), 1)

    @lazy
    def breaks(self) -> Places:
        """Where punctuation, symbols and spaces stand, [breaks]."""
        return places_of(self.flags & PAUSE)

    @lazy
    def stretches(self) -> Places:
        """Letters and digits between the breaks, one more than characters, [breaks + 1].

        Before the first break and behind the last one too; 1 where nothing stands between.
        """
        edges = np.empty(len(self.breaks) + 2, dtype=np.intp)
        edges[0], edges[1:-1], edges[-1] = -1, self.breaks, len(self.flags)
        return edges[1:] - edges[:-1]

    @lazy
    def longest_stretch(self) -> int:
        """Characters of the longest of these."""
        return int(np.maximum.reduce(self.stretches)) - 1

    @lazy
    def blanks(self) -> Places:
        """Where spaces and line breaks stand, [blanks]."""
        return self.breaks.compress((self.flags.take(self.breaks) & BLANK).astype(np.bool_))

    @lazy
    def _words(self) -> tuple[Places, Places]:
        """Where words begin and end, by the spaces between them."""
        blank = self.blanks
        edges = np.empty(len(blank) + 2, dtype=np.intp)
        edges[0], edges[1:-1], edges[-1] = -1, blank, len(self.flags)
        starts, ends = edges[:-1] + 1, edges[1:]
        filled = ends > starts
        return starts.compress(filled), ends.compress(filled)

    @lazy
    def word_starts(self) -> Places:
        """Where words begin, [words]."""
        return self._words[0]

    @lazy
    def words(self) -> Units:
        """A hash of each word, without case, uint32 [words].

        A word's hash is the sum over its pairs of neighbouring characters, so that all words are
        hashed at once; different words with the same pairs are very rare.
        """
        letters = self.points | _NO_CASE
        letters[self.blanks] = _NO_CASE
        mixed = np.empty_like(letters)
        mixed[:1] = _AFTER_SPACE
        np.multiply(letters[:-1], _POWERS[1], out=mixed[1:])
        mixed ^= letters
        mixed *= letters
        sums = np.empty(len(letters) + 1, dtype=np.uint32)
        sums[0] = 0
        np.cumsum(mixed, dtype=np.uint32, out=sums[1:])
        starts, ends = self._words
        return (sums.take(ends) - sums.take(starts)) * _POWERS[1]

    @lazy
    def units(self) -> Units:
        """What n-grams are made of: words; in languages without spaces letters, but Latin ones.

        A Latin name in a Chinese page would count once a letter.
        """
        if self.unspaced:
            return self.points.compress((self.flags & _LETTER_OR_TOKEN) == LETTER)
        return self.words

    @lazy
    def pairs(self) -> Units:
        """Hashes of each two units in a row, uint32 [units - 1]."""
        return join(self.units, self.units[1:], 1)

    @lazy
    def quads(self) -> Units:
        """Hashes of each four units in a row, uint32 [units - 3]."""
        return join(self.pairs, self.pairs[2:], 2)


@cache
def base_language(code: str) -> str:
    """The language of a code: zh of zh-Hant-TW."""
    return code.replace("_", "-").partition("-")[0].lower()


def places_of(marks: Flags) -> Places:
    """Where marks are not 0; numpy finds places in booleans three times as fast as in numbers."""
    places: Places = marks.astype(np.bool_).nonzero()[0]
    return places


def join(left: Units, right: Units, right_units: int) -> Units:
    """Hashes of n-grams (polynomials) from those of their beginnings and of their ends.

    Args:
        left: hashes of the first units of each n-gram; those without an end are left out.
        right: hashes of the units that follow.
        right_units: how many these are.
    """
    joined = left[: len(right)] * _POWERS[right_units]
    joined += right
    return joined
