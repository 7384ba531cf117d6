"""A memory of parts of text and their ids, looked up many at once with numpy.

A Python dictionary would need a string object for each part of each text; here a part is a
stretch of an array of characters, found by a 64-bit hash in an open table and then compared
character by character, so that two parts with one hash are told apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hanhua.tokens.permutation import scramble

Ints = npt.NDArray[Any]
BITS = 20
MAX_PARTS = 1 << (BITS - 2)
MAX_FLAT = 1 << 22
BASE = 0x9E3779B97F4A7C15
"""Of the polynomial that is the hash before it is scrambled; any odd number does."""


class Parts:
    """The parts that an array of characters is cut into.

    Args:
        chars: ``[n_chars]`` code points.
        starts: ``[n_parts]`` where each part begins; the first at 0.
        powers: of ``BASE``, at least as many as the longest part has characters.
    """

    def __init__(self, chars: Ints, starts: Ints, powers: Ints) -> None:
        self.chars, self.starts = chars, starts
        self.lengths = np.diff(starts, append=len(chars))
        self.within = np.arange(len(chars)) - np.repeat(starts, self.lengths)
        terms = (chars + np.uint64(1)) * powers[self.within]
        self.hashes = scramble(np.add.reduceat(terms, starts))


class _Growing:
    """An array that is added to without being copied each time."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._all = np.zeros(1 << 10, dtype)
        self.n = 0

    def __getitem__(self, places: Ints) -> Ints:
        return self._all[places]

    def add(self, more: Ints) -> None:
        if self.n + len(more) > len(self._all):
            larger = np.zeros(2 * (self.n + len(more)), self._all.dtype)
            larger[: self.n] = self._all[: self.n]
            self._all = larger
        self._all[self.n : self.n + len(more)] = more
        self.n += len(more)


class _Ragged:
    """Stretches of one array, by number."""

    def __init__(self) -> None:
        self.flat, self.starts = _Growing(np.uint32), _Growing(np.int64)
        self.lengths = _Growing(np.int32)

    def add(self, more: list[Ints]) -> None:
        lengths = np.array([len(x) for x in more], np.int64)
        self.starts.add(self.flat.n + np.cumsum(lengths) - lengths)
        self.lengths.add(lengths)
        self.flat.add(np.concatenate(more))


class PartTable:
    """Known parts, numbered from 0, and the ids of each."""

    def __init__(self) -> None:
        self.slots = np.full(1 << BITS, -1, np.int32)
        self.hashes = _Growing(np.uint64)
        self.chars, self.ids = _Ragged(), _Ragged()

    @property
    def full(self) -> bool:
        """Whether it is time for a new one."""
        flat = max(self.ids.flat.n, self.chars.flat.n)
        return self.hashes.n > MAX_PARTS or flat > MAX_FLAT

    def find(self, hashes: Ints) -> npt.NDArray[np.int64]:
        """The numbers of parts by their hashes, -1 for new ones: ``[n]`` to ``[n]``."""
        slots = (hashes >> np.uint64(64 - BITS)).astype(np.int64)
        found = self.slots[slots].astype(np.int64)
        looking = np.flatnonzero(found >= 0)
        while len(looking):
            looking = looking[self.hashes[found[looking]] != hashes[looking]]
            slots[looking] = (slots[looking] + 1) % (1 << BITS)
            found[looking] = self.slots[slots[looking]]
            looking = looking[found[looking] >= 0]
        return found

    def add(self, hashes: Ints, parts: list[Ints], ids: list[Ints]) -> None:
        """Learn parts that are new, each with another hash."""
        numbers = self.hashes.n + np.arange(len(hashes), dtype=np.int32)
        self.hashes.add(hashes)
        slots = (hashes >> np.uint64(64 - BITS)).astype(np.int64)
        placing = np.arange(len(hashes))
        while len(placing):
            free = placing[self.slots[slots[placing]] < 0]
            self.slots[slots[free]] = numbers[free]  # of those with one slot, one stays
            placing = placing[self.slots[slots[placing]] != numbers[placing]]
            slots[placing] = (slots[placing] + 1) % (1 << BITS)
        self.chars.add(parts)
        self.ids.add(ids)

    def holds(self, numbers: Ints, parts: Parts) -> bool:
        """Whether the parts with these numbers are these parts, character by character."""
        if not np.array_equal(self.chars.lengths[numbers], parts.lengths):
            return False
        places = np.repeat(self.chars.starts[numbers], parts.lengths) + parts.within
        return np.array_equal(self.chars.flat[places], parts.chars)

    def expand(self, numbers: Ints) -> tuple[Ints, Ints]:
        """``[n_tokens]`` ids of parts one after another, and ``[n_parts]`` how many each has."""
        lengths = self.ids.lengths[numbers]
        before = np.cumsum(lengths, dtype=np.int64) - lengths
        places = np.repeat(self.ids.starts[numbers] - before, lengths)
        places += np.arange(len(places))
        return self.ids.flat[places], lengths
