"""Packed rows on disk, memory-mapped: what training reads.

A folder of flat little-endian files, so that any row is found by arithmetic and a corpus may be
larger than memory:

- ``tokens.bin`` uint16 or uint32 ``[n_rows, seq_len_tokens]``, zeros behind the last token;
- ``targets.bin`` uint8 of the same shape, 1 where the token is to be predicted; absent: all are;
- ``segments.bin`` int32, the lengths of the documents (or pieces) of all rows, one after another;
- ``row_segments.bin`` int64 ``[n_rows + 1]``, where each row's lengths start in it;
- ``row_languages.bin`` uint8 ``[n_rows]``, an index into ``languages`` of ``meta.json``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hanhua.core.errors import ArtifactError
from hanhua.core.files import read_json, storage_errors, write_json

IntArray = npt.NDArray[Any]
FORMAT = "hanhua-rows-1"


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
    def open(cls, path: Path) -> PackedRows:
        """Map a folder of rows.

        Raises:
            ArtifactError: when the folder isn't whole.
        """
        try:
            meta = read_json(path / "meta.json")
            shape = (meta["n_rows"], meta["seq_len_tokens"])
            tokens = np.memmap(path / "tokens.bin", np.dtype(meta["dtype"]), "r", shape=shape)
            targets = None
            if meta["has_targets"]:
                targets = np.memmap(path / "targets.bin", np.uint8, "r", shape=shape)
            segments = np.memmap(path / "segments.bin", np.dtype("<i4"), "r")
            row_segments = np.fromfile(path / "row_segments.bin", np.dtype("<i8"))
            row_languages = np.fromfile(path / "row_languages.bin", np.uint8)
        except (OSError, ValueError, KeyError) as error:
            raise ArtifactError(
                "This folder of packed rows isn't whole.", where=path, found=error,
                fix="delete the artifact and run the same command again",
            ) from error  # fmt: skip
        return cls(path, meta, tokens, targets, segments, row_segments, row_languages)

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
        lengths = np.asarray(self.segments[self.row_segments[i] : self.row_segments[i + 1]])
        n = int(lengths.sum())
        targets = None if self.targets is None else np.asarray(self.targets[i, :n]).astype(np.bool_)
        language = self.languages[int(self.row_languages[i])]
        return Row(np.asarray(self.tokens[i, :n]), targets, lengths, language)


@dataclass(slots=True)
class RowsWriter:
    """Writes rows one after another; ``close`` writes the rest and returns the counts.

    Args:
        path: folder to write.
        seq_len_tokens: room in a row.
        vocab_size: rows of the embedding; decides between uint16 and uint32.
        languages: all languages that will occur.
        has_targets: whether every row comes with a mask.
    """

    path: Path
    seq_len_tokens: int
    vocab_size: int
    languages: Sequence[str]
    has_targets: bool = False
    lengths: list[IntArray] = field(default_factory=list)
    row_languages: list[int] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    _files: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        with storage_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            names = ["tokens.bin"] + (["targets.bin"] if self.has_targets else [])
            self._files = [(self.path / name).open("wb") for name in names]
        self.counts = {
            language: {"rows": 0, "segments": 0, "tokens": 0, "targets": 0}
            for language in self.languages
        }

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest type that holds every id."""
        return np.dtype("<u2") if self.vocab_size <= 1 << 16 else np.dtype("<u4")

    def add(self, row: Row) -> None:
        """Append a row.

        Raises:
            ValueError: when it does not fit or an id is outside the vocabulary (our own mistake).
        """
        n = len(row.tokens)
        if n > self.seq_len_tokens or int(row.lengths.sum()) != n or len(row.lengths) == 0:
            raise ValueError(f"row of {n} tokens, segments {row.lengths.tolist()}")
        if int(row.tokens.max()) >= self.vocab_size:
            raise ValueError(f"id {int(row.tokens.max())} >= vocabulary {self.vocab_size}")
        padding = self.seq_len_tokens - n
        with storage_errors(self.path):
            self._files[0].write(np.pad(row.tokens, (0, padding)).astype(self.dtype).tobytes())
            if self.has_targets:
                assert row.targets is not None
                mask = np.pad(row.targets, (0, padding)).astype(np.uint8)
                self._files[1].write(mask.tobytes())
        self.lengths.append(row.lengths.astype("<i4"))
        self.row_languages.append(list(self.languages).index(row.language))
        count = self.counts[row.language]
        count["rows"] += 1
        count["segments"] += len(row.lengths)
        count["tokens"] += n
        count["targets"] += n_targets(row)

    def close(self, **facts: Any) -> Mapping[str, Any]:
        """Write the segment tables and ``meta.json``; returns the meta."""
        n_rows = len(self.lengths)
        sizes = np.array([0, *(len(x) for x in self.lengths)], dtype="<i8")
        flat = np.concatenate(self.lengths) if n_rows else np.zeros(0, "<i4")
        with storage_errors(self.path):
            for file in self._files:
                file.flush()
                os.fsync(file.fileno())
                file.close()
            flat.tofile(self.path / "segments.bin")
            np.cumsum(sizes).astype("<i8").tofile(self.path / "row_segments.bin")
            np.array(self.row_languages, np.uint8).tofile(self.path / "row_languages.bin")
        tokens = {language: count["tokens"] for language, count in self.counts.items()}
        meta = {
            "format": FORMAT,
            "n_rows": n_rows,
            "seq_len_tokens": self.seq_len_tokens,
            "dtype": self.dtype.str,
            "vocab_size": self.vocab_size,
            "languages": list(self.languages),
            "has_targets": self.has_targets,
            "tokens_by_language": tokens,
            "counts_by_language": self.counts,
            "padding_tokens": n_rows * self.seq_len_tokens - sum(tokens.values()),
            **facts,
        }
        write_json(self.path / "meta.json", meta)
        return meta


def n_targets(row: Row) -> int:
    """How many tokens of a row are predicted: never the first of a segment (nothing is before)."""
    starts = np.concatenate([[0], np.cumsum(row.lengths)[:-1]])
    if row.targets is None:
        return len(row.tokens) - len(starts)
    return int(row.targets.sum()) - int(row.targets[starts].sum())
