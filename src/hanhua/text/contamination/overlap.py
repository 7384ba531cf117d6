"""Overlap with evaluation questions, by character n-grams of the canonical form.

The rule: a document holds a question when at least half of the question's n-grams occur in it,
n = 8 characters for Han text and 32 letters (about 7 words) otherwise. On CMMLU this finds every
verbatim, re-punctuated and re-spaced copy and touches 0.3 % of clean documents; "any 13-gram"
touches 8 %, because law and phrases are full of shared 13-grams. The n-grams must also stand near
each other (in three times the question's length): a long law holds the phrases of a question about
law here and there, and that is not the question. Traditional characters count as simplified ones.

Two more demands on questions. Long ones quote a passage (a speech, a poem, a statute) and then ask
about it; a text with the passage alone does not hold the question, so one of the last n n-grams
must be there: what is asked. Half of a short one is a name or a phrase of every textbook ("which of
the following is not an example of"), so of short ones more must be there, up to seven tenths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hanhua.text.contamination.grams import GramTable, Hashes, Item, gram_hashes
from hanhua.text.copies.minhash import canonical_points
from hanhua.text.scripts import FIRST_SCRIPT, SCRIPTS, CodePoints, class_table

HAN_GRAM_CHARS = 8
LETTER_GRAM_CHARS = 32
SHARE = 0.5
SHORT_SHARE = 0.7
"""Of a question of n characters; from there down to SHARE, which counts from four times n on."""
LONG = 8
"""A question of so many times n characters may quote a passage."""
END_PART = 16
"""What is asked is in the last n characters, or the last 16th of a very long question."""

_FIRST_HAN = 0x3400
_MAX_GRAMS = 512
"""N-grams that stand for one item; half of 512 are found by chance less often than half of 8."""


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
        share: the part of the item's n-grams that occur in one place of the document.
    """

    item: int
    share: float


class OverlapIndex:
    """Texts to look for in documents.

    Args:
        items: the texts; of long ones a fixed sample of n-grams stands for the whole.
        share: from which part of an item's n-grams on a document counts as holding it.
        questions: more is asked of short items, and that the end of long ones is there.
    """

    def __init__(
        self, items: Sequence[str], share: float = SHARE, *, questions: bool = False
    ) -> None:
        self.items = len(items)
        self.too_short = 0
        grams: dict[int, list[Item]] = {HAN_GRAM_CHARS: [], LETTER_GRAM_CHARS: []}
        for number, item in enumerate(items):
            points = canonical_points(item)
            length = gram_length(points)
            hashes = gram_hashes(points, length)
            if not len(hashes):
                self.too_short += 1
            elif questions:
                grams[length].append(_question(number, len(points), hashes, length, share))
            else:
                found = _sample(np.unique(hashes))
                grams[length].append(Item(number, len(points), found, share))
        self._tables = [GramTable(n, found, self.items) for n, found in grams.items() if found]

    def find(self, points: CodePoints) -> Overlap | None:
        """The item that a document holds most of, or None.

        Args:
            points: the document's code points as they are compared, uint32 [chars].
        """
        return max(self.find_all(points), key=lambda overlap: overlap.share, default=None)

    def find_all(self, points: CodePoints) -> list[Overlap]:
        """Every item that a document holds, by number."""
        found = [
            Overlap(item, share)
            for table in self._tables
            if _can_hold(points, table.gram_chars)
            for item, share in table.held(points)
        ]
        return sorted(found, key=lambda overlap: overlap.item)


def _question(number: int, chars: int, hashes: Hashes, length: int, share: float) -> Item:
    """A question, by its n-grams in order."""
    ends = hashes[-max(length, chars // END_PART) :] if chars >= LONG * length else hashes[:0]
    grams = np.union1d(_sample(np.unique(hashes)), ends)
    shortness = min(max(4 - chars / length, 0.0) / 3, 1.0)
    return Item(number, chars, grams, share + (SHORT_SHARE - SHARE) * shortness, np.unique(ends))


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
