"""What the learners share: pieces, what a base knows of the text, and the text as symbols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hanhua.vocab.count import GAP, Runs

GONE = -1
"""No symbol begins here: a gap, or the inside of a longer one."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """One new piece.

    Args:
        piece: its text, spaces as the tokenizer writes them.
        count: weighted occurrences in the text when it was made, rounded.
        parts: the two pieces that it was first merged from; empty for a single character.
    """

    piece: str
    count: int
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Alphabet:
    """What the base knows of the characters in the text.

    Args:
        known: characters that are one base token.
        cost: base tokens of each other character that may become a piece.
        pieces: the base's pieces of two and more characters, best rank first.
    """

    known: frozenset[str]
    cost: Mapping[str, int]
    pieces: Sequence[str] = ()


def number_characters(runs: Runs) -> tuple[npt.NDArray[np.int32], list[str]]:
    """All runs as symbols, a gap before, between and after; characters by code point."""
    there = np.bincount(runs.codes, minlength=GAP + 1) > 0
    there[GAP] = False
    found = np.flatnonzero(there)
    number = np.full(len(there), GONE, dtype=np.int32)
    number[found] = np.arange(len(found))
    symbol = np.concatenate([np.array([GONE], np.int32), number[runs.codes]])
    return symbol, [chr(code) for code in found]


def place_rows(runs: Runs) -> npt.NDArray[np.int32]:
    """The row of each place of :func:`number_characters`."""
    spread = np.repeat(runs.rows.astype(np.int32), runs.lengths + 1)
    return np.concatenate([np.zeros(1, np.int32), spread])
