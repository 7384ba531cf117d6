"""Best-fit packing: whole documents into rows, nothing lost, next to nothing padded.

Documents longer than a row are cut at the row's end; every piece, longest first, then goes into
the fullest row that still has room. Where that leaves more than half a percent of padding (a
corpus of documents all a bit longer than half a row), the emptiest rows are emptied again and
their pieces laid end to end and cut: a cut costs one document its context, padding costs work.

Which of two rows with the same room is taken makes no difference to the padding, so the rows are
not gone through one by one: pieces of one length are placed into all rows of one room at once.
What was a step for each piece is a step for each length, in numpy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hanhua.tokens.pieces import Packed, Piece, Pieces
from hanhua.tokens.ragged import ranges

__all__ = ["Packed", "Piece", "Pieces", "best_fit", "cut", "pack", "padding"]

Ints = npt.NDArray[Any]
MAX_PADDING = 0.004


def pack(lengths: Ints, seq_len_tokens: int) -> Packed:
    """Place every token of every document in exactly one row.

    Args:
        lengths: ``[n_documents]`` tokens of each document.
        seq_len_tokens: room in a row.

    Returns:
        Rows of pieces; the lengths in a row sum to at most ``seq_len_tokens``.
    """
    return _fill_gaps(best_fit(cut(lengths, seq_len_tokens), seq_len_tokens), seq_len_tokens)


def cut(lengths: Ints, seq_len_tokens: int) -> Pieces:
    """Cut documents longer than a row into rows and a rest."""
    n = -(-np.asarray(lengths, np.int64) // seq_len_tokens)
    document = np.repeat(np.arange(len(n)), n)
    start = ranges(np.zeros_like(n), n) * seq_len_tokens
    return Pieces(document, start, np.minimum(lengths[document] - start, seq_len_tokens))


def best_fit(pieces: Pieces, seq_len_tokens: int) -> Packed:
    """Best-fit decreasing.

    Args:
        pieces: none longer than a row.
        seq_len_tokens: room in a row.

    Returns:
        Rows in the order in which they were begun; the longest piece of a row comes first.
    """
    # longest first, and of one length in order: one sort of numbers that hold both
    keys = (np.int64(seq_len_tokens) - pieces.length) << 32 | np.arange(len(pieces))
    keys.sort()
    order = keys & 0xFFFFFFFF
    keys = _rows_of(np.bincount(pieces.length, minlength=seq_len_tokens + 1)) << 32
    keys |= np.arange(len(pieces))
    keys.sort()
    rows = keys >> 32
    n_rows = int(rows[-1]) + 1 if len(rows) else 0
    row_starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows))])
    return Packed(pieces[order[keys & 0xFFFFFFFF]], row_starts)


def padding(rows: Packed, seq_len_tokens: int) -> int:
    """Tokens of room left over in all rows together."""
    return len(rows) * seq_len_tokens - int(rows.pieces.length.sum())


class _Moves(NamedTuple):
    """Steps of best fit, in order: rows of one room take pieces of one length each."""

    room: Ints
    rows: Ints
    """how many rows of that room"""
    each: Ints
    """how many pieces each of them takes"""
    left: Ints
    """room that each then has"""


def _rows_of(counts: Ints) -> npt.NDArray[np.int64]:
    """Best-fit decreasing of so many pieces of each length.

    Args:
        counts: ``[seq_len_tokens + 1]`` pieces by length.

    Returns:
        ``[n_pieces]`` the row of each, longest first.

    The rows of one room are a queue: those that come to have this room go to its end, those that
    are given pieces leave its head. So who is who need not be known while lengths are gone
    through; afterwards each stay of a row at a room points to its stay before, and pointers are
    followed back, twice as far each time, to the row's beginning.
    """
    if not counts.any():
        return np.zeros(0, np.int64)
    moves = _moves(counts)
    beginning = moves.room == len(counts) - 1
    n_rows = int(moves.rows[beginning].sum())
    # stays are numbered: first all rows empty, then by room in the order of arrival
    arrived = np.bincount(moves.left, moves.rows, len(counts)).astype(np.int64)
    arrived[0], arrived[-1] = 0, 0
    starts = n_rows + np.cumsum(arrived) - arrived
    starts[-1] = 0
    leaving = ranges(starts[moves.room] + _before(moves.room, moves.rows), moves.rows)
    on = moves.left > 0
    coming = starts[moves.left[on]] + _before(moves.left[on], moves.rows[on])
    earlier = np.arange(n_rows + int(arrived.sum()), dtype=np.int32)
    earlier[ranges(coming, moves.rows[on])] = leaving[np.repeat(on, moves.rows)]
    while True:
        further = earlier[earlier]
        if np.array_equal(further, earlier):
            break
        earlier = further
    rows = earlier[leaving].astype(np.int64)
    return np.repeat(rows, np.repeat(moves.each, moves.rows))


def _moves(counts: Ints) -> _Moves:
    seq_len_tokens = len(counts) - 1
    open_rows = np.zeros(seq_len_tokens, np.int64)  # by room
    found: list[tuple[Ints, Ints]] = []
    lengths = np.flatnonzero(counts)[::-1]
    for length, left in zip(lengths.tolist(), counts[lengths].tolist(), strict=True):
        rooms = length + open_rows[length:].nonzero()[0]
        rows = open_rows[rooms]
        pieces = (rows * (rooms // length)).cumsum()
        full = int(pieces.searchsorted(left, "right"))  # rooms of which every row is filled
        left -= int(pieces[full - 1]) if full else 0
        room = int(rooms[full]) if full < len(rooms) else seq_len_tokens
        whole, rest = divmod(left, room // length)
        if room < seq_len_tokens:
            open_rows[room] -= whole + (rest > 0)
        open_rows[rooms[:full]] = 0
        np.add.at(open_rows, rooms[:full] % length, rows[:full])
        open_rows[room % length] += whole
        if rest:
            open_rows[room - rest * length] += 1
        found.append((np.append(rooms[:full], [room, room]), np.append(rows[:full], [whole, rest])))
    return _as_moves(lengths, found)


def _as_moves(lengths: Ints, found: list[tuple[Ints, Ints]]) -> _Moves:
    """Of each length: rooms that are filled, then one of which some are, then one row partly."""
    sizes = np.array([len(room) for room, _ in found], np.int64)
    room, rows = (np.concatenate(column) for column in zip(*found, strict=True))
    length = np.repeat(lengths, sizes)
    each = room // length
    last = np.cumsum(sizes) - 1
    each[last], rows[last] = rows[last], rows[last] > 0
    some = rows > 0
    return _Moves(room[some], rows[some], each[some], (room - each * length)[some])


def _before(groups: Ints, amounts: Ints) -> npt.NDArray[np.int64]:
    """For each entry, the sum of the amounts of earlier ones in its group."""
    order = np.argsort(groups, kind="stable")
    sums = np.cumsum(amounts[order]) - amounts[order]
    first = np.searchsorted(groups[order], groups[order])
    found = np.empty(len(groups), np.int64)
    found[order] = sums - sums[first] if len(sums) else sums
    return found


def _fill_gaps(rows: Packed, seq_len_tokens: int) -> Packed:
    """Empty the emptiest rows and lay their pieces end to end, until padding is small enough."""
    gaps = seq_len_tokens - rows.row_tokens()
    total = int(gaps.sum())
    allowed = int(MAX_PADDING * (len(rows) * seq_len_tokens - total))
    if total <= max(allowed, seq_len_tokens):
        return rows
    allowed = max(allowed - seq_len_tokens, seq_len_tokens)  # the last row laid may be half empty
    emptiest = np.argsort(-gaps, kind="stable")
    n = int(np.searchsorted(np.cumsum(gaps[emptiest]), total - allowed)) + 1
    kept = rows.take(np.sort(emptiest[n:]))
    laid = _lay(rows.take(np.sort(emptiest[:n])).pieces, seq_len_tokens)
    pieces = [np.concatenate(both) for both in zip(_columns(kept), _columns(laid), strict=True)]
    starts = np.concatenate([kept.row_starts, kept.row_starts[-1] + laid.row_starts[1:]])
    return Packed(Pieces(*pieces), starts)


def _columns(rows: Packed) -> tuple[Ints, Ints, Ints]:
    return rows.pieces.document, rows.pieces.start, rows.pieces.length


def _lay(pieces: Pieces, seq_len_tokens: int) -> Packed:
    """Pieces end to end, cut wherever a row is full."""
    ends = np.cumsum(pieces.length, dtype=np.int64)
    begins = ends - pieces.length
    first = begins // seq_len_tokens
    n = (ends - 1) // seq_len_tokens - first + 1
    which = np.repeat(np.arange(len(pieces)), n)
    rows = ranges(first, n)
    start = np.maximum(begins[which], rows * seq_len_tokens)
    stop = np.minimum(ends[which], (rows + 1) * seq_len_tokens)
    found = pieces[which]
    laid = Pieces(found.document, found.start + start - begins[which], stop - start)
    return Packed(laid, np.concatenate([[0], np.cumsum(np.bincount(rows))]))
