"""Best-fit packing: whole documents into rows, nothing lost, next to nothing padded.

Documents longer than a row are cut at the row's end; every piece, longest first, then goes into
the fullest row that still has room. Where that leaves more than half a percent of padding (a
corpus of documents all a bit longer than half a row), the emptiest rows are emptied again and
their pieces laid end to end and cut: a cut costs one document its context, padding costs work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAX_PADDING = 0.004


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one document: tokens [start, start + length)."""

    document: int
    start: int
    length: int


def pack(lengths: npt.NDArray[np.int64], seq_len_tokens: int) -> list[list[Piece]]:
    """Place every token of every document in exactly one row.

    Args:
        lengths: ``[n_documents]`` tokens of each document, all > 0.
        seq_len_tokens: room in a row.

    Returns:
        Rows of pieces; the lengths in a row sum to at most ``seq_len_tokens``.
    """
    pieces = cut(lengths, seq_len_tokens)
    rows = best_fit(pieces, seq_len_tokens)
    return _fill_gaps(rows, seq_len_tokens)


def cut(lengths: npt.NDArray[np.int64], seq_len_tokens: int) -> list[Piece]:
    """Cut documents longer than a row into rows and a rest."""
    return [
        Piece(document, start, min(seq_len_tokens, int(length) - start))
        for document, length in enumerate(lengths)
        for start in range(0, int(length), seq_len_tokens)
    ]


def best_fit(pieces: list[Piece], seq_len_tokens: int) -> list[list[Piece]]:
    """Best-fit decreasing.

    Rows with r tokens of room left are kept in a stack for each r, and a big integer has bit r
    set where that stack isn't empty: the tightest fit is its lowest bit at or above the length.
    """
    rows: list[list[Piece]] = []
    with_room: list[list[int]] = [[] for _ in range(seq_len_tokens + 1)]
    occupied = 0
    for piece in sorted(pieces, key=lambda p: -p.length):
        fits = occupied >> piece.length
        if fits:
            room = piece.length + (fits & -fits).bit_length() - 1
            row = with_room[room].pop()
            if not with_room[room]:
                occupied &= ~(1 << room)
        else:
            room, row = seq_len_tokens, len(rows)
            rows.append([])
        rows[row].append(piece)
        left = room - piece.length
        if left:
            with_room[left].append(row)
            occupied |= 1 << left
    return rows


def padding(rows: list[list[Piece]], seq_len_tokens: int) -> int:
    """Tokens of room left over in all rows together."""
    return sum(seq_len_tokens - sum(p.length for p in row) for row in rows)


def _fill_gaps(rows: list[list[Piece]], seq_len_tokens: int) -> list[list[Piece]]:
    """Empty the emptiest rows and lay their pieces end to end, until padding is small enough."""
    gaps = [seq_len_tokens - sum(p.length for p in row) for row in rows]
    total = sum(gaps)
    allowed = int(MAX_PADDING * (len(rows) * seq_len_tokens - total))
    if total <= max(allowed, seq_len_tokens):
        return rows
    allowed = max(allowed - seq_len_tokens, seq_len_tokens)  # the last row laid may be half empty
    loose: set[int] = set()
    for i in sorted(range(len(rows)), key=lambda i: -gaps[i]):
        if total <= allowed:
            break
        loose.add(i)
        total -= gaps[i]
    kept = [row for i, row in enumerate(rows) if i not in loose]
    return kept + _lay([p for i in sorted(loose) for p in rows[i]], seq_len_tokens)


def _lay(pieces: list[Piece], seq_len_tokens: int) -> list[list[Piece]]:
    rows: list[list[Piece]] = []
    room = 0
    for piece in pieces:
        start, left = piece.start, piece.length
        while left:
            if not room:
                rows.append([])
                room = seq_len_tokens
            n = min(room, left)
            rows[-1].append(Piece(piece.document, start, n))
            start, left, room = start + n, left - n, room - n
    return rows
