"""MinHash signatures: how much two texts share, from a few hundred bytes each.

A shingle is five Han characters, three words, or the like mixed (a word weighs two), on the form
in which texts are compared: no case, width, spacing, punctuation, and simplified characters for
traditional ones. Splitting on white space takes whole Chinese clauses for words and finds .81 of
the near copies that characters find (docs/LOG.md); characters alone make English texts too alike.

A signature is the least value of each of 120 hash functions over a text's shingles (Broder 1997,
https://doi.org/10.1109/SEQUEN.1997.666900): two texts agree in a share of them that estimates the
Jaccard similarity J of their shingles, with a standard error of at most .046. Twenty bands of six
make a key each (Leskovec et al., Mining of Massive Datasets, ch. 3): texts with J = .8 share a
key with probability .998, with J = .5 in .27, and what shares one is then held against the whole
signature.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hanhua.text.native import NATIVE
from hanhua.text.rewrite.convert import simplified_points
from hanhua.text.scripts import FIRST_SCRIPT, SCRIPTS, class_table, code_points, fold_table

FUNCTIONS = 120
BANDS = 20
ROWS = FUNCTIONS // BANDS
SHINGLE_WEIGHT = 5
_SPACELESS = ("han", "kana", "hangul", "thai", "lao", "khmer", "myanmar", "tibetan")

_MIX = np.uint64(0xFF51AFD7ED558CCD)
_UNIT_BASE = np.uint64(0x9E3779B97F4A7C15)
_WORD_BASE = np.uint64(0xD6E8FEB86659FD93)
_SHINGLES_AT_ONCE = 256

Points = npt.NDArray[np.uint32]
Hashes = npt.NDArray[np.uint64]


class Signature(NamedTuple):
    """What stands for a text's shingles.

    Args:
        least: uint32 [FUNCTIONS].
        shingles: how many the text has; without any, ``least`` says nothing.
    """

    least: Points
    shingles: int


@cache
def compare_table(variants: bool = True) -> Points:
    """What each code point is compared as, uint32 [0x110000]; 0: a gap.

    Args:
        variants: take traditional characters for their simplified ones.
    """
    table = fold_table()
    return simplified_points()[table].astype(np.uint32) if variants else table


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """1 for characters that stand alone, 0 for those that make words, uint8 [0x110000]."""
    alone = [FIRST_SCRIPT + SCRIPTS.index(name) for name in _SPACELESS]
    return np.isin(class_table(), alone).astype(np.uint8)


@cache
def _functions() -> tuple[Points, Points]:
    """A (odd) and b of the functions a·x + b mod 2^32, fixed for ever."""
    drawn = np.random.Generator(np.random.PCG64(20261126)).integers(
        0, 1 << 32, (2, FUNCTIONS), dtype=np.uint32
    )
    return drawn[0] | np.uint32(1), drawn[1]


def sign(text: str, variants: bool = True) -> Signature:
    """The signature of a text.

    Args:
        text: any string.
        variants: traditional and simplified writing of a text are the same to it.
    """
    a, b = _functions()
    if NATIVE is not None:
        least, shingles = NATIVE.sign(text, compare_table(variants), _kinds(), a, b)
        return Signature(np.frombuffer(least, dtype=np.uint32), shingles)
    found = shingle_hashes(text, variants)
    least = np.full(FUNCTIONS, 0xFFFFFFFF, dtype=np.uint32)
    for start in range(0, len(found), _SHINGLES_AT_ONCE):
        part = found[start : start + _SHINGLES_AT_ONCE, None]
        np.minimum(least, (part * a + b).min(axis=0), out=least)
    return Signature(least, len(found))


def shingle_hashes(text: str, variants: bool = True) -> Points:
    """A text's shingles in order, hashed to 32 bits: uint32 [shingles].

    This is the definition; native/sign.c does the same.
    """
    hashes, weights = _units(text, variants)
    ends = np.concatenate([[0], np.cumsum(weights)])
    last = np.searchsorted(ends, ends[:-1] + SHINGLE_WEIGHT)  # the unit that fills a shingle, + 1
    starts = np.nonzero(last <= len(hashes))[0]
    found = np.zeros(len(starts), dtype=np.uint64)
    power = np.uint64(1)
    for step in range(SHINGLE_WEIGHT):
        within = starts + step < last[starts]
        place = np.minimum(starts + step, max(len(hashes) - 1, 0))
        found += np.where(within, hashes[place] * power, np.uint64(0))
        power = _times(power, _UNIT_BASE)
    found ^= found >> np.uint64(32)
    found *= _MIX
    found ^= found >> np.uint64(29)
    found *= _UNIT_BASE
    return (found >> np.uint64(32)).astype(np.uint32)


def _times(a: np.uint64, b: np.uint64) -> np.uint64:
    return np.uint64(int(a) * int(b) & 0xFFFFFFFFFFFFFFFF)


def _units(text: str, variants: bool) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Characters that stand alone and words, in order: hashes and weights."""
    points = compare_table(variants).take(code_points(text))
    alone = (_kinds()[points] == 1) & (points != 0)
    letters = (points != 0) & ~alone
    before = np.concatenate([[False], letters[:-1]]) if len(letters) else letters
    starts = alone | (letters & ~before)
    places = np.nonzero(starts)[0]
    kept = np.nonzero(points)[0]
    owner = np.cumsum(starts)[kept] - 1
    depth = kept - places[owner] if len(kept) else kept
    values = points[kept].astype(np.uint64) * _MIX * _powers(int(depth.max(initial=0)))[depth]
    hashes = np.zeros(len(places), dtype=np.uint64)
    np.add.at(hashes, owner, values)
    return hashes, np.where(alone[places], 1, 2)


