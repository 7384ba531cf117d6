"""Records on disk in ranges of a number, read back in its order within a memory budget.

Sorting more than memory holds: records go into 64 files by the first bits of a number, so that
each file is written and read once; one that is still too much for the budget is read several
times, a smaller range each.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from hanhua.core.files import storage_errors

_BUCKET_BITS = 6
_READ_AT_ONCE = 1 << 20

Records = npt.NDArray[np.void]


class Buckets:
    """Records that are written in any order and then read by ranges of one field.

    Args:
        folder: made anew.
        dtype: of the records.
        field: an unsigned integer of theirs.
        bits: all its values are below 2 to the power of this.
    """

    def __init__(self, folder: Path, dtype: npt.DTypeLike, field: str, bits: int) -> None:
        self.folder, self.field = folder, field
        self._dtype: np.dtype[Any] = np.dtype(dtype)
        self._shift = max(bits - _BUCKET_BITS, 0)
        self._files: list[IO[bytes]] = []
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._files = [self._path(b).open("wb") for b in range(1 << _BUCKET_BITS)]

    def _path(self, bucket: int) -> Path:
        return self.folder / f"{bucket:02d}"

    def append(self, records: Records) -> None:
        """Add records; those of one number keep their order."""
        bucket = (records[self.field] >> self._shift).astype(np.uint8)
        order = np.argsort(bucket, kind="stable")
        ends = np.cumsum(np.bincount(bucket, minlength=len(self._files)))
        sorted_ = records[order]
        with storage_errors(self.folder):
            for file, part in zip(self._files, np.split(sorted_, ends[:-1]), strict=True):
                file.write(part.tobytes())

    def close(self) -> None:
        """Bring everything to disk."""
        with storage_errors(self.folder):
            for file in self._files:
                file.close()

    def ranges(self, budget_bytes: int, bytes_each: int) -> Iterator[Records]:
        """All records, in pieces that follow each other by the field; inside as they were added.

        Args:
            budget_bytes: memory that a piece may cost.
            bytes_each: what a record costs, with all that is made of it.
        """
        for bucket in range(len(self._files)):
            path = self._path(bucket)
            records = path.stat().st_size // self._dtype.itemsize
            parts = min(max(1, -(-records * bytes_each // max(budget_bytes, 1))), 1 << self._shift)
            edges = [(bucket << self._shift) + (part << self._shift) // parts
                     for part in range(parts + 1)]  # fmt: skip
            for low, high in itertools.pairwise(edges):
                yield self._read(path, low, high - 1, whole=parts == 1)

    def _read(self, path: Path, low: int, high: int, whole: bool) -> Records:
        if whole:
            return np.fromfile(path, dtype=self._dtype)
        found = []
        with path.open("rb") as file:
            while len(piece := np.fromfile(file, self._dtype, _READ_AT_ONCE)):
                values = piece[self.field]
                found.append(piece[(values >= low) & (values <= high)])
        return np.concatenate(found)
