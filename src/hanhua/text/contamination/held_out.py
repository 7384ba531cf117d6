"""Which documents are never trained on, and what may not stay beside them.

A document's place in the queue is the hash of its content, so the choice depends neither on the
order of the files, nor on ids, nor on the seed, and adding a source leaves the others' choice
nearly as it was. Every source gives in proportion to its characters, at least one document and at
most a tenth of what it has: the held-out text mirrors what is trained on.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from hanhua.text.contamination.overlap import LETTER_GRAM_CHARS, OverlapIndex
from hanhua.text.copies.exact import content_key
from hanhua.text.copies.minhash import canonical_points
from hanhua.text.document import Document
from hanhua.text.verdict import Drop

MAX_PART = 10
"""At most one document in so many of a source is held out."""


class Queue:
    """The documents of one source that come first by key, with bounded memory.

    Args:
        room: how many to remember.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self.documents = 0
        self.chars = 0
        self._heap: list[tuple[int, int]] = []

    def add(self, key: bytes, ordinal: int, chars: int) -> None:
        """Offer a document by its content key and its number in the language."""
        self.documents += 1
        self.chars += chars
        entry = (-int.from_bytes(key, "big"), ordinal)
        if len(self._heap) < self.room:
            heapq.heappush(self._heap, entry)
        elif self._heap and entry > self._heap[0]:
            heapq.heapreplace(self._heap, entry)

    def first(self, count: int) -> list[int]:
        """The numbers of the first documents by key."""
        return [ordinal for _, ordinal in heapq.nlargest(count, self._heap)]


def allocate(wanted: int, queues: Mapping[str, Queue]) -> dict[str, int]:
    """How many documents each source holds out.

    Args:
        wanted: how many in all.
        queues: source -> what it has.

    Returns:
        source -> count; in all ``wanted`` where the sources have ten times that. A corpus of two
        documents or more holds out at least one, if any are wanted.
    """
    room = {name: queue.documents // MAX_PART for name, queue in queues.items()}
    documents = sum(queue.documents for queue in queues.values())
    if wanted and not any(room.values()) and documents > 1:
        largest = max(queues, key=lambda name: (queues[name].documents, name))
        return {name: int(name == largest) for name in queues}
    given = {name: min(1, free) for name, free in room.items()}
    while sum(given.values()) > wanted:
        given[min((n for n in given if given[n]), key=lambda n: (queues[n].chars, n))] = 0
    while sum(given.values()) < wanted and any(given[n] < room[n] for n in given):
        # Highest-averages rule (D'Hondt): the next place goes to the source with the most
        # characters for each document that it gave already.
        name = max(
            (n for n in given if given[n] < room[n]),
            key=lambda n: (queues[n].chars / (given[n] + 1), n),
        )
        given[name] += 1
    return given


def choose(wanted: int, queues: Mapping[str, Queue]) -> set[int]:
    """The numbers of the documents to hold out; see ``allocate``."""
    given = allocate(wanted, queues)
    return {ordinal for name, count in given.items() for ordinal in queues[name].first(count)}


class Guard:
    """Finds what would leak held-out text into training.

    A training document with at least half of a held-out document's n-grams holds it: a copy, an
    edited copy or a quotation. Texts too short to have n-grams are compared by content key.

    Args:
        documents: the held-out documents.
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents
        self._index = OverlapIndex([document.text for document in documents])
        self._keys = {content_key(canonical_points(document.text)) for document in documents}

    def check(self, text: str) -> Drop | None:
        """Refuse a training text that holds a held-out one."""
        points = canonical_points(text)
        overlap = self._index.find(points)
        if overlap:
            return Drop("held_out_copy", f"{overlap.share} of {self._documents[overlap.item].id}")
        if len(points) < LETTER_GRAM_CHARS and content_key(points) in self._keys:
            return Drop("held_out_copy", 1.0)
        return None
