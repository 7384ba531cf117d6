"""Which pieces a text needs: those in its tokens and those that existed on the way to them.

Why that is enough. BPE joins, again and again, the best-ranked pair of neighbours. Take away
merges that no step on a text has applied: before the first step the symbols are the same, the
step's pair is still there and still the best of fewer, so it is joined and the symbols are the
same again; at the end no pair could be joined before, and none of fewer can now. So all that a
text must keep are the merges applied on it, and dropping a piece takes away only the merges that
it is part or result of. Pieces in the final tokens alone would not do: ``th`` may be in no token
and yet be the way to ``the``.

Merges are replayed here in Python, once for each distinct unit of text. Units come from cutting
words where no merge can join the characters on both sides; what happens left of such a cut never
depends on what is right of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from itertools import pairwise

from hanhua.core.errors import ModelError
from hanhua.core.progress import Progress, Silent
from hanhua.text.document import Document
from hanhua.vocab.prune_kinds import SHIFT, Kind, Table

_PLACE = (1 << SHIFT) - 1


@dataclass(frozen=True, slots=True)
class Used:
    """How often each piece came to be, in tokens or on the way, by id.

    Args:
        counts: the larger of the count in whole documents and in their lines alone.
        units: distinct units replayed.
        chars: characters read that are no white space.
    """

    counts: list[int]
    units: int
    chars: int = 0


def used_pieces(
    kind: Kind, documents: Iterable[Document], progress: Progress | None = None
) -> Used:
    """Count the pieces that come to be when documents, and each of their lines, are encoded.

    Lines are counted beside the documents because a line alone begins in another way (a space in
    front) and ends in another (no line break for the next token to take).

    Raises:
        ModelError: when the replay and the tokenizer disagree.
    """
    views: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    chars = 0
    with (progress or Silent()).bar("reading words", None, "char") as bar:
        for document in documents:
            words = kind.words(document.text)
            views[0].update(words)
            if "\n" in document.text:
                words = [w for line in document.text.split("\n") for w in kind.words(line)]
            views[1].update(words)
            chars += len("".join(document.text.split()))
            bar.advance(len(document.text))
    used = replay(kind, views, progress)
    return replace(used, chars=chars)


def replay(
    kind: Kind, views: Sequence[Mapping[str, int]], progress: Progress | None = None
) -> Used:
    """Count what comes to be in words; see :func:`used_pieces`.

    Args:
        kind: the merges.
        views: words with how often each occurs; the larger count of the views is taken.
        progress: shows the units.
    """
    units: dict[str, list[int]] = {}
    counts = [[[0] * (kind.size + 1) for _ in kind.tables] for _ in views]
    joined = _Joined(kind.joins)
    for view, words in enumerate(views):
        for word, times in words.items():
            if word in kind.whole:
                for one in counts[view]:
                    one[kind.whole[word]] += times
                continue
            for unit in _units(word, kind.characters, joined):
                units.setdefault(unit, [0] * len(views))[view] += times
    with (progress or Silent()).bar("replaying merges", len(units), "unit") as bar:
        for number, (unit, times_in) in enumerate(units.items()):
            for table, made in enumerate(_made(kind, unit)):
                for view, times in enumerate(times_in):
                    for piece in made:
                        counts[view][table][piece] += times
            if number % 10_000 == 9_999:
                bar.advance(10_000)
    largest = [max(column) for column in zip(*(one for c in counts for one in c), strict=True)]
    return Used(largest[: kind.size], len(units))


class _Joined(dict[str, bool]):
    """Two characters, written one after the other -> whether any merge reaches across."""

    def __init__(self, joins: frozenset[tuple[str, str]]) -> None:
        super().__init__()
        self.joins = joins

    def of(self, left: str, right: str) -> bool:
        """A symbol left of the border ends in the character or its last bytes, and so on."""
        ends = [left[i:] for i in range(len(left))]
        begins = [right[:i] for i in range(1, len(right) + 1)]
        found = any((end, begin) in self.joins for end in ends for begin in begins)
        self[left + right] = found
        return found


def _units(word: str, characters: re.Pattern[str], joined: _Joined) -> Iterator[str]:
    found = characters.findall(word)
    unit = found[0]
    for left, right in pairwise(found):
        known = joined.get(left + right)
        if joined.of(left, right) if known is None else known:
            unit += right
        else:
            yield unit
            unit = right
    yield unit


def _made(kind: Kind, unit: str) -> list[list[int]]:
    """The ids that come to be in a unit, symbols it starts with first, for each order."""
    start = [kind.symbols.get(symbol, kind.size) for symbol in unit]
    if len(start) == 1:
        return [start] * len(kind.tables)
    found = []
    for order, table in enumerate(kind.tables):
        ids, made = apply_merges(start, table, kind.size)
        if order == 0:
            _check(kind, unit, ids)
        found.append(start + made)
    return found


def _check(kind: Kind, unit: str, ids: Sequence[int]) -> None:
    """Hold the replay's tokens against the tokenizer's own."""
    ours: list[int] = []
    for symbol, index in zip(unit, ids, strict=True):
        ours += kind.spelt(symbol) if index == kind.size else [index] * (index >= 0)
    theirs = [token.id for token in kind.plain.model.tokenize(unit)]
    if ours != theirs:
        raise ModelError(
            "The replay of the merges and the tokenizer disagree.", where=repr(unit[:60]),
            found=f"{ours[:12]} and {theirs[:12]}",
            fix="report this as a bug, with the tokenizer; nothing was written",
        )  # fmt: skip


def apply_merges(start: Sequence[int], table: Table, size: int) -> tuple[list[int], list[int]]:
    """Join pairs, best first and leftmost of equals, until none is left.

    Args:
        start: [n] ids of the symbols.
        table: the merges.
        size: the id of a symbol without a piece.

    Returns:
        [n] the ids at the places where they begin, -1 where a symbol was joined to its left; and
        every id that came to be, in order.
    """
    step, count = size + 1, len(start)
    ids = [*start, -1]  # a pair with the end is no merge: it would need the unknown id
    after, before = list(range(1, count + 2)), list(range(-1, count))
    heap = [
        found[0] + place
        for place, (left, right) in enumerate(pairwise(start))
        if (found := table.get(left * step + right))
    ]
    heapify(heap)
    made = []
    while heap:
        top = heappop(heap)
        place = top & _PLACE
        right = after[place]
        if right >= count or not (found := table.get(ids[place] * step + ids[right])):
            continue
        if found[0] + place != top:  # one of the two was joined elsewhere meanwhile
            continue
        made.append(found[1])
        ids[place], ids[right] = found[1], -1
        behind, ahead = before[place], after[right]
        after[place], before[ahead] = ahead, place
        if ahead < count and (found := table.get(ids[place] * step + ids[ahead])):
            heappush(heap, found[0] + place)
        if behind >= 0 and (found := table.get(ids[behind] * step + ids[place])):
            heappush(heap, found[0] + behind)
    return ids[:count], made
