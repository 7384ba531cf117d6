"""Rows to batches: ``(batch, state)``, where the state is a value and finding a row is arithmetic.

The order of the data is a function of the rows, the seed and the state alone: never of the
micro-batch, of threads, or of how often training was stopped. The first pass reads the rows as
they were written (already shuffled and interleaved); later passes read them in another seeded
order each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hanhua.tokens.mixture import rng
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


@lru_cache(maxsize=4)
def _order(n_rows: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    if epoch == 0:
        return np.arange(n_rows)
    return rng(seed, "pass", epoch).permutation(n_rows)


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
    for _ in range(n_rows):
        found.append(rows.row(int(_order(len(rows), seed, epoch)[at])))
        at += 1
        if at == len(rows):
            epoch, at = epoch + 1, 0
    return Batch(tuple(found)), LoaderState(epoch, at)
