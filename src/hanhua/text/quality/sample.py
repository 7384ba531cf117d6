"""Words, n-grams and stretches of a document: of a long one those of a sample.

The sample is its beginning, middle and end. It becomes code points once, one table look-up gives
each character its flags, and words and n-grams are arrays made from those.
"""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from hanhua.text.quality.document import LineFacts, lazy
from hanhua.text.quality.flags import (
    AD_FIRST,
    AD_SECOND,
    BLANK,
    LETTER,
    PARTICLE,
    PAUSE,
    RARE,
    TOKEN,
    Flags,
    flag_table,
)  # fmt: skip
from hanhua.text.quality.hashing import AFTER_SPACE, POWERS, Units, join, most_of
from hanhua.text.scripts import CodePoints, code_points
from hanhua.text.scripts import profile as profile_of

Places: TypeAlias = npt.NDArray[np.intp]

SAMPLE_CHARS = {True: 4_500, False: 6_000}
"""Longer texts are sampled; of unspaced languages less, as a Han character says more."""
LONG_TOKEN_CHARS, LONG_RUN_CHARS = 30, 120
FEW_UNITS = 100
"""N-grams of fewer units (characters, words) say nothing: one word said twice would be much."""

_PIECES = 3
_FUNCTION_WORDS = (
    "the be to of and that have with is in a i you for it was he she they not on as at this are or"
)
_LETTER_OR_TOKEN = np.array(LETTER | TOKEN)
_NO_CASE = np.array(0x20, dtype=np.uint32)
"""The bit that tells small letters from capital ones, and a space by itself."""
_TABLE_SHIFT = np.array(16, dtype=np.uint32)