def _powers(most: int) -> Hashes:
    found = np.full(most + 1, _WORD_BASE, dtype=np.uint64)
    found[0] = 1
    return np.cumprod(found, dtype=np.uint64)


def band_keys(least: Points) -> Hashes:
    """The keys of the bands, uint64 [..., BANDS] from uint32 [..., FUNCTIONS]."""
    rows = least.reshape(*least.shape[:-1], BANDS, ROWS).astype(np.uint64)
    keys = np.zeros(rows.shape[:-1], dtype=np.uint64)
    for row in range(ROWS):
        keys = (keys ^ rows[..., row]) * _MIX
        keys ^= keys >> np.uint64(32)
    return keys


def short_form(least: Points) -> npt.NDArray[np.uint16]:
    """Sixteen bits of each value: half the room, and wrong agreement once in 65,536."""
    return (least & np.uint32(0xFFFF)).astype(np.uint16)


def band_row(least: Points) -> bytes:
    """Keys of the bands, then the short form, of one signature, as they are stored."""
    if NATIVE is not None:
        return bytes(NATIVE.band_row(least, BANDS))
    return band_keys(least).tobytes() + short_form(least).tobytes()


def canonical_points(text: str, variants: bool = True) -> Points:
    """A text as it is compared: folded letters and digits only, uint32 [<= chars]."""
    if NATIVE is not None:
        found = NATIVE.canonical(text, compare_table(variants))
        return np.frombuffer(found, dtype=np.uint32)
    folded = compare_table(variants).take(code_points(text))
    kept: Points = folded[folded != 0]
    return kept


def changed_characters(text: str) -> int:
    """How many characters of a text are compared as a simplified one in their place."""
    if text.isascii():
        return 0
    if NATIVE is not None:
        return int(NATIVE.marks(text, _changes())[0])
    return int(np.count_nonzero(_changes().take(code_points(text))))


@cache
def _changes() -> npt.NDArray[np.uint8]:
    found: npt.NDArray[np.bool_] = compare_table(True) != compare_table(False)
    return found.astype(np.uint8)
