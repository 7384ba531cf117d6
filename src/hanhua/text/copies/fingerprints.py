"""Fingerprints of a document's passages: few, and the same wherever a passage stands.

Winnowing (Schleimer, Wilkerson and Aiken 2003, https://doi.org/10.1145/872757.872770): every run
of k characters is hashed, and of each window of such runs the one with the least hash is kept. The
windows of a passage do not depend on what stands around it, so two places of a passage that is
long enough share a fingerprint, always. What is hashed is the text as it is compared: case,
width, spacing and punctuation make no difference.

Length is counted so that one number fits Chinese and English: a Han character, kana or hangul
weighs as much as three letters of an alphabet (the UTF-8 bytes of each, and about what each says).
With a passage of 100 there is a fingerprint for every 26 Han characters or 76 letters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from hanhua.text.native import NATIVE
from hanhua.text.scripts import FIRST_SCRIPT, SCRIPTS, CodePoints, class_table

HAN_WEIGHT = 3
"""What a Han character weighs; a letter or digit weighs 1."""
MAX_PLACES = 8
"""Places of one fingerprint that are remembered: in a document, and of a corpus the best."""

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_TIE_BITS = 28
"""Hashes are ordered by their upper 36 bits, then by place: the leftmost of equal ones is kept."""

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PassageSize:
    """How long a passage must be.

    Args:
        min_chars: in Han characters, 4 or more; three letters count as one.
    """

    min_chars: int

    @property
    def weight(self) -> int:
        """The least weight of a passage."""
        return HAN_WEIGHT * self.min_chars

    @property
    def run_chars(self) -> int:
        """Characters in a run that is hashed; half a passage of Han characters."""
        return self.min_chars // 2

    @property
    def window(self) -> int:
        """Weight between the first and the last run of a window: together never over a passage."""
        return self.weight - HAN_WEIGHT * self.run_chars


@cache
def weight_table() -> npt.NDArray[np.uint8]:
    """The weight of every code point that counts, uint8 [0x110000]."""
    full = [FIRST_SCRIPT + SCRIPTS.index(name) for name in ("han", "kana", "hangul")]
    return np.where(np.isin(class_table(), full), HAN_WEIGHT, 1).astype(np.uint8)


def weights_before(points: CodePoints) -> Places:
    """The weight of all characters before each place, int64 [chars + 1]."""
    return np.concatenate([[0], np.cumsum(weight_table().take(points), dtype=np.int64)])


def winnow(points: CodePoints, size: PassageSize) -> tuple[Hashes, Places]:
    """The fingerprints of a text, in order.

    Args:
        points: the text as it is compared (``minhash.canonical_points``), uint32 [chars].
        size: of the passages that must be found.

    Returns:
        uint64 hashes and int64 places, where the hashed runs begin. Any passage of the size or
        longer contains one run whose place in it is the same wherever it stands.
    """
    if NATIVE is not None:
        points = np.ascontiguousarray(points, dtype=np.uint32)
        found = NATIVE.winnow(points, weight_table(), size.run_chars, size.window)
        return np.frombuffer(found[0], np.uint64), np.frombuffer(found[1], np.int64)
    return winnow_slowly(points, size)


def winnow_slowly(points: CodePoints, size: PassageSize) -> tuple[Hashes, Places]:
    """The definition of ``winnow``; native/passages.c does the same."""
    hashes = _run_hashes(points, size.run_chars)
    before = weights_before(points)
    # Windows by where they begin; those that the text's end cuts short are in no passage.
    starts = np.arange(np.searchsorted(before, before[len(hashes)] - size.window))
    if not len(hashes) or not len(starts):
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    ends = np.searchsorted(before, before[starts] + size.window, side="right")
    mask = np.uint64((1 << _TIE_BITS) - 1)
    keys = (hashes & ~mask) | np.arange(len(hashes), dtype=np.uint64)
    places = np.unique(_least(keys, starts, ends) & mask).astype(np.int64)
    return hashes[places], places


def _run_hashes(points: CodePoints, run_chars: int) -> Hashes:
    """Every run of so many characters, hashed: a polynomial modulo 2^64, mixed."""
    chars = len(points)
    if chars < run_chars:
        return np.zeros(0, np.uint64)
    powers, inverse = _powers(_BASE, chars), _powers(_INVERSE, chars)
    sums = np.concatenate([[np.uint64(0)], np.cumsum(points * _MIX * inverse, dtype=np.uint64)])
    hashes: Hashes = (sums[run_chars:] - sums[:-run_chars]) * powers[run_chars - 1 :]
    hashes ^= hashes >> np.uint64(31)
    hashes *= _MIX
    return hashes


def _powers(base: int, count: int) -> Hashes:
    found = np.full(count, base, dtype=np.uint64)
    found[0] = 1
    return np.cumprod(found, dtype=np.uint64)


def _least(keys: Hashes, starts: Places, ends: Places) -> Hashes:
    """The least of keys[start:end] for each start; all spans have one key or more."""
    least = np.empty(len(starts), dtype=np.uint64)
    length, width = ends - starts, 1
    while True:
        mine = (length >= width) & (length < 2 * width)
        first, last = starts[mine], ends[mine] - width
        least[mine] = np.minimum(keys[first], keys[last])
        if 2 * width > int(length.max()):
            return least
        keys = np.minimum(keys[:-width], keys[width:])
        width *= 2


def document_fingerprints(points: CodePoints, size: PassageSize) -> bytes:
    """A document's fingerprints as they are stored, 8 bytes each, in order.

    Each is there as often as it stands in the document, but no more than MAX_PLACES times.
    """
    hashes = winnow(points, size)[0]
    found: bytes = hashes[turns(hashes) < MAX_PLACES].tobytes()
    return found


def turns(hashes: Hashes) -> Places:
    """How many equal hashes stand before each: int64 [hashes]."""
    if len(set(hashes.tolist())) == len(hashes):  # nearly always, and five times as fast
        return np.zeros(len(hashes), dtype=np.int64)
    order = np.argsort(hashes, kind="stable")
    fresh = np.ones(len(hashes), dtype=np.bool_)
    fresh[1:] = hashes[order][1:] != hashes[order][:-1]
    firsts = np.nonzero(fresh)[0]
    found = np.empty(len(hashes), dtype=np.int64)
    found[order] = np.arange(len(hashes)) - firsts[np.cumsum(fresh) - 1]
    return found
