"""One packed row, and many as a block: what is written to and read from a folder of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One row without its padding.

    Args:
        tokens: ``[n]`` ids.
        targets: ``[n]`` True where the token is to be predicted, or None: all are.
        lengths: lengths of the documents (or pieces) in it; they sum to n.
        language: the row's language.
    """

    tokens: IntArray
    targets: npt.NDArray[np.bool_] | None
    lengths: IntArray
    language: str


def n_targets(row: Row) -> int:
    """How many tokens of a row are predicted: never the first of a segment (nothing is before)."""
    starts = np.concatenate([[0], np.cumsum(row.lengths)[:-1]])
    if row.targets is None:
        return len(row.tokens) - len(starts)
    return int(row.targets.sum()) - int(row.targets[starts].sum())


@dataclass(frozen=True, slots=True)
class Block:
    """Rows one after another.

    Args:
        tokens: ``[n, seq_len_tokens]`` ids, zeros behind each row's last.
        targets: uint8 of the same shape, or None: all tokens are targets.
        lengths: ``[n_segments]`` lengths of all rows' segments, in order.
        segments: ``[n]`` how many of them each row has.
        languages: ``[n]`` uint8, an index into the languages.
    """

    tokens: IntArray
    targets: IntArray | None
    lengths: IntArray
    segments: IntArray
    languages: IntArray

    def row_tokens(self) -> IntArray:
        """``[n]`` how many tokens each row has."""
        ends = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])
        return np.diff(ends[np.cumsum(self.segments)], prepend=0)

    def row_targets(self) -> IntArray:
        """``[n]`` how many tokens of each row are predicted, as :func:`n_targets` counts."""
        sizes = self.row_tokens()
        if self.targets is None:
            return sizes - self.segments
        rows = np.repeat(np.arange(len(sizes)), self.segments)
        before = np.cumsum(self.lengths, dtype=np.int64) - self.lengths
        columns = before - (np.cumsum(sizes) - sizes)[rows]
        first = np.bincount(rows, self.targets[rows, columns], len(sizes))
        sums: IntArray = self.targets.sum(1, dtype=np.int64)
        return sums - first.astype(np.int64)


def as_block(
    rows: Sequence[Row], seq_len_tokens: int, dtype: npt.DTypeLike, languages: Sequence[str]
) -> Block:
    """Rows as a block; with a mask where the first row has one."""
    sizes = np.array([len(row.tokens) for row in rows])
    filled = np.arange(seq_len_tokens) < sizes[:, None]
    tokens = np.zeros(filled.shape, dtype)
    tokens[filled] = np.concatenate([row.tokens for row in rows])
    targets = None
    if rows[0].targets is not None:
        targets = np.zeros(filled.shape, np.uint8)
        targets[filled] = np.concatenate([row.targets for row in rows if row.targets is not None])
    numbers = {language: i for i, language in enumerate(languages)}
    return Block(
        tokens, targets, np.concatenate([row.lengths for row in rows]),
        np.array([len(row.lengths) for row in rows]),
        np.array([numbers[row.language] for row in rows], np.uint8),
    )  # fmt: skip
