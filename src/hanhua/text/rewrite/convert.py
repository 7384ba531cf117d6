"""Traditional and simplified characters: conversion of texts, and one key for comparing them.

OpenCC (https://github.com/BYVoid/OpenCC) converts words, not only characters: one simplified
character stands for several traditional ones (发: 發 or 髮), and 乾 stays in 乾隆 but not in 乾淨.
What it is not told is whether a text wants converting, and there are traps:

- Only on text that was found to be Chinese: 學 in Japanese text would become 学 by rule, not by
  intent, and 芸 would become 艺 or not.
- Not on text that is in the wanted characters already: ``t2s`` makes 打坯 of a simplified 打坏.
  So a text without one character that exists in the other script only comes back as it is, which
  is also five times faster. A text that mixes both is converted whole.
- ``t2s`` leaves 著 in 看著, as Taiwan and Hong Kong write it, for 著 is a character of its own in
  simplified 著名; ``simplified_tw`` looks at the words. It changes vocabulary too (滑鼠: 鼠标),
  which is a translation: choose it for text from Taiwan, not for classical literature.
- Going to traditional guesses where the simplified text has lost the difference; going there and
  back is not the identity. Names suffer first.

For comparing texts the words do not matter and speed does: simplified_points is a table. It maps
乾 and 著 wherever they stand, so it is wrong for reading and right for keys, since both texts are
mapped alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np

from hanhua.text.scripts import CodePoints

Mode = Literal[
    "simplified", "simplified_tw", "simplified_hk",
    "traditional", "traditional_tw", "traditional_hk",
]  # fmt: skip
_CONFIGS: dict[Mode, str] = {
    "simplified": "t2s",
    "simplified_tw": "tw2sp",
    "simplified_hk": "hk2s",
    "traditional": "s2t",
    "traditional_tw": "s2twp",
    "traditional_hk": "s2hk",
}
MODES: tuple[Mode, ...] = tuple(_CONFIGS)
"""What converter() can do; the first of each three keeps the words and changes characters only."""

_COMMON = (0x4E00, 0xA000)
_HAN = ((0x3400, 0x4DC0), _COMMON, (0x20000, 0x323B0))
_COMPATIBILITY = ((0xF900, 0xFB00), (0x2F800, 0x2FA20))
_VARIANTS = (("tw2s",), ("hk2s",))
"""What is asked, after t2s, about characters that t2s leaves alone."""


@cache
def converter(mode: Mode) -> Callable[[str], str]:
    """A function that converts one text.

    Args:
        mode: ``simplified`` for traditional text of any origin, ``simplified_tw`` and
            ``simplified_hk`` for text from Taiwan (vocabulary too) and Hong Kong; ``traditional``,
            ``traditional_tw`` (vocabulary too) and ``traditional_hk`` the other way.

    Returns:
        A pure function from text to text. It takes text that encodes to UTF-8, as normalise()
        leaves it. It cannot be pickled: each process makes its own.

    Raises:
        KeyError: an unknown mode.
    """
    convert = _opencc(_CONFIGS[mode])
    to_simplified = mode.startswith("simplified")
    foreign = _foreign("t2s", "gb2312") if to_simplified else _foreign("s2t", "big5")

    def converted(text: str) -> str:
        return convert(text) if foreign(text) else text

    return converted


@cache
def simplified_points() -> CodePoints:
    """The simplified character of every traditional or variant one, uint32 [0x110000].

    Identity for everything else, a fixed point after one step, and only for comparing texts. A
    Taiwan, Hong Kong or Japanese form is mapped where it is no simplified character itself:
    Japanese 芸 is 藝, but 芸 is a character of Chinese too, so it stays. Compatibility ideographs
    are mapped as NFC maps them.
    """
    points = np.arange(0x110000, dtype=np.uint32)
    for low, high in _COMPATIBILITY:
        points[low:high] = [ord(unicodedata.normalize("NFC", chr(c))) for c in range(low, high)]
    changed = dict(_changes(("t2s",), _characters()))
    simplified = {changed[c] for c in _common() if c in changed}
    for chain in _VARIANTS:
        for before, after in _changes(chain, _common()):
            if before not in simplified:
                changed.setdefault(before, after)
    own = _encodable("gb2312")
    for before, after in _changes(("jp2t", "t2s"), _common()):
        if before not in own and after in own:
            changed.setdefault(before, after)
    for before, after in changed.items():
        points[ord(before)] = ord(after)
    points = points[points]
    points.setflags(write=False)  # one copy for all who ask
    return points


@cache
def _opencc(config: str) -> Callable[[str], str]:
    # Not at the top: what only compares configurations does not need the library.
    from opencc import OpenCC

    found: Any = OpenCC(config)

    def convert(text: str) -> str:
        return str(found.convert(text))

    return convert


def _changes(chain: Iterable[str], characters: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The characters that OpenCC changes when they stand alone; a newline ends every word."""
    converted = "\n".join(characters)
    for config in chain:
        converted = _opencc(config)(converted)
    for before, after in zip(characters, converted.split("\n"), strict=True):
        if before != after and len(after) == 1:
            yield before, after


@cache
def _characters() -> tuple[str, ...]:
    return tuple(chr(code) for low, high in _HAN for code in range(low, high))


@cache
def _common() -> tuple[str, ...]:
    return tuple(map(chr, range(*_COMMON)))


@cache
def _encodable(codec: str) -> frozenset[str]:
    """The Han characters of a national standard."""
    return frozenset("".join(_common()).encode(codec, "ignore").decode(codec))


@cache
def _foreign(config: str, own: str) -> Callable[[str], re.Match[str] | None]:
    """Find the first character that a conversion changes and that is not of the wanted script."""
    found = {before for before, _ in _changes((config,), _common())} - _encodable(own)
    return re.compile(f"[{''.join(sorted(found))}]").search
