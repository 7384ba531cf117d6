"""Flat files of numbers: appended to, then mapped as arrays, with hints on what will be read."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hanhua.core.files import storage_errors

Ints = npt.NDArray[Any]


def append_to(path: Path, values: Ints, dtype: npt.DTypeLike) -> None:
    """Write values behind what a file holds.

    Raises:
        StorageError: when the disk is full or may not be written.
    """
    with storage_errors(path), path.open("ab") as file:
        file.write(np.ascontiguousarray(values, dtype).data)


def map_file(path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> Ints:
    """A file as an array that is read where it is touched.

    Raises:
        ValueError: when the file is too short.
    """
    if not np.prod(shape):
        return np.zeros(shape, dtype)
    # as an ordinary array: slicing a memmap object takes several times as long
    return np.asarray(np.memmap(path, np.dtype(dtype), "r", shape=shape))


def read_ahead(table: Ints, rows: Iterable[int]) -> None:
    """Have some rows of a mapped table read from the disk in the background.

    The system is also told that reading goes to and fro: it would else fetch much around each row
    that nobody wants. Cold, shuffled rows are read many times faster with both.

    Args:
        table: ``[n, …]`` from :func:`map_file`; of another array nothing is asked.
        rows: which.
    """
    found = _map_of(table)
    if found is None:
        return
    found.madvise(mmap.MADV_RANDOM)
    size = table.strides[0]
    for row in rows:
        start = row * size // mmap.PAGESIZE * mmap.PAGESIZE
        found.madvise(mmap.MADV_WILLNEED, start, (row + 1) * size - start)


def read_in_order(table: Ints) -> None:
    """Take back what :func:`read_ahead` told the system: it reads ahead by itself."""
    found = _map_of(table)
    if found is not None:
        found.madvise(mmap.MADV_NORMAL)


def _map_of(table: Ints) -> mmap.mmap | None:
    base: Any = table
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None
