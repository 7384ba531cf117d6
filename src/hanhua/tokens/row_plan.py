"""What each row of a language will hold, on disk: packed on lengths alone, a window at a time.

Documents come in a seeded order, so a window of a million is as good a sample as the whole:
packing window by window costs no padding to speak of and takes memory for one window. A piece is
noted as the place of its first token in the file of ids, and its length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hanhua.core.files import storage_errors
from hanhua.tokens.flat import append_to, map_file
from hanhua.tokens.ids_file import Documents
from hanhua.tokens.pack import Packed
from hanhua.tokens.permutation import rng

Ints = npt.NDArray[Any]
WINDOW = 1 << 20
"""Documents packed together, or pieces of them."""
TYPES = {"at": "<u8", "lengths": "<u4", "row_ends": "<u8"}


@dataclass(frozen=True, slots=True)
class RowPlan:
    """The rows of one language, in their order.

    Args:
        at: ``[n_pieces]`` each piece's first token in the file of ids.
        lengths: ``[n_pieces]`` tokens.
        row_ends: ``[n_rows]`` where each row's pieces end.
    """

    at: Ints
    lengths: Ints
    row_ends: Ints

    @classmethod
    def empty(cls) -> RowPlan:
        """No rows."""
        return cls(*(np.zeros(0, kind) for kind in TYPES.values()))

    def __len__(self) -> int:
        return len(self.row_ends)

    def split(self, tokens: int) -> tuple[RowPlan, RowPlan]:
        """The first rows: as many as come nearest to so many tokens, one at least; and the rest."""
        if not len(self):
            return self, self
        ends = np.cumsum(self.lengths, dtype=np.int64)[self.row_ends.astype(np.int64) - 1]
        n = int(np.abs(ends - tokens).argmin()) + 1
        last = int(self.row_ends[n - 1])
        first = RowPlan(self.at[:last], self.lengths[:last], self.row_ends[:n])
        return first, RowPlan(self.at[last:], self.lengths[last:], self.row_ends[n:] - last)

    def rows(self, start: int, stop: int) -> tuple[Ints, Ints, Ints]:
        """Of some rows: ``at`` and ``lengths`` of their pieces, and how many each row has."""
        first = int(self.row_ends[start - 1]) if start else 0
        ends = self.row_ends[start:stop].astype(np.int64)
        last = int(ends[-1]) if len(ends) else first
        counts = np.diff(ends, prepend=first)
        at, lengths = self.at[first:last], self.lengths[first:last]
        return at.astype(np.int64), lengths.astype(np.int64), counts


class Planner:
    """Packs documents and writes the plan.

    Args:
        folder: of its files.
        seq_len_tokens: room in a row.
        pack: lengths and room to rows.
        window_tokens: documents packed together hold about so many; None: only ``WINDOW`` counts.
    """

    def __init__(
        self, folder: Path, seq_len_tokens: int, pack: Callable[[Ints, int], Packed],
        window_tokens: int | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.seq_len_tokens, self.pack = folder, seq_len_tokens, pack
        self.window_tokens = window_tokens
        self._pieces = self._rows = 0
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for name in TYPES:
                (folder / f"{name}.bin").write_bytes(b"")

    def add(self, documents: Documents, chosen: Ints, seed: int, *names: str | int) -> None:
        """Plan the rows of some documents, shuffled, behind the rows that are there.

        Args:
            documents: where they stand.
            chosen: ``[n]`` which of them, in a seeded order.
            seed: the recipe's.
            names: of the shuffle's purpose.
        """
        start, most = 0, min(WINDOW, self.window_tokens or WINDOW)  # a document has a token
        while start < len(chosen):
            window = chosen[start : start + most]
            lengths = documents.lengths[window].astype(np.int64)
            n = self._window(lengths)
            packed = self.pack(lengths[:n], self.seq_len_tokens)
            draw = rng(seed, "rows", *names, start)
            packed = packed.take(draw.permutation(len(packed)))
            at = documents.offsets[window[packed.pieces.document]].astype(np.int64)
            self._write(at + packed.pieces.start, packed.pieces.length, packed.row_starts[1:])
            start += n

    def _window(self, lengths: Ints) -> int:
        """How many of the next documents are packed together."""
        pieces = np.cumsum(-(-lengths // self.seq_len_tokens))
        n = int(np.searchsorted(pieces, WINDOW, "right"))
        if self.window_tokens is not None:
            n = min(n, int(np.searchsorted(np.cumsum(lengths), self.window_tokens, "right")))
        return max(n, 1)

    def _write(self, at: Ints, lengths: Ints, row_ends: Ints) -> None:
        columns = {"at": at, "lengths": lengths, "row_ends": self._pieces + row_ends}
        for name, column in columns.items():
            append_to(self.folder / f"{name}.bin", column, TYPES[name])
        self._pieces, self._rows = self._pieces + len(at), self._rows + len(row_ends)

    def plan(self) -> RowPlan:
        """What was planned, mapped from its files."""
        sizes = {"at": self._pieces, "lengths": self._pieces, "row_ends": self._rows}
        return RowPlan(
            **{n: map_file(self.folder / f"{n}.bin", TYPES[n], (sizes[n],)) for n in TYPES}
        )