class Facts(LineFacts):
    """A document as the rules see it; the numbers of the sample beside those of the lines."""

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

    @lazy
    def sample_chars(self) -> int:
        """Characters of the sample."""
        return len(self.points)

    def _count(self, flag: Flags) -> int:
        return int(np.count_nonzero(self.flags & flag))

    @lazy
    def breaks(self) -> int:
        """Punctuation, symbols and spaces of the sample."""
        return len(self._breaks)

    @lazy
    def blanks(self) -> int:
        """Spaces and line breaks of the sample."""
        return len(self._blanks)

    @lazy
    def token_chars(self) -> int:
        """Latin letters, digits and plus signs of the sample."""
        return self._count(TOKEN)

    @lazy
    def particles(self) -> int:
        """Particles of Chinese in the sample."""
        return self._count(PARTICLE)

    @lazy
    def rare_han(self) -> int:
        """Han characters of the sample that no old character set has."""
        return self._count(RARE)

    @property
    def particle_share(self) -> float:
        """Particles of Chinese, of all units."""
        return self.particles / max(self.units, 1)

    @lazy
    def ad_beginnings(self) -> int:
        """Places where two characters stand that a term of advertising begins with."""
        return len(self.ad_bytes) // 4

    @lazy
    def ad_bytes(self) -> bytes:
        """Where these are, as uint32 [ad_beginnings]."""
        first = places_of(self.flags[:-1] & AD_FIRST)
        found = first.compress((self.flags.take(first + 1) & AD_SECOND).astype(bool))
        return found.astype(np.uint32).tobytes()

    @lazy
    def _breaks(self) -> Places:
        return places_of(self.flags & PAUSE)

    @lazy
    def _stretches(self) -> Places:
        """Characters between the breaks, before the first and behind the last one too."""
        edges = np.empty(len(self._breaks) + 2, dtype=np.intp)
        edges[0], edges[1:-1], edges[-1] = -1, self._breaks, len(self.flags)
        return edges[1:] - edges[:-1] - 1

    @lazy
    def stretches(self) -> int:
        """Stretches of letters and digits between the breaks."""
        return int(np.count_nonzero(self._stretches))

    @lazy
    def longest_stretch(self) -> int:
        """Characters of the longest of these."""
        return int(self._stretches.max())

    @lazy
    def unbroken_chars(self) -> int:
        """Characters in stretches of over 120."""
        return int(self._stretches.compress(self._stretches > LONG_RUN_CHARS).sum())

    @lazy
    def long_token_chars(self) -> int:
        """Characters in stretches of over 30 that are Latin letters and digits throughout.

        Throughout: a quarter, a half and three quarters behind the beginning.
        """
        token, flags, found = int(TOKEN), self.flags.tobytes(), 0
        for number in (self._stretches > LONG_TOKEN_CHARS).nonzero()[0].tolist():
            length = int(self._stretches[number])
            start = int(self._breaks[number - 1]) + 1 if number else 0
            if all(flags[start + n * length // 4] & token for n in (1, 2, 3)):
                found += length
        return found

    @lazy
    def _blanks(self) -> Places:
        return self._breaks.compress((self.flags.take(self._breaks) & BLANK).astype(np.bool_))

    @lazy
    def _words(self) -> tuple[Places, Places]:
        """Where words begin and end, by the spaces between them."""
        blank = self._blanks
        edges = np.empty(len(blank) + 2, dtype=np.intp)
        edges[0], edges[1:-1], edges[-1] = -1, blank, len(self.flags)
        starts, ends = edges[:-1] + 1, edges[1:]
        filled = ends > starts
        return starts.compress(filled), ends.compress(filled)

    @lazy
    def words(self) -> int:
        """Words by the spaces between them; 0 in languages without spaces."""
        return 0 if self.unspaced else len(self._words[0])

    @lazy
    def lettered_words(self) -> int:
        """Words with a letter among their first two characters."""
        if self.unspaced:
            return 0
        starts = self._words[0]
        first = self.flags.take(starts) | self.flags.take(starts + 1, mode="clip")
        return int(np.count_nonzero(first & LETTER))

    @lazy
    def function_words(self) -> int:
        """Function words of English, by the high 16 bits of their hash; 0.04 % are by chance."""
        if self.unspaced:
            return 0
        return int(np.count_nonzero(function_table().take(self.word_hashes >> _TABLE_SHIFT)))

    @lazy
    def word_hashes(self) -> Units:
        """A hash of each word, without case, uint32 [words].

        A word's hash is the sum over its pairs of neighbouring characters, so that all words are
        hashed at once; different words with the same pairs are very rare.
        """
        letters = self.points | _NO_CASE
        letters[self._blanks] = _NO_CASE
        mixed = np.empty_like(letters)
        mixed[:1] = AFTER_SPACE
        np.multiply(letters[:-1], POWERS[1], out=mixed[1:])
        mixed ^= letters
        mixed *= letters
        sums = np.empty(len(letters) + 1, dtype=np.uint32)
        sums[0] = 0
        np.cumsum(mixed, dtype=np.uint32, out=sums[1:])
        starts, ends = self._words
        return (sums.take(ends) - sums.take(starts)) * POWERS[1]

    @lazy
    def _units(self) -> Units:
        """What n-grams are made of: words; in languages without spaces letters, but Latin ones.

        A Latin name in a Chinese page would count once a letter.
        """
        if self.unspaced:
            return self.points.compress((self.flags & _LETTER_OR_TOKEN) == LETTER)
        return self.word_hashes

    @lazy
    def units(self) -> int:
        """How many words, or letters, n-grams are made of."""
        return len(self._units)

    @property
    def grams(self) -> int:
        """N-grams of 8 letters or 5 words."""
        return max(self.units - (7 if self.unspaced else 4), 0)

    @lazy
    def _pairs(self) -> Units:
        return join(self._units, self._units[1:], 1)

    @lazy
    def _quads(self) -> Units:
        return join(self._pairs, self._pairs[2:], 2)

    @lazy
    def top_pair(self) -> int:
        """How often the commonest two units in a row occur, at most; 0 with under 100 units."""
        return 0 if self.units < FEW_UNITS else most_of(self._pairs)

    @lazy
    def top_quad(self) -> int:
        """How often the commonest four units in a row occur, at most; 0 with under 100 units."""
        return 0 if self.units < FEW_UNITS else most_of(self._quads)

    @lazy
    def repeated_grams(self) -> int:
        """N-grams of 8 letters or 5 words that stood there before; 0 with under 100 units."""
        if self.units < FEW_UNITS:
            return 0
        grams = (
            join(self._quads, self._quads[4:], 4) if self.unspaced
            else join(self._quads, self._units[4:], 1)
        )  # fmt: skip
        grams.sort()
        return int(np.count_nonzero(grams[1:] == grams[:-1]))


def places_of(marks: Flags) -> Places:
    """Where marks are not 0; numpy finds places in booleans three times as fast as in numbers."""
    places: Places = marks.astype(np.bool_).nonzero()[0]
    return places


@cache
def function_table() -> npt.NDArray[np.bool_]:
    """Which high 16 bits of a hash are those of a function word's, bool [0x10000]."""
    table = np.zeros(1 << 16, dtype=np.bool_)
    words = Facts(_FUNCTION_WORDS, profile_of(_FUNCTION_WORDS), "en").word_hashes
    table[words >> _TABLE_SHIFT] = True
    return table
