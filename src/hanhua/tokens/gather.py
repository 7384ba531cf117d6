"""Rows from a plan and a file of ids: block after block, each read in the order of the disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hanhua.core.errors import ArtifactError
from hanhua.core.progress import Bar
from hanhua.text.domains import language_of
from hanhua.tokens.mixture import interleave
from hanhua.tokens.ragged import ranges
from hanhua.tokens.row import Block
from hanhua.tokens.row_plan import RowPlan
from hanhua.tokens.rows import RowsWriter

Ints = npt.NDArray[Any]
BLOCK_TOKENS = 1 << 24
"""Of a block: the more, the nearer to each other are the documents that are read for it."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One language: the plan of its rows, and where they come from.

    Args:
        plan: which stretches each row holds.
        ids: the file of ids, in the type that the rows are written in.
        targets: a file with a byte for each id, 1 where it is to be predicted; None: all are.
    """

    plan: RowPlan
    ids: Path
    targets: Path | None = None


def write_rows(
    writer: RowsWriter, planned: Mapping[str, Planned], seed: int, bar: Bar
) -> dict[str, int]:
    """Write all rows, the languages and their domains interleaved.

    Args:
        writer: its languages are those planned.
        planned: by language, or language and domain; a row itself is of a language only.
        seed: the recipe's.
        bar: counts tokens.

    Returns:
        The tokens written, by the same keys.
    """
    keys = sorted(planned)
    languages = np.array([writer.languages.index(language_of(key)) for key in keys], np.uint8)
    counts = {key: len(planned[key].plan) for key in keys}
    written, tokens = dict.fromkeys(keys, 0), np.zeros(len(keys), np.int64)
    slice_rows = max(BLOCK_TOKENS // writer.seq_len_tokens, 1)
    for which in interleave(counts, seed, slice_rows):
        if not len(which):
            continue
        parts = []
        for i, key in enumerate(keys):
            rows = np.flatnonzero(which == i)
            start = written[key]
            written[key] += len(rows)
            parts.append(_Part(planned[key], rows, start))
        block = _block(writer, languages[which], parts)
        writer.add_block(block)
        np.add.at(tokens, which, block.row_tokens())
        bar.advance(int(block.lengths.sum()))
    return dict(zip(keys, tokens.tolist(), strict=True))


class _Part:
    """The rows of one language in a block: where its pieces come from and go to."""

    def __init__(self, planned: Planned, rows: Ints, start: int) -> None:
        self.planned, self.rows = planned, rows
        self.at, self.lengths, self.counts = planned.plan.rows(start, start + len(rows))

    def places(self, seq_len_tokens: int) -> Ints:
        """``[n_pieces]`` where in the block, laid flat, each piece begins."""
        before = np.cumsum(self.lengths) - self.lengths
        first = np.cumsum(self.counts) - self.counts
        return np.asarray(
            before + np.repeat(self.rows * seq_len_tokens - before[first], self.counts)
        )


def _block(writer: RowsWriter, languages: Ints, parts: list[_Part]) -> Block:
    n = len(languages)
    tokens = np.zeros(n * writer.seq_len_tokens, writer.dtype)
    targets = np.zeros(len(tokens), np.uint8) if writer.has_targets else None
    segments = np.zeros(n, np.int64)
    for part in parts:
        segments[part.rows] = part.counts
    lengths = np.zeros(int(segments.sum()), np.int32)
    first = np.cumsum(segments) - segments
    for part in parts:
        lengths[ranges(first[part.rows], part.counts)] = part.lengths
        places = part.places(writer.seq_len_tokens)
        _copy(part, places, part.planned.ids, tokens)
        if targets is not None and part.planned.targets is not None:
            _copy(part, places, part.planned.targets, targets)
    shape = (n, writer.seq_len_tokens)
    return Block(
        tokens.reshape(shape), None if targets is None else targets.reshape(shape),
        lengths, segments, languages,
    )  # fmt: skip


def _copy(part: _Part, places: Ints, source: Path, out: Ints) -> None:
    """Read pieces in the order in which they stand in the source.

    Not through a map: its pages would count as this process's memory.
    """
    order, size, buffer = np.argsort(part.at), out.itemsize, out.view(np.uint8).data
    columns = [(column[order] * size).tolist() for column in (part.at, places, part.lengths)]
    found = 0
    with source.open("rb") as file:
        for at, place, length in zip(*columns, strict=True):
            found += os.preadv(file.fileno(), [buffer[place : place + length]], at)
    if found != sum(columns[2]):
        raise ArtifactError(
            "A file of encoded documents is cut off.", where=source, found=f"{found} bytes",
            fix="delete the folder and run the same command again",
        )  # fmt: skip
