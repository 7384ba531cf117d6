"""Han characters: Chinese or Japanese, simplified or traditional, by what each character rules out.

A character that only one of the three has speaks against the other two: 们 is neither traditional
Chinese nor Japanese, 學 neither simplified Chinese nor Japanese, 駅 is not Chinese. 東 and 学 are
in no one's way alone, but of the three only Japanese has both, so 東京大学 is Japanese without a
letter of kana. The text is what the fewest of its characters contradict.

What belongs to whom is derived, not listed: GB 2312 is simplified Chinese, Big5 level 1
traditional, JIS X 0208 level 1 Japanese (Python's own codecs), and OpenCC's character tables
(https://github.com/BYVoid/OpenCC) say which characters are two forms of one.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hanhua.text.native import NATIVE
from hanhua.text.scripts import is_han

_MASK, _MAX_CHARS = (1 << 21) - 1, 2_000_000
_CHINESE_WORDS = "了是他我也那些但而其这這"
"""Among the commonest in Chinese, next to never in Japanese (below a tenth as often)."""
_NOT_JA_RATE = 0.2
"""Characters that Japanese has not, of all Han characters of a Chinese text: .23 traditional,
.34 simplified; of a Japanese text .007 (UD Chinese-PUD, Japanese-GSD)."""
_KANA_PER_HAN, _FEW_HAN = 1.4, 20
"""Kana for each Han character of a Japanese text; among a few Han characters fewer are enough."""
_CLEAR_VARIANT = 0.6


class HanCounts(NamedTuple):
    """How many of a text's Han characters contradict each reading.

    Args:
        not_hans: are not written in simplified Chinese.
        not_hant: are not written in traditional Chinese.
        not_ja: are not written in Japanese.
    """

    not_hans: int
    not_hant: int
    not_ja: int

    @property
    def variant(self) -> str:
        """``Hans`` or ``Hant``, if three fifths of what tells them apart agree; else nothing."""
        evidence = self.not_hans + self.not_hant
        if not evidence or max(self.not_hans, self.not_hant) < _CLEAR_VARIANT * evidence:
            return ""
        return "Hans" if self.not_hans < self.not_hant else "Hant"

    def japanese_share(self, han: int, kana: int, likely: str) -> float:
        """How much of the Han characters is Japanese.

        Args:
            han: all Han characters of the text.
            kana: its kana; without any, it is all Chinese or all Japanese.
            likely: ``ja`` where Japanese is expected and takes what speaks for none.
        """
        if not kana:
            chinese = min(self.not_hans, self.not_hant)
            closer = self.not_ja <= chinese if likely == "ja" else self.not_ja < chinese
            return 1.0 if closer else 0.0
        if not han:
            return 0.0
        least = kana / han if han < _FEW_HAN else kana / (_KANA_PER_HAN * han)
        return max(1.0 - self.not_ja / (_NOT_JA_RATE * han), min(least, 1.0))


def count_han(text: str) -> HanCounts:
    """Count what a text's Han characters rule out (of its first two million characters)."""
    if NATIVE is not None:
        return HanCounts(*NATIVE.marks(text[:_MAX_CHARS], _marks())[:3])
    units = np.frombuffer(text[:_MAX_CHARS].encode("utf-16-le", "surrogatepass"), dtype="<u2")
    packed = int(np.add.reduce(_table().take(units)))
    return HanCounts(packed & _MASK, packed >> 21 & _MASK, packed >> 42)


def _standard(codec: str, leads: range) -> set[str]:
    """The characters of the rows of a two-byte national standard."""
    trails = [*range(0x40, 0x7F), *range(0xA1, 0xFF)]
    pairs = bytes(byte for lead in leads for trail in trails for byte in (lead, trail))
    return set(filter(is_han, pairs.decode(codec, "ignore")))


def _pairs(usage: str) -> dict[str, str]:
    """The characters that a conversion of OpenCC changes, and into what."""
    from opencc import OpenCC

    every = [chr(c) for c in (*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000))]
    other = OpenCC(usage).convert("\n".join(every)).split("\n")
    return {a: b for a, b in zip(every, other, strict=True) if a != b}


@cache
def _marks() -> npt.NDArray[np.uint8]:
    """The same as a bit for each reading, uint8 [0x110000]."""
    table = np.zeros(0x110000, dtype=np.uint8)
    for place in range(3):
        table[: len(_table())] |= ((_table() >> 21 * place & 1) << place).astype(np.uint8)
    return table


@cache
def _table() -> npt.NDArray[np.int64]:
    """What each UTF-16 unit rules out, three counters of 21 bits in one number, int64 [0x10000].

    So that one addition counts all three. Han characters outside the basic plane rule nothing out.
    """
    simplified, shinjitai = _pairs("t2s"), _pairs("t2jp")
    gb = _standard("gb2312", range(0xB0, 0xF8))
    big5 = _standard("big5", range(0xA4, 0xC7))
    rare = _standard("cp950", range(0xC9, 0xFA))
    jis = _standard("euc_jp", range(0xB0, 0xD0)) - set(shinjitai)
    japanese = (set(shinjitai.values()) - gb - big5) | (jis - gb - big5 - rare)
    not_hans = (set(simplified) - gb) | japanese
    not_hant = (set(simplified.values()) - big5) | japanese
    not_ja = ((gb | big5 | rare | set(simplified)) - jis) | set(_CHINESE_WORDS)
    table = np.zeros(0x10000, dtype=np.int64)
    for place, found in enumerate((not_hans, not_hant, not_ja)):
        table[[ord(character) for character in found if character < "\uffff"]] += 1 << 21 * place
    return table
