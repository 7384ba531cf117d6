"""Packed rows on disk, memory-mapped: what training reads.

A folder of flat little-endian files, so that any row is found by arithmetic and a corpus may be
larger than memory; opening reads nothing but ``meta.json``, whatever the size:

- ``tokens.bin`` uint16 or uint32 ``[n_rows, seq_len_tokens]``, zeros behind the last token;
- ``targets.bin`` uint8 of the same shape, 1 where the token is to be predicted; absent: all are;
- ``segments.bin`` int32, the lengths of the documents (or pieces) of all rows, one after another;
- ``row_segments.bin`` int64 ``[n_rows + 1]``, where each row's lengths start in it;
- ``row_languages.bin`` uint8 ``[n_rows]``, an index into ``languages`` of ``meta.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from hanhua.core.errors import ArtifactError
from hanhua.core.files import read_json
from hanhua.tokens.flat import map_file
from hanhua.tokens.row import IntArray, Row, n_targets
from hanhua.tokens.rows_writer import FORMAT, RowsWriter

__all__ = ["FORMAT", "PackedRows", "Row", "RowsWriter", "n_targets", "spare_folder"]


def spare_folder(path: Path) -> Path:
    """Where the rows stand that were packed beyond the shares, beside the folder of rows."""
    return path.with_name("spare")


@dataclass(frozen=True, slots=True)
class PackedRows:
    """A folder of packed rows, opened."""

    path: Path
    meta: Mapping[str, Any]
    tokens: IntArray
    targets: IntArray | None
    segments: IntArray
    row_segments: IntArray
    row_languages: IntArray

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map a folder of rows.

        Raises:
            ArtifactError: when the folder isn't whole.
        """
        try:
            meta = read_json(path / "meta.json")
            n_rows, shape = meta["n_rows"], (meta["n_rows"], meta["seq_len_tokens"])
            if not n_rows:
                raise ValueError("no rows")
            tokens = map_file(path / "tokens.bin", meta["dtype"], shape)
            targets = None
            if meta["has_targets"]:
                targets = map_file(path / "targets.bin", np.uint8, shape)
            row_segments = map_file(path / "row_segments.bin", "<i8", (n_rows + 1,))
            segments = map_file(path / "segments.bin", "<i4", (int(row_segments[-1]),))
            row_languages = map_file(path / "row_languages.bin", np.uint8, (n_rows,))
        except (OSError, ValueError, KeyError) as error:
            raise ArtifactError(
                "This folder of packed rows isn't whole.", where=path, found=error,
                fix="delete the artifact and run the same command again",
            ) from error  # fmt: skip
        return cls(path, meta, tokens, targets, segments, row_segments, row_languages)

    @classmethod
    def open_spare(cls, path: Path) -> Self | None:
        """Map the rows beyond the shares that belong to a folder of rows; None: it has none.

        Raises:
            ArtifactError: when the folder isn't whole.
        """
        spare = spare_folder(path)
        return cls.open(spare) if spare.exists() else None

    def __len__(self) -> int:
        """How many rows."""
        return int(self.meta["n_rows"])

    @property
    def seq_len_tokens(self) -> int:
        """Tokens in a row, padding included."""
        return int(self.meta["seq_len_tokens"])

    @property
    def languages(self) -> list[str]:
        """The languages, in the order of the row's index."""
        return list(self.meta["languages"])

    @property
    def n_tokens(self) -> int:
        """Tokens in all rows, padding not counted."""
        return int(sum(self.meta["tokens_by_language"].values()))

    def row(self, i: int) -> Row:
        """Row i, without padding."""
        lengths = self.segments[self.row_segments[i] : self.row_segments[i + 1]]
        n = int(lengths.sum())
        targets = None if self.targets is None else self.targets[i, :n].astype(np.bool_)
        language = self.meta["languages"][int(self.row_languages[i])]
        return Row(self.tokens[i, :n], targets, lengths, language)
