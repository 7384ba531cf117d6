"""The learner in numpy, for where the compiled one could not be built.

The text is kept as one array of symbols with links to the neighbours, so that a merge is a few
numpy operations on the places where its pair stands.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hanhua.vocab.count import WEIGHT_UNIT, Ints, Runs
from hanhua.vocab.symbols import GONE, Alphabet, Learnt, number_characters, place_rows

Places = npt.NDArray[np.int32]
_CHUNK = 1 << 22  # positions looked at together while all of the text is gone through
_SIEVE_FROM = 1 << 20
_SIEVE_BITS = 22
_FREE = -(1 << 62)


@dataclass(slots=True)
class _Text:
    """The text as linked symbols. Positions are where each symbol began."""

    symbol: npt.NDArray[np.int32]
    before: Places
    after: Places
    run: Places
    run_weight: Ints
    mark: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.mark = np.zeros(len(self.symbol), dtype=np.bool_)

    def weight(self, at: Places) -> Ints:
        """What an occurrence at these places counts."""
        found: Ints = self.run_weight[self.run[at]]
        return found


def _lay_out(runs: Runs) -> tuple[_Text, list[str]]:
    symbol, strings = number_characters(runs)
    places = np.arange(len(symbol), dtype=np.int32)
    text = _Text(
        symbol, places - np.int32(1), places + np.int32(1), place_rows(runs), runs.row_weights
    )
    return text, strings


class ArrayLearner:
    """The learner in numpy.

    Args:
        runs: what to learn from.
        alphabet: what the base knows.
        max_piece_chars: longer pieces are not made.
        floor: weighted occurrences that a piece needs, in 1 / WEIGHT_UNIT.
    """

    def __init__(self, runs: Runs, alphabet: Alphabet, max_piece_chars: int, floor: int) -> None:
        self.runs = runs
        self.text, self.strings = _lay_out(runs)
        self.max_piece_chars = max_piece_chars
        self.floor = floor
        self.table = {string: i for i, string in enumerate(self.strings)}
        self.active = np.array([c in alphabet.known for c in self.strings], dtype=np.bool_)
        self.counts: dict[int, int] = {}
        self.places: dict[int, list[Places]] = {}
        self.heap: list[tuple[int, int]] = []
        self._singles(alphabet)
        self._begin()
        self._replay(alphabet.pieces)

    # A pair is one key: left symbol << 32 | right symbol. A single is a key below zero.

    def _singles(self, alphabet: Alphabet) -> None:
        """Count the characters, and note where those stand that may become pieces."""
        size = len(self.strings)
        totals = np.zeros(size)
        shut: list[Places] = []
        for at in self._everywhere():
            symbol = self.text.symbol[at]
            totals += np.bincount(symbol, weights=self.text.weight(at), minlength=size)
            shut.append(at[~self.active[symbol]])
        self.single_count = totals.astype(np.int64)
        where = np.concatenate(shut) if shut else np.zeros(0, np.int32)
        symbol = self.text.symbol[where]
        order = np.argsort(symbol, kind="stable")
        self.char_order = where[order]
        self.char_start = np.searchsorted(symbol[order], np.arange(size + 1))
        for i, char in enumerate(self.strings):
            cost, count = alphabet.cost.get(char, 0), int(self.single_count[i])
            if not self.active[i] and cost > 1 and count >= self.floor:
                heapq.heappush(self.heap, (-count * (cost - 1), -1 - i))

    def _everywhere(self) -> Iterator[Places]:
        """All places of characters, a chunk at a time."""
        symbol = self.text.symbol
        for lo in range(0, len(symbol), _CHUNK):
            yield (np.flatnonzero(symbol[lo : lo + _CHUNK] >= 0) + lo).astype(np.int32)

    def _begin(self) -> None:
        """Index the pairs of characters that the base knows."""
        symbol = self.text.symbol
        found: list[Places] = []
        for at in self._everywhere():
            at = at[self.active[symbol[at]]]
            found.append(at[self._usable(at + np.int32(1))])
        if found:
            self._add(np.concatenate(found))

    def _replay(self, pieces: Sequence[str]) -> None:
        for piece in pieces:
            if len(piece) > 1 and any(
                piece[:i] in self.table and piece[i:] in self.table for i in range(1, len(piece))
            ):
                self._join(self._symbol(piece))

    def _symbol(self, piece: str) -> int:
        found = self.table.get(piece)
        if found is None:
            found = self.table[piece] = len(self.strings)
            self.strings.append(piece)
            if found >= len(self.active):
                self.active = np.concatenate([self.active, np.ones(len(self.active), np.bool_)])
            self.active[found] = True
        return found

    def next(self) -> Learnt | None:
        """Learn one piece, or None when no pair is frequent enough."""
        while self.heap:
            rank, key = heapq.heappop(self.heap)
            if key < 0:
                return self._open(-1 - key)
            count = self.counts.get(key, 0)
            if rank != _FREE and count != -rank:
                if count >= self.floor:
                    heapq.heappush(self.heap, (-count, key))
                continue
            if not count:
                continue
            left, right = self.strings[key >> 32], self.strings[key & 0xFFFFFFFF]
            known = left + right in self.table
            self._join(self._symbol(left + right))
            if not known:
                return Learnt(left + right, round(count / WEIGHT_UNIT), (left, right))
        return None

    def _open(self, symbol: int) -> Learnt:
        """Make a character a symbol, and count the pairs that it now stands in."""
        self.active[symbol] = True
        text = self.text
        at = self.char_order[self.char_start[symbol] : self.char_start[symbol + 1]]
        left = text.before[at]
        left = left[self._usable(left)]
        right = at[self._usable(text.after[at]) & (text.symbol[text.after[at]] != symbol)]
        self._add(np.concatenate([left, right]))
        return Learnt(self.strings[symbol], round(int(self.single_count[symbol]) / WEIGHT_UNIT))

    def _usable(self, at: Places) -> npt.NDArray[np.bool_]:
        symbol = self.text.symbol[at]
        return (symbol >= 0) & self.active[symbol]

    def _join(self, new: int) -> None:
        """Merge every pair that spells a piece, all splits of it."""
        piece = self.strings[new]
        for cut in range(1, len(piece)):
            left, right = self.table.get(piece[:cut]), self.table.get(piece[cut:])
            if left is not None and right is not None and (left << 32 | right) in self.counts:
                self._merge(left, right, new)

    def _merge(self, left: int, right: int, new: int) -> None:
        text = self.text
        key = left << 32 | right
        at = np.unique(np.concatenate(self.places.pop(key)))
        del self.counts[key]
        at = at[text.symbol[at] == left]
        at = at[text.symbol[text.after[at]] == right]
        if left == right:
            at = self._without_overlaps(at)
        if not len(at):
            return
        second = text.after[at]
        self._forget(at, second)
        text.symbol[at] = new
        text.symbol[second] = GONE
        beyond = text.after[second]
        text.after[at] = beyond
        text.before[beyond] = at
        text.mark[at] = True
        before = text.before[at]
        before = before[self._usable(before)]
        after = at[self._usable(beyond) & ~text.mark[beyond]]
        text.mark[at] = False
        self._add(np.concatenate([before, after]))

    def _without_overlaps(self, at: Places) -> Places:
        """In a chain aaaa take the first, third, ... place."""
        chained = np.zeros(len(at), dtype=np.bool_)
        chained[1:] = self.text.after[at[:-1]] == at[1:]
        starts = np.flatnonzero(~chained)
        within = np.arange(len(at)) - np.repeat(starts, np.diff(np.append(starts, len(at))))
        first: Places = at[within % 2 == 0]
        return first

    def _forget(self, at: Places, second: Places) -> None:
        """Take the pairs that a merge breaks out of the counts, each once."""
        text = self.text
        text.mark[at] = True
        before, beyond = text.before[at], text.after[second]
        left, right = self._usable(before), self._usable(beyond) & ~text.mark[beyond]
        text.mark[at] = False
        first = np.concatenate([text.symbol[before[left]], text.symbol[second[right]]])
        then = np.concatenate([text.symbol[at[left]], text.symbol[beyond[right]]])
        weights = np.concatenate([text.weight(at[left]), text.weight(at[right])])
        keys = first.astype(np.int64) << 32 | then.astype(np.int64)
        found, inverse = np.unique(keys, return_inverse=True)
        lost = np.bincount(inverse, weights=weights, minlength=len(found)).astype(np.int64)
        for key, number in zip(found.tolist(), lost.tolist(), strict=True):
            if key in self.counts:
                self.counts[key] -= number

    def _add(self, at: Places) -> None:
        """Count the pairs that begin at these places; rare and overlong ones are left out."""
        if len(at) > _SIEVE_FROM:
            at = self._sieve(at)
        if not len(at):
            return
        keys = self._keys(at)
        order = np.argsort(keys)
        keys, at = keys[order], at[order]
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        sums = np.add.reduceat(self.text.weight(at), starts)
        ends = np.append(starts[1:], len(at))
        keep = np.flatnonzero(sums >= self.floor)
        rows = (keys[starts[keep]], sums[keep], starts[keep], ends[keep])
        for key, number, start, end in zip(*(row.tolist() for row in rows), strict=True):
            self._pair(key, number, at[start:end])

    def _keys(self, at: Places) -> Ints:
        symbol = self.text.symbol
        found: Ints = symbol[at].astype(np.int64) << 32 | symbol[self.text.after[at]]
        return found

    def _sieve(self, at: Places) -> Places:
        """Leave out places whose pair is surely rare: its whole hash bucket weighs too little.

        Most pairs of a text are rare, and sorting them all would take most of the time and memory.
        """
        weights = np.zeros(1 << _SIEVE_BITS)
        chunks = [at[lo : lo + _CHUNK] for lo in range(0, len(at), _CHUNK)]
        for chunk in chunks:
            bucket = self._bucket(chunk)
            weights += np.bincount(bucket, self.text.weight(chunk), minlength=1 << _SIEVE_BITS)
        common = weights >= self.floor
        return np.concatenate([chunk[common[self._bucket(chunk)]] for chunk in chunks])

    def _bucket(self, at: Places) -> Places:
        symbol = self.text.symbol
        mixed = symbol[at] * np.int32(40_503) + symbol[self.text.after[at]]
        found: Places = mixed & np.int32((1 << _SIEVE_BITS) - 1)
        return found

    def _pair(self, key: int, number: int, at: Places) -> None:
        piece = self.strings[key >> 32] + self.strings[key & 0xFFFFFFFF]
        if len(piece) > self.max_piece_chars and piece not in self.table:
            return
        count = self.counts[key] = self.counts.get(key, 0) + number
        self.places.setdefault(key, []).append(at)
        heapq.heappush(self.heap, (_FREE if piece in self.table else -count, key))

    def uses(self) -> dict[str, Ints]:
        """How often each piece stands in each source of the text, as it is cut now."""
        runs, width = self.runs, len(self.runs.facts)
        starts = runs.starts.astype(np.int64)
        table = np.zeros(len(self.strings) * width)
        for at in self._everywhere():
            row = self.text.run[at]
            number = np.diff(starts)[row]
            first = np.repeat(starts[row] - np.cumsum(number) + number, number)
            entry = first + np.arange(number.sum())
            cell = np.repeat(self.text.symbol[at], number).astype(np.int64) * width
            cell += runs.sources[entry]
            table += np.bincount(cell, runs.counts[entry], minlength=len(table))
        rows = table.astype(np.int64).reshape(-1, width)
        return dict(zip(self.strings, rows, strict=True))
