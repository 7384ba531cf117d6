"""Writes a folder of packed rows, in blocks and in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hanhua.core.files import storage_errors, write_json
from hanhua.tokens.row import Block, IntArray, Row, as_block

FORMAT = "hanhua-rows-1"
WAITING_TOKENS = 1 << 20
TABLES = ("segments.bin", "row_segments.bin", "row_languages.bin")


def ids_dtype(vocab_size: int) -> np.dtype[Any]:
    """The smallest type that holds every id."""
    return np.dtype("<u2") if vocab_size <= 1 << 16 else np.dtype("<u4")


class RowsWriter:
    """Writes rows one after another; ``close`` writes the rest and returns the counts.

    Args:
        path: folder to write.
        seq_len_tokens: room in a row.
        vocab_size: rows of the embedding; decides between uint16 and uint32.
        languages: all languages that will occur.
        has_targets: whether every row comes with a mask.
    """

    def __init__(
        self, path: Path, seq_len_tokens: int, vocab_size: int, languages: Sequence[str],
        has_targets: bool = False,
    ) -> None:  # fmt: skip
        self.path, self.seq_len_tokens, self.vocab_size = path, seq_len_tokens, vocab_size
        self.languages, self.has_targets = list(languages), has_targets
        self.dtype = ids_dtype(vocab_size)
        self.n_rows = self._n_segments = 0
        self.counts = {
            language: {"rows": 0, "segments": 0, "tokens": 0, "targets": 0}
            for language in self.languages
        }
        self._waiting: list[Row] = []
        self._files: dict[str, BinaryIO] = {}
        names = ["tokens.bin", *(["targets.bin"] if has_targets else []), *TABLES]
        with storage_errors(path):
            path.mkdir(parents=True, exist_ok=True)
            self._files = {name: (path / name).open("wb") for name in names}
            self._files["row_segments.bin"].write(bytes(8))

    def add(self, row: Row) -> None:
        """Append a row.

        Raises:
            ValueError: when it does not fit or an id is outside the vocabulary (our own mistake).
        """
        n = len(row.tokens)
        if n > self.seq_len_tokens or int(row.lengths.sum()) != n or len(row.lengths) == 0:
            raise ValueError(f"row of {n} tokens, segments {row.lengths.tolist()}")
        self._check_ids(row.tokens)
        self._waiting.append(row)
        if len(self._waiting) * self.seq_len_tokens >= WAITING_TOKENS:
            self._flush()

    def add_block(self, block: Block) -> None:
        """Append many rows at once.

        Raises:
            ValueError: as for :meth:`add`.
        """
        self._flush()
        self._write(block)

    def close(self, **facts: Any) -> Mapping[str, Any]:
        """Write what waits and ``meta.json``; returns the meta."""
        self._flush()
        with storage_errors(self.path):
            for file in self._files.values():
                file.flush()
                os.fsync(file.fileno())
            self.let_go()
        tokens = {language: count["tokens"] for language, count in self.counts.items()}
        meta = {
            "format": FORMAT,
            "n_rows": self.n_rows,
            "seq_len_tokens": self.seq_len_tokens,
            "dtype": self.dtype.str,
            "vocab_size": self.vocab_size,
            "languages": list(self.languages),
            "has_targets": self.has_targets,
            "tokens_by_language": tokens,
            "counts_by_language": self.counts,
            "padding_tokens": self.n_rows * self.seq_len_tokens - sum(tokens.values()),
            **facts,
        }
        write_json(self.path / "meta.json", meta)
        return meta

    def let_go(self) -> None:
        """Close the files, whole or not."""
        for file in self._files.values():
            file.close()

    def _check_ids(self, tokens: IntArray) -> None:
        if int(tokens.max()) >= self.vocab_size:
            raise ValueError(f"id {int(tokens.max())} >= vocabulary {self.vocab_size}")

    def _flush(self) -> None:
        if self._waiting:
            self._write(as_block(self._waiting, self.seq_len_tokens, self.dtype, self.languages))
            self._waiting = []

    def _write(self, block: Block) -> None:
        sizes, targets = block.row_tokens(), block.row_targets()
        if int(sizes.max()) > self.seq_len_tokens or int(block.segments.min()) < 1:
            raise ValueError(f"row of {sizes.max()} tokens, {block.segments.min()} segments")
        self._check_ids(block.tokens)
        ends = self._n_segments + np.cumsum(block.segments, dtype=np.int64)
        columns = {
            "tokens.bin": block.tokens.astype(self.dtype, copy=False),
            "segments.bin": block.lengths.astype("<i4"),
            "row_segments.bin": ends.astype("<i8"),
            "row_languages.bin": block.languages.astype(np.uint8),
        }
        if self.has_targets:
            assert block.targets is not None
            columns["targets.bin"] = block.targets
        with storage_errors(self.path):
            for name, column in columns.items():
                self._files[name].write(np.ascontiguousarray(column).data)
        self.n_rows, self._n_segments = self.n_rows + len(sizes), int(ends[-1])
        for i, language in enumerate(self.languages):
            mine, count = block.languages == i, self.counts[language]
            count["rows"] += int(mine.sum())
            count["segments"] += int(block.segments[mine].sum())
            count["tokens"] += int(sizes[mine].sum())
            count["targets"] += int(targets[mine].sum())
