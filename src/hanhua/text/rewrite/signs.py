"""Which steps of rewriting a text needs, told by one look at it.

Mending, normalising and masking each begin with patterns that nearly no text matches, and looking
for them is most of what they cost. The compiled part looks for all of them at once, a hundred
million characters a second. A sign that it does not give is certain; one that it gives says only
that the step has to look for itself, so the steps are right without it.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import numpy.typing as npt

from hanhua.text.native import NATIVE

CHARACTERS, LINE_ENDS, SPACED, REPEATED, SUSPECT, CANDIDATE = (1 << bit for bit in range(6))
"""Signs: characters that normalisation may change; spaces at line ends or empty lines in a row; a
space behind every Han character; a mark four or seven times in a row; what wrong decoding leaves;
numbers and addresses that may be personal."""
ALL = 63
"""What is said of a text that nobody looked at."""

_LAST_LISTED = 0x40000
"""Behind it nothing is usual."""
_UNUSUAL, _HAN, _MARK, _ROW, _LEAD, _TAIL, _DIGIT, _BLANK = (
    np.uint8(1 << bit) for bit in range(8)
)  # the same as in native/scan.c


def signs(text: str) -> int:
    """The signs that a text gives; ALL without the compiled part, which is as right and slower."""
    return int(NATIVE.scan(text, _table())) if NATIVE is not None else ALL


@cache
def _table() -> npt.NDArray[np.uint8]:
    """What each code point may be a sign of, uint8 [0x110000]."""
    # Here, as these modules import this one.
    from hanhua.text.rewrite.layout import HAN, MARKS, ROW_MARKS
    from hanhua.text.rewrite.mend import TAILS, TELLS
    from hanhua.text.rewrite.normalise import USUAL

    table = np.full(0x110000, _UNUSUAL, dtype=np.uint8)
    every = "".join(map(chr, range(_LAST_LISTED)))
    table[_places(USUAL, every)] = 0
    table[_places(HAN, every)] |= _HAN
    low = every[:0x10000]
    for flag, members in (
        (_MARK, MARKS),
        (_ROW, re.escape(ROW_MARKS)),
        (_LEAD, f"\xa1\xaa\xb0-\xf7{TELLS}"),
        (_TAIL, f"AC\xa1-\xfe{TAILS}"),
        (_DIGIT, "0-9@＠"),
        (_BLANK, " \n"),
    ):
        table[_places(members, low)] |= flag
    return table


def _places(members: str, among: str) -> npt.NDArray[np.uint32]:
    """The code points that a set of a pattern has."""
    found = "".join(re.findall(f"[{members}]+", among))
    return np.frombuffer(found.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
