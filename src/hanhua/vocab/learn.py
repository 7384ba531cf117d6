"""Continued byte pair encoding: the base tokenizer's merges go on, on target text.

A merge looks only at the places where its pair stands; a heap gives the pair that saves most. The
compiled learner (native/learn.c) is several times faster than the one in numpy (learn_array.py);
both give the same. Two things differ from textbook BPE:

- A character that the base spells with k byte tokens is not a symbol yet. Making it one saves
  (k - 1) tokens an occurrence, and it competes with the merges for that gain: so the number of
  single characters needs no setting.
- SentencePiece joins any two neighbours whose concatenation is a piece. So all ways to split a
  piece merge together, and the base's own longer pieces are merged before anything is learnt.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from hanhua.core.errors import InputError
from hanhua.vocab.count import WEIGHT_UNIT, Ints, Runs
from hanhua.vocab.learn_array import ArrayLearner
from hanhua.vocab.native import NATIVE
from hanhua.vocab.symbols import Alphabet, Learnt, number_characters, place_rows

MOST_CODES = (1 << 31) - 2
_FLOOR_DIVISOR = 20  # the last of N pieces is made at 1/3 to 1/10 of (characters / N)


class Learner(Protocol):
    """Learns pieces one at a time; deterministic, ties go to the symbols that came first."""

    def next(self) -> Learnt | None:
        """Learn one piece, or None when no pair is frequent enough."""

    def uses(self) -> dict[str, Ints]:
        """How often each piece stands in each source of the text, as it is cut now."""


class CompiledLearner:
    """native/learn.c.

    Args:
        runs: what to learn from.
        alphabet: what the base knows.
        max_piece_chars: longer pieces are not made.
        floor: weighted occurrences that a piece needs, in 1 / WEIGHT_UNIT.
    """

    def __init__(self, runs: Runs, alphabet: Alphabet, max_piece_chars: int, floor: int) -> None:
        assert NATIVE is not None
        self.runs = runs
        symbol, strings = number_characters(runs)
        costs = [1 if c in alphabet.known else alphabet.cost.get(c, 0) for c in strings]
        self.learner: Any = NATIVE.Learner(
            symbol, place_rows(runs), runs.row_weights,
            np.array([ord(c) for c in strings], np.uint32), np.array(costs, np.int64),
            list(alphabet.pieces), max_piece_chars, floor,
        )  # fmt: skip

    def next(self) -> Learnt | None:
        """Learn one piece, or None when no pair is frequent enough."""
        found = self.learner.next()
        if found is None:
            return None
        piece, count, parts = found
        return Learnt(piece, round(count / WEIGHT_UNIT), parts)

    def uses(self) -> dict[str, Ints]:
        """How often each piece stands in each source of the text, as it is cut now."""
        runs = self.runs
        strings, uses = self.learner.uses(
            runs.starts, np.ascontiguousarray(runs.sources), np.ascontiguousarray(runs.counts),
            len(runs.facts),
        )  # fmt: skip
        table = np.frombuffer(uses, np.int64).reshape(-1, len(runs.facts))
        return dict(zip(strings, table, strict=True))


class Learning:
    """Pieces as they are learnt, best first, until the text gives no more.

    Pairs much rarer than the last piece expected are not even indexed, which halves time and
    memory; should they be needed after all, learning starts again with a lower bound and passes
    over what it has already given.

    Args:
        runs: what to learn from.
        alphabet: what the base knows.
        expected: about how many pieces will be taken.
        max_piece_chars: longer pieces are not made.
        min_count: weighted occurrences that a piece needs.
        native: the compiled learner or the one in numpy; None: compiled where it is there.

    Raises:
        InputError: for more text than a place in it can be counted in 31 bits.
    """

    def __init__(
        self, runs: Runs, alphabet: Alphabet, expected: int, max_piece_chars: int = 16,
        min_count: int = 2, native: bool | None = None,
    ) -> None:  # fmt: skip
        if len(runs.codes) >= MOST_CODES:
            raise InputError(
                "The text to learn from is too large.", where="vocab.sample_chars",
                found=f"{len(runs.codes):,} characters of distinct runs",
                fix="lower vocab.sample_chars; pieces hardly change beyond 50 million characters",
            )  # fmt: skip
        kind = (
            CompiledLearner if native or (native is None and NATIVE is not None) else ArrayLearner
        )

        def make(floor: int) -> Learner:
            return kind(runs, alphabet, max_piece_chars, floor)

        self.make = make
        row_chars = np.zeros(len(runs.row_weights))
        np.add.at(row_chars, runs.rows, runs.lengths)
        units = int((row_chars * runs.row_weights).sum())
        self.least = min_count * WEIGHT_UNIT
        self.floor = max(self.least, units // (_FLOOR_DIVISOR * max(expected, 1)))
        self.given: set[str] = set()
        self.learner: Learner = self.make(self.floor)

    def __iter__(self) -> Iterator[Learnt]:
        """Go on learning."""
        while True:
            while (piece := self.learner.next()) is not None:
                if piece.piece not in self.given:
                    self.given.add(piece.piece)
                    yield piece
            if self.floor == self.least:
                return
            self.floor = max(self.least, self.floor // 8)
            self.learner = self.make(self.floor)

    def uses(self) -> dict[str, Ints]:
        """See :meth:`Learner.uses`."""
        return self.learner.uses()
