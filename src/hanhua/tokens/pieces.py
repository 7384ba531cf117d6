"""Pieces of documents and the rows they are packed into, as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from hanhua.tokens.ragged import ranges

Ints = npt.NDArray[Any]


class Piece(NamedTuple):
    """A stretch of one document: tokens [start, start + length)."""

    document: int
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Pieces:
    """Stretches of documents, as arrays ``[n_pieces]``."""

    document: Ints
    start: Ints
    length: Ints

    def __len__(self) -> int:
        return len(self.document)

    def __getitem__(self, places: Any) -> Pieces:
        return Pieces(self.document[places], self.start[places], self.length[places])

    def as_list(self) -> list[Piece]:
        """One object each: for few."""
        columns = (self.document.tolist(), self.start.tolist(), self.length.tolist())
        return list(map(Piece, *columns))


@dataclass(frozen=True, slots=True)
class Packed(Sequence[list[Piece]]):
    """Rows of pieces, as arrays; row by row it is a sequence of lists.

    Args:
        pieces: of all rows, one row after another.
        row_starts: ``[n_rows + 1]`` where each row's pieces start.
    """

    pieces: Pieces
    row_starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row_starts) - 1

    @overload
    def __getitem__(self, i: int) -> list[Piece]: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[list[Piece]]: ...
    def __getitem__(self, i: int | slice) -> list[Piece] | Sequence[list[Piece]]:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        row = range(len(self))[i]
        return self.pieces[self.row_starts[row] : self.row_starts[row + 1]].as_list()

    def __iter__(self) -> Iterator[list[Piece]]:
        return (self[i] for i in range(len(self)))

    def row_tokens(self) -> npt.NDArray[np.int64]:
        """``[n_rows]`` tokens in each row."""
        ends = np.concatenate([[0], np.cumsum(self.pieces.length, dtype=np.int64)])
        return np.diff(ends[self.row_starts])

    def take(self, rows: Ints) -> Packed:
        """Some of the rows, in this order."""
        sizes = np.diff(self.row_starts)[rows]
        places = ranges(self.row_starts[:-1][rows], sizes)
        return Packed(self.pieces[places], np.concatenate([[0], np.cumsum(sizes)]))
