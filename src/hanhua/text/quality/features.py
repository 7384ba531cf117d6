"""Texts as hashed n-grams of one to three tokens: what the learned quality score looks at.

A token is a Han character (or one of another script without spaces), a mark of punctuation, a
line break, or a word; digits are alike. So Chinese is seen as character n-grams of 1 to 3, English
as words, pairs and triples, and a mixed page as both. Feature hashing (Weinberger et al. 2009,
https://arxiv.org/abs/0902.2206) needs no vocabulary; all of it runs over whole arrays.
"""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from hanhua.text.scripts import (
    DIGIT,
    FIRST_SCRIPT,
    OTHER,
    SCRIPTS,
    SPACE,
    CodePoints,
    class_table,
    code_points,
    fold_table,
)  # fmt: skip

BITS = 18
BUCKETS = 1 << BITS
GRAM_TOKENS = 3
VERSION = 1
"""Raised when the same text would get other features: scorers of another version do not fit."""

Buckets: TypeAlias = npt.NDArray[np.uint32]

_UNSPACED = ("han", "kana", "thai", "lao", "khmer", "myanmar", "tibetan")
_NEWLINE = 10
_MULTIPLIER = np.array(0x9E3779B1, dtype=np.uint32)
_MIX = np.array(0x85EBCA77, dtype=np.uint32)
_SHIFT = np.array(32 - BITS, dtype=np.uint32)


def features(text: str) -> Buckets:
    """The buckets of a text's n-grams, uint32 [up to 3 * tokens]; equal ones stay side by side.

    Args:
        text: a document, or a part of one.
    """
    tokens = token_hashes(code_points(text))
    found, grams = [_bucket(tokens)], tokens
    for width in range(1, min(GRAM_TOKENS, len(tokens))):
        grams = grams[:-1] * _MULTIPLIER
        grams += tokens[width:]
        found.append(_bucket(grams))
    return np.concatenate(found)


def token_hashes(points: CodePoints) -> Buckets:
    """A hash of each token, uint32 [tokens]; a word's is the sum over its pairs of letters."""
    shown = _shown_table().take(points)
    joins = _joins_table().take(points)
    goes_on = np.zeros(len(points), dtype=np.bool_)
    np.logical_and(joins[1:], joins[:-1], out=goes_on[1:])
    places = ((shown != 0) & ~goes_on).nonzero()[0]
    if not np.count_nonzero(goes_on):
        alone: Buckets = shown.take(places) * _MULTIPLIER
        return alone
    mixed = np.zeros(len(points), dtype=np.uint32)
    np.multiply(shown[:-1], _MULTIPLIER, out=mixed[1:])
    mixed *= goes_on
    mixed ^= shown
    mixed *= shown
    sums = np.zeros(len(points) + 1, dtype=np.uint32)
    np.cumsum(mixed, dtype=np.uint32, out=sums[1:])
    ends = np.append(places[1:], len(points))
    tokens: Buckets = (sums.take(ends) - sums.take(places)) * _MULTIPLIER
    return tokens


def _bucket(grams: Buckets) -> Buckets:
    mixed = grams * _MIX
    mixed ^= mixed >> np.uint32(15)
    mixed *= _MULTIPLIER
    mixed >>= _SHIFT
    return mixed


@cache
def _shown_table() -> CodePoints:
    """What a character counts as, uint32 [0x110000]: no case, all digits alike, 0 for space."""
    classes, folded = class_table(), fold_table()
    own = np.arange(0x110000, dtype=np.uint32)
    table = np.where(folded != 0, folded, own)
    table[classes == DIGIT] = ord("0")
    table[classes == SPACE] = 0
    table[_NEWLINE] = _NEWLINE
    return table


@cache
def _joins_table() -> npt.NDArray[np.bool_]:
    """Which characters make words with their neighbours, bool [0x110000]."""
    classes = class_table()
    table: npt.NDArray[np.bool_] = (classes >= OTHER) | (classes == DIGIT)
    for script in _UNSPACED:
        table[classes == FIRST_SCRIPT + SCRIPTS.index(script)] = False
    return table
