"""Hashes of n-grams, and the table that tells which items hold an n-gram of a document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hanhua.text.native import NATIVE
from hanhua.text.scripts import CodePoints

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

_BITS_PER_GRAM = 8
_BASE = 0x9E3779B97F4A7C15
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_NEAR = 3
_NEAR_CHARS = 64
"""An item's n-grams must stand within so many times its length, and so many characters more."""


def _none() -> Hashes:
    return np.zeros(0, dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Item:
    """What is looked for.

    Args:
        number: in the list given.
        chars: its characters, as they are compared.
        grams: its n-grams, each once.
        share: which part of them makes a hit.
        ends: those of its end, of which one must be there; none: no such demand.
    """

    number: int
    chars: int
    grams: Hashes
    share: float
    ends: Hashes = field(default_factory=_none)


def gram_hashes(points: CodePoints, gram_chars: int) -> Hashes:
    """Hash every n-gram of a canonical text: a polynomial, built by doubling the width.

    Args:
        points: canonical code points, uint32 [chars].
        gram_chars: n, a power of two.

    Returns:
        uint64 [max(chars - n + 1, 0)], in order of position.
    """
    if len(points) < gram_chars:
        return np.zeros(0, dtype=np.uint64)
    hashes = points.astype(np.uint64)
    hashes *= _MIX
    width = 1
    while width < gram_chars:
        wider = hashes[:-width] * np.uint64(pow(_BASE, width, 1 << 64))
        wider += hashes[width:]
        hashes, width = wider, width * 2
    hashes ^= hashes >> np.uint64(31)
    hashes *= _MIX
    return hashes


class GramTable:
    """The n-grams of one length: a bit table that refuses nine in ten, then a sorted array.

    Args:
        gram_chars: n.
        items: those with n-grams of this length.
        count: of all items.
    """

    def __init__(self, gram_chars: int, items: list[Item], count: int) -> None:
        self.gram_chars = gram_chars
        self.sizes = np.ones(count, dtype=np.int64)
        self.chars = np.zeros(count, dtype=np.int64)
        self.least = np.ones(count, dtype=np.float64)
        for item in items:
            self.sizes[item.number], self.chars[item.number] = len(item.grams), item.chars
            self.least[item.number] = item.share
        hashes = np.concatenate([item.grams for item in items])
        owners = np.concatenate([np.full(len(item.grams), item.number) for item in items])
        order = np.argsort(hashes, kind="stable")
        self.owners = owners[order].astype(np.int64)
        self.grams, self.starts, self.runs = np.unique(
            hashes[order], return_index=True, return_counts=True
        )
        bits = max(len(self.grams) * _BITS_PER_GRAM, 2).bit_length()
        self.shift = 64 - bits
        self.seen = np.zeros(1 << bits, dtype=np.uint8)
        self.seen[self._slots(self.grams)] = 1
        self.ends = {
            item.number: np.searchsorted(self.grams, item.ends) for item in items if len(item.ends)
        }

    def _slots(self, hashes: Hashes) -> Places:
        return (hashes >> np.uint64(self.shift)).view(np.int64)

    def held(self, points: CodePoints) -> Iterator[tuple[int, float]]:
        """(item, share) of the items of which one place of a document has enough."""
        hashes, places = self._hits(points)
        if not len(hashes):
            return
        slots = np.searchsorted(self.grams, hashes).clip(max=len(self.grams) - 1)
        real = self.grams[slots] == hashes
        slots, places = slots[real], places[real]
        for item, grams, where in self._candidates(slots, places):
            near = int(self.chars[item]) * _NEAR + _NEAR_CHARS
            if item in self.ends:
                by_end = _beside(where, where[np.isin(grams, self.ends[item])], near)
                grams, where = grams[by_end], where[by_end]
            share = round(_most_in(grams, where, near) / int(self.sizes[item]), 4)
            if share >= self.least[item]:
                yield item, share

    def _hits(self, points: CodePoints) -> tuple[Hashes, Places]:
        """The document's n-grams that may be an item's, in order."""
        if NATIVE is not None:
            points = np.ascontiguousarray(points, dtype=np.uint32)
            found = NATIVE.grams(points, self.gram_chars, self.seen, self.shift)
            return np.frombuffer(found[0], np.uint64), np.frombuffer(found[1], np.int64)
        hashes = gram_hashes(points, self.gram_chars)
        places = np.nonzero(self.seen.take(self._slots(hashes)))[0]
        return hashes[places], places

    def _candidates(self, slots: Places, places: Places) -> Iterator[tuple[int, Places, Places]]:
        """(item, n-grams, places) of the items that have enough in the whole document."""
        if not len(slots):
            return
        runs = self.runs[slots]
        ends = np.cumsum(runs)
        rows = np.repeat(self.starts[slots] - (ends - runs), runs) + np.arange(ends[-1])
        owners = self.owners[rows]
        order = np.argsort(owners, kind="stable")
        owners, grams = owners[order], np.repeat(slots, runs)[order]
        where = np.repeat(places, runs)[order]
        items, starts, hits = np.unique(owners, return_index=True, return_counts=True)
        for item, start, count in zip(items, starts, hits, strict=True):
            if count >= self.least[item] * self.sizes[item]:
                yield int(item), grams[start : start + count], where[start : start + count]


def _beside(places: Places, others: Places, near: int) -> npt.NDArray[np.bool_]:
    """Which places have one of the others within ``near`` characters; both ascend."""
    if not len(others):
        return np.zeros(len(places), dtype=np.bool_)
    after = np.searchsorted(others, places)
    gap = np.minimum(
        np.abs(places - others[(after - 1).clip(min=0)]),
        np.abs(others[after.clip(max=len(others) - 1)] - places),
    )
    found: npt.NDArray[np.bool_] = gap <= near
    return found


def _most_in(grams: Places, places: Places, near: int) -> int:
    """The most different n-grams in any stretch of ``near`` characters; places ascend."""
    inside: Counter[int] = Counter()
    best = first = 0
    starts, values = places.tolist(), grams.tolist()
    for place, gram in zip(starts, values, strict=True):
        inside[gram] += 1
        while starts[first] < place - near:
            inside[values[first]] -= 1
            if not inside[values[first]]:
                del inside[values[first]]
            first += 1
        best = max(best, len(inside))
    return best
