"""Which fingerprints stand in several documents, and in which documents they are best.

Of each the best places by rank are remembered, MAX_PLACES at most: a document loses a passage
only to a better one that has it, held-out documents being better than all others, so that what is
measured on is not trained on. Only documents that stay count. Ranks do not depend on the order
of reading, so neither does what is found.

On disk: 12 bytes a fingerprint, then 16 for each shared one and 36 for each of its places; memory:
1 byte a document, and the sort of a part within the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hanhua.text.copies.book import BookWriter
from hanhua.text.copies.buckets import Buckets, Records
from hanhua.text.copies.fingerprints import MAX_PLACES, Places
from hanhua.text.copies.keys import rank_order

FOUND = np.dtype([("hash", "<u8"), ("document", "<u4")])
WANTED = np.dtype([("document", "<u4"), ("turn", "<u4"), ("hash", "<u8"), ("slot", "<u8")])
"""A place whose surroundings are wanted: the ``turn``-th of that fingerprint in that document;
they are to be found at ``slot`` of the book."""
SORT_BYTES = 120
"""What a fingerprint costs while a part is sorted."""

Flags = npt.NDArray[np.bool_]


class FingerprintFile:
    """The fingerprints of all documents, in 64 files by hash.

    Args:
        folder: made anew.
    """

    def __init__(self, folder: Path) -> None:
        self._buckets = Buckets(folder, FOUND, "hash", 64)

    def append(self, first: int, documents: Sequence[bytes]) -> None:
        """Add what ``document_fingerprints`` gave, of documents numbered from ``first``."""
        counts = [len(found) // 8 for found in documents]
        records = np.empty(sum(counts), dtype=FOUND)
        records["hash"] = np.frombuffer(b"".join(documents), dtype="<u8")
        records["document"] = np.repeat(np.arange(first, first + len(documents)), counts)
        self._buckets.append(records)

    def close(self) -> None:
        """Bring everything to disk."""
        self._buckets.close()

    def find_shared(
        self, ranks: Records, alive: Flags, held: Flags, book: BookWriter, wanted: Buckets,
        budget_bytes: int,
    ) -> None:  # fmt: skip
        """Write the shared fingerprints.

        Args:
            ranks: of all documents, RANK.
            alive: which documents stay.
            held: which of them are held out.
            book: gets each shared fingerprint with its best documents.
            wanted: gets the places of which the book wants the text, WANTED.
            budget_bytes: memory for sorting.
        """
        for found in self._buckets.ranges(budget_bytes, SORT_BYTES):
            records = found[alive[found["document"]]]
            records = _in_two_documents(records[np.argsort(records["hash"], kind="stable")])
            if len(records):
                _settle(records, ranks, held, book, wanted)


def _starts(values: npt.NDArray[np.generic]) -> Places:
    """Where runs of equal values begin."""
    fresh = np.ones(len(values), dtype=np.bool_)
    fresh[1:] = values[1:] != values[:-1]
    return np.nonzero(fresh)[0]


def _in_two_documents(records: Records) -> Records:
    """The records, sorted by hash and document, of hashes in two documents or more."""
    if not len(records):
        return records
    starts = _starts(records["hash"])
    ends = np.append(starts[1:], len(records))
    several = records["document"][starts] != records["document"][ends - 1]
    kept: Records = records[np.repeat(several, ends - starts)]
    return kept


def _settle(
    records: Records, ranks: Records, held: Flags, book: BookWriter, wanted: Buckets
) -> None:
    """Put the best places of each hash into the book, best first, and ask for their text."""
    starts = _starts(records["hash"])
    sizes = np.diff(np.append(starts, len(records)))
    group = np.repeat(np.arange(len(starts)), sizes)
    documents = records["document"]
    mine = np.asarray(ranks[documents])
    documents = documents[rank_order(mine, group, (~held[documents]).astype(np.int64))]
    # Nothing is worse than the last document, so its text is never asked for.
    last = np.repeat(documents[starts + sizes - 1], sizes)
    place = np.arange(len(records)) - starts[group]
    kept = (place < MAX_PLACES) & (documents != last)
    pairs = np.stack([group, documents], axis=1)
    firsts = np.ones(len(pairs), dtype=np.bool_)
    firsts[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    turn = np.arange(len(pairs)) - np.nonzero(firsts)[0][np.cumsum(firsts) - 1]
    slots = book.add(records["hash"][starts], np.bincount(group[kept]), documents[kept])
    asked = np.empty(int(kept.sum()), dtype=WANTED)
    asked["document"], asked["turn"] = documents[kept], turn[kept]
    asked["hash"], asked["slot"] = records["hash"][kept], slots
    wanted.append(asked)
