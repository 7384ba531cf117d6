"""Rows of a matrix, in memory or read from a safetensors file as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import torch
from torch import Tensor

from hanhua.core.errors import ModelError
from hanhua.model.tensor_file import FLOATS, TensorFile


class Rows(Protocol):
    """A matrix of which some rows at a time are in memory."""

    @property
    def count(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Numbers in a row."""

    def read(self, start: int, stop: int) -> Tensor:
        """Rows [start, stop), in the matrix's own type."""

    def gather(self, ids: Tensor) -> Tensor:
        """The rows of ascending ids ``[n]``."""


@dataclass(frozen=True, slots=True)
class MemoryRows:
    """A tensor in memory, seen as the others."""

    table: Tensor

    @property
    def count(self) -> int:
        """Rows."""
        return len(self.table)

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return self.table.shape[1]

    def read(self, start: int, stop: int) -> Tensor:
        """Rows [start, stop)."""
        return self.table[start:stop]

    def gather(self, ids: Tensor) -> Tensor:
        """The rows of these ids."""
        return self.table[ids]


class FileRows:
    """The first rows of a matrix in a file; a vector counts as rows of one number.

    Use it as a context manager.

    Args:
        file: where it is.
        name: the matrix.
        count: rows to see; the base may have more than its tokenizer knows.

    Raises:
        ModelError: when it is no matrix of floats or has fewer rows.
    """

    def __init__(self, file: TensorFile, name: str, count: int) -> None:
        self.entry = file.entries[name]
        self.count = count
        shape = self.entry.shape
        if self.entry.dtype not in FLOATS or len(shape) not in (1, 2) or shape[0] < count:
            raise ModelError(
                "New rows can't be put behind this weight.", where=f"{file.path}: {name}",
                found=f"{self.entry.dtype} {list(shape)}; {count} rows are needed",
                fix="give a base with an unquantised embedding, and its own tokenizer",
            )  # fmt: skip
        self.width = shape[1] if len(shape) == 2 else 1
        self.dtype = FLOATS[self.entry.dtype]
        self.row_bytes = self.width * self.dtype.itemsize
        self._file = file.path.open("rb", buffering=0)

    def __enter__(self) -> FileRows:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def read(self, start: int, stop: int) -> Tensor:
        """Rows [start, stop), in the file's type."""
        out = torch.empty(stop - start, self.width, dtype=self.dtype)
        self._fill(out, start)
        return out

    def gather(self, ids: Tensor) -> Tensor:
        """The rows of ascending ids ``[n]``; neighbours are read at once."""
        out = torch.empty(len(ids), self.width, dtype=self.dtype)
        for at, first, length in _runs(ids):
            self._fill(out[at : at + length], first)
        return out

    def _fill(self, out: Tensor, start: int) -> None:
        data: Any = out.view(torch.uint8).numpy()
        view = memoryview(data).cast("B") if out.numel() else None
        self._file.seek(self.entry.begin + start * self.row_bytes)
        while view:
            got = self._file.readinto(view)
            if not got:
                raise ValueError(f"{self._file.name} ended early")
            view = view[got:]


def _runs(ids: Tensor) -> Iterator[tuple[int, int, int]]:
    """Neighbouring ids: (place of the first, the first, how many)."""
    if not len(ids):
        return
    cuts = (ids[1:] != ids[:-1] + 1).nonzero().flatten() + 1
    starts = [0, *cuts.tolist()]
    firsts: list[int] = ids[torch.tensor(starts)].tolist()
    for start, stop, first in zip(starts, [*starts[1:], len(ids)], firsts, strict=True):
        yield start, first, stop - start
