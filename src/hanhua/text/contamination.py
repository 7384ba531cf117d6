"""Overlap with evaluation questions, by character n-grams of the canonical form.

The rule: a document holds a question when at least half of the question's n-grams occur in it,
n = 8 characters for Han text and 32 letters (about 7 words) otherwise. On CMMLU this finds every
verbatim, re-punctuated and re-spaced copy and touches 0.3 % of clean documents; "any 13-gram"
touches 8 %, because law and phrases are full of shared 13-grams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hanhua.text.scripts import FIRST_SCRIPT, SCRIPTS, CodePoints, canonical, class_table

HAN_GRAM_CHARS = 8
LETTER_GRAM_CHARS = 32
SHARE = 0.5

Hashes = npt.NDArray[np.uint64]

_FIRST_HAN = 0x3400
_BITS_PER_GRAM = 8
_MAX_GRAMS = 512
"""N-grams that stand for one item; half of 512 are found by chance less often than half of 8."""
_BASE = 0x9E3779B97F4A7C15
_MIX = np.uint64(0xFF51AFD7ED558CCD)


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


def gram_length(points: CodePoints) -> int:
    """The n for a question: by Han share, since 8 Latin letters are not yet two words."""
    if not len(points):
        return HAN_GRAM_CHARS
    han = np.count_nonzero(class_table()[points] == FIRST_SCRIPT + SCRIPTS.index("han"))
    return HAN_GRAM_CHARS if han >= 0.5 * len(points) else LETTER_GRAM_CHARS


@dataclass(frozen=True, slots=True)
class Overlap:
    """A document that holds an item.

    Args:
        item: the item's number in the list given.
        share: the part of the item's n-grams that occur in the document.
    """

    item: int
    share: float


class OverlapIndex:
    """Texts to look for in documents.

    Args:
        items: the texts; of long ones a fixed sample of n-grams stands for the whole.
        share: from which part of an item's n-grams on a document counts as holding it.
    """

    def __init__(self, items: Sequence[str], share: float = SHARE) -> None:
        self.share = share
        self.items = len(items)
        self.too_short = 0
        grams: dict[int, list[tuple[int, Hashes]]] = {HAN_GRAM_CHARS: [], LETTER_GRAM_CHARS: []}
        for number, item in enumerate(items):
            points = canonical(item)
            length = gram_length(points)
            hashes = _sample(np.unique(gram_hashes(points, length)))
            if len(hashes):
                grams[length].append((number, hashes))
            else:
                self.too_short += 1
        self._tables = [_Table(n, found, self.items) for n, found in grams.items() if found]

    def find(self, points: CodePoints) -> Overlap | None:
        """The item that a document holds most of, or None.

        Args:
            points: the document's canonical code points, uint32 [chars].
        """
        best = None
        for table in self._tables:
            if not _can_hold(points, table.gram_chars):
                continue
            overlap = table.best(points)
            if overlap and overlap.share >= self.share and (not best or overlap.share > best.share):
                best = overlap
        return best


def _can_hold(points: CodePoints, gram_chars: int) -> bool:
    """Whether a document has the characters at all that half of an item's n-grams need."""
    han = int(np.count_nonzero(points >= _FIRST_HAN))
    return bool(han) if gram_chars == HAN_GRAM_CHARS else len(points) - han >= gram_chars // 2


def _sample(hashes: Hashes) -> Hashes:
    """Thin the n-grams of a long item by their value, so that every text thins them alike."""
    kept, shift = hashes, 0
    while len(kept) > _MAX_GRAMS:
        shift += 1
        kept = hashes[(hashes & np.uint64((1 << shift) - 1)) == 0]
    return kept


class _Table:
    """The n-grams of one length: a bit table that refuses nine in ten, then a sorted array."""

    def __init__(self, gram_chars: int, items: list[tuple[int, Hashes]], count: int) -> None:
        self.gram_chars = gram_chars
        self.sizes = np.ones(count, dtype=np.int64)
        for number, found in items:
            self.sizes[number] = len(found)
        hashes = np.concatenate([found for _, found in items])
        owners = np.concatenate([np.full(len(found), number) for number, found in items])
        order = np.argsort(hashes, kind="stable")
        self.owners = owners[order].astype(np.int64)
        self.grams, self.starts, self.runs = np.unique(
            hashes[order], return_index=True, return_counts=True
        )
        bits = max(len(self.grams) * _BITS_PER_GRAM, 2).bit_length()
        self.shift = np.uint64(64 - bits)
        self.seen = np.zeros(1 << bits, dtype=np.bool_)
        self.seen[self._slots(self.grams)] = True

    def _slots(self, hashes: Hashes) -> npt.NDArray[np.int64]:
        return (hashes >> self.shift).view(np.int64)

    def best(self, points: CodePoints) -> Overlap | None:
        """The item of which a document holds the largest share."""
        hashes = gram_hashes(points, self.gram_chars)
        hashes = np.unique(hashes[self.seen.take(self._slots(hashes))])
        if not len(hashes):
            return None
        places = np.searchsorted(self.grams, hashes).clip(max=len(self.grams) - 1)
        places = places[self.grams[places] == hashes]
        if not len(places):
            return None
        runs = self.runs[places]
        ends = np.cumsum(runs)
        rows = np.repeat(self.starts[places] - (ends - runs), runs) + np.arange(ends[-1])
        items, hits = np.unique(self.owners[rows], return_counts=True)
        shares = hits / self.sizes[items]
        best = int(shares.argmax())
        return Overlap(int(items[best]), round(float(shares[best]), 4))
