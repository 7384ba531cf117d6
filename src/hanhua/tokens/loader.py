"""Rows to batches: ``(batch, state)``, where the state is a value and finding a row is arithmetic.

The order of the data is a function of the rows, the seed and the state alone: never of the
micro-batch, of threads, or of how often training was stopped. The first pass reads the rows as
they were written (already shuffled and interleaved); later passes read them in another seeded
order each, which is computed for the rows asked for and never held: resuming costs the same at
the start and at the end of a corpus of any size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hanhua.tokens.flat import read_ahead, read_in_order
from hanhua.tokens.permutation import Permutation
from hanhua.tokens.rows import PackedRows, Row


@dataclass(frozen=True, slots=True)
class LoaderState:
    """Where reading stands.

    Args:
        epoch: the pass over the rows, from 0.
        row: the place in that pass's order of the next row.
    """

    epoch: int = 0
    row: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of one optimiser step, in order."""

    rows: tuple[Row, ...]

    @property
    def n_tokens(self) -> int:
        """Tokens, padding not counted."""
        return sum(len(row.tokens) for row in self.rows)

    def micro_batches(self, max_tokens: int) -> Iterator[Batch]:
        """The same rows in order, in parts of at most so many tokens (at least one row each)."""
        part: list[Row] = []
        size = 0
        for row in self.rows:
            if part and size + len(row.tokens) > max_tokens:
                yield Batch(tuple(part))
                part, size = [], 0
            part.append(row)
            size += len(row.tokens)
        if part:
            yield Batch(tuple(part))


def read_batch(
    rows: PackedRows, state: LoaderState, n_rows: int, seed: int
) -> tuple[Batch, LoaderState]:
    """The next rows, running on into the next pass where one ends.

    Args:
        rows: where to read.
        state: where reading stands.
        n_rows: how many.
        seed: the recipe's.

    Returns:
        The batch and where reading then stands.
    """
    epoch, at = state.epoch, state.row
    found: list[Row] = []
    while len(found) < n_rows:
        n = min(n_rows - len(found), len(rows) - at)
        found += [rows.row(i) for i in _order(len(rows), epoch, at, n, seed)]
        epoch, at = (epoch, at + n) if at + n < len(rows) else (epoch + 1, 0)
    _prepare(rows, epoch, at, min(n_rows, len(rows) - at), seed)
    return Batch(tuple(found)), LoaderState(epoch, at)


@lru_cache(maxsize=4)
def _order(n_rows: int, epoch: int, at: int, n: int, seed: int) -> tuple[int, ...]:
    """The rows at n places of a pass; kept from when they were prepared to when they are read."""
    places = np.arange(at, at + n)
    if epoch:
        places = Permutation.seeded(n_rows, seed, "pass", epoch)(places)
    return tuple(places.tolist())


def _prepare(rows: PackedRows, epoch: int, at: int, n: int, seed: int) -> None:
    """Have the next batch read from the disk while this one is computed; no thread is needed."""
    if epoch == 0:
        read_in_order(rows.tokens)
    else:
        read_ahead(rows.tokens, _order(len(rows), epoch, at, n, seed))
