"""The documents of a language in its shards: counted by the footers, read by row groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hanhua.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Group:
    """One row group of a shard.

    Args:
        path: the shard.
        number: of the group in it.
        first: of the language's documents, the number of the group's first.
        documents: in the group.
        text_bytes: of all texts, about.
    """

    path: Path
    number: int
    first: int
    documents: int
    text_bytes: int


def read_groups(files: Sequence[Path]) -> list[Group]:
    """The row groups of some shards in order, from the files' footers.

    Raises:
        InputError: when a file isn't Parquet or holds no texts.
    """
    groups: list[Group] = []
    first = 0
    for path in files:
        with _open(path) as file:
            names = file.metadata.schema.names
            if "text" not in names:
                raise InputError(
                    "This Parquet file does not hold documents.", where=path,
                    found="no column text", fix="give a folder that hanhua corpus wrote",
                )  # fmt: skip
            for number in range(file.num_row_groups):
                group = file.metadata.row_group(number)
                size = group.column(names.index("text")).total_uncompressed_size
                groups.append(Group(path, number, first, group.num_rows, size))
                first += group.num_rows
    return groups


def read_texts(group: Group, wanted: npt.NDArray[Any]) -> list[str]:
    """Some texts of a group, by their places in it.

    Raises:
        InputError: when the file can't be read.
    """
    if not len(wanted):
        return []
    with _open(group.path) as file:
        try:
            column = file.read_row_group(group.number, columns=["text"]).column("text")
        except pa.ArrowInvalid as error:
            raise _broken(group.path, error) from error
    if len(wanted) < group.documents:
        column = column.take(pa.array(np.asarray(wanted)))
    texts: list[str] = column.to_pylist()
    return texts


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> InputError:
    return InputError(
        "This Parquet file cannot be read.", where=path, found=error,
        fix="make it again; it may have been cut off",
    )  # fmt: skip
