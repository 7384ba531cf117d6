"""What a character is to the quality rules: one look-up tells eight things about it.

A table of one byte a code point, so that the part which a script uses stays in the processor's
cache; a document's flags are one pass over it, and the counts and places that rules need come
from them.
"""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from hanhua.text.quality.lexicon import FIRST_CHARACTERS, SECOND_CHARACTERS
from hanhua.text.scripts import FIRST_SCRIPT, OTHER, SCRIPTS, SPACE, SYMBOL, class_table

Flags: TypeAlias = npt.NDArray[np.uint8]

PAUSE, BLANK, LETTER, TOKEN, PARTICLE, RARE, AD_FIRST, AD_SECOND = (
    np.array(1 << bit, dtype=np.uint8) for bit in range(8)
)
"""Flags of a character: punctuation, symbol or space; space; letter; Latin letter, ASCII digit or
plus, which base64 is made of; particle of Chinese; Han that neither GB 2312 nor Big 5 knows; begins
or goes on a term of advertising. Arrays, as numpy takes twice as long with Python's numbers."""

PARTICLES = (
    "的了是不在我你您他她它们們这這那有和与與及或也就都而又还還很更最要会會能可以将將把被让讓给給对對"
    "从從到向由于於因为為所之其此则則乃且若如虽雖但却卻并並即已曾未无無没沒着著过過个個些么麼什怎哪谁誰"
    "吗嗎呢吧啊者矣焉乎哉兮何孰莫勿非弗一各每某等说說曰得地使令只才再自相当當"
)
"""Han characters of grammar alone: what lists of things, names and firms go without."""

_LAST_LATIN = 0x250

ENDS, BULLET, TRAILING = (1 << bit for bit in range(3))
"""Marks of a line: what may end a sentence, begin a list's entry, end a line that trails off."""
_LINE_MARKS = {
    ENDS: ".!?;…。！？；，,、\"'”’」』｡",
    BULLET: "•‣◦▪▫■□●○◆◇▶►➢➤※·–-*+",
    TRAILING: ".…0123456789",
}


@cache
def flag_table() -> Flags:
    """The flags of every code point, uint8 [0x110000]."""
    classes = class_table()
    table = np.zeros(0x110000, dtype=np.uint8)
    table[(classes == SPACE) | (classes == SYMBOL)] |= PAUSE
    table[classes == SPACE] |= BLANK
    table[classes >= OTHER] |= LETTER
    table[:_LAST_LATIN][classes[:_LAST_LATIN] >= OTHER] |= TOKEN
    listed = ((TOKEN, "0123456789+"), (PARTICLE, PARTICLES), (AD_FIRST, FIRST_CHARACTERS),
              (AD_SECOND, SECOND_CHARACTERS))  # fmt: skip
    for flag, characters in listed:
        table[[ord(character) for character in characters]] |= flag
    han = np.flatnonzero(classes == FIRST_SCRIPT + SCRIPTS.index("han"))
    common = [ord(character) for character in _in_old_sets()]
    table[np.setdiff1d(han, common)] |= RARE
    return table


@cache
def line_table() -> bytes:
    """The marks of every code point, [0x110000]."""
    table = bytearray(0x110000)
    for mark, characters in _LINE_MARKS.items():
        for character in characters:
            table[ord(character)] |= mark
    return bytes(table)


def _in_old_sets() -> set[str]:
    """The characters of GB 2312 and Big5, found by decoding every pair of bytes."""
    pairs = b"\n".join(bytes((a, b)) for a in range(0xA1, 0xFF) for b in range(0x40, 0xFF))
    return {c for codec in ("gb2312", "big5") for c in pairs.decode(codec, "ignore")}
