"""Cuts passages out of a document that a better one has, or the document itself further up.

A character goes if it is in a passage of the least size that also stands in a better document, or
further up in the same one without overlap; Lee et al. (2022, https://arxiv.org/abs/2107.06499,
section 4.1) remove the same with a suffix array of the whole corpus, from 50 tokens on.
Fingerprints only say where to look: what is cut was compared character by character.

A cut begins and ends between sentences where one ends within a quarter of a passage inside
of it, so that no half sentence is left and no more than that is kept twice; what it parts becomes
paragraphs.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hanhua.text.copies.book import Book
from hanhua.text.copies.fingerprints import (
    MAX_PLACES,
    PassageSize,
    Places,
    turns,
    weights_before,
    winnow,
)
from hanhua.text.copies.minhash import canonical_points, compare_table
from hanhua.text.copies.quote import around
from hanhua.text.scripts import CodePoints, code_points

_COMPARED_AT_ONCE = 256
_SENTENCE_END = re.compile(r"\n|[。！？…]|[.!?](?=[\s\"'”’)\]])")
_OPENERS = frozenset("“‘「『（《〈【〔([{<")

Spans = list[tuple[int, int]]


class Cutter:
    """Takes repeated passages out of documents.

    Args:
        folder: of the book of shared passages.
        size: of a passage.
        variants: traditional characters are compared as simplified ones.
    """

    def __init__(self, folder: Path, size: PassageSize, variants: bool) -> None:
        self._folder, self._size, self._variants = folder, size, variants
        self._book: Book | None = None

    def __reduce__(self) -> tuple[type[Cutter], tuple[Path, PassageSize, bool]]:
        """Without the book: each process maps it for itself."""
        return Cutter, (self._folder, self._size, self._variants)

    def cut(self, text: str, document: int) -> tuple[str, int]:
        """A document without its repeated passages, and by how many characters it is shorter.

        Args:
            text: as it was when its fingerprints were taken.
            document: its number.
        """
        if self._book is None:
            self._book = Book.open(self._folder)
        points = canonical_points(text, self._variants)
        spans = repeated_spans(points, document, self._book, self._size)
        if not spans:
            return text, 0
        places = np.nonzero(compare_table(self._variants).take(code_points(text)))[0]
        left = cut_spans(text, spans, places, weights_before(points), self._size)
        return left, len(text) - len(left)


def repeated_spans(points: CodePoints, document: int, book: Book, size: PassageSize) -> Spans:
    """Which characters go: (start, end) of spans that do not touch, in order.

    Args:
        points: the document as it is compared.
        document: its number.
        book: of shared passages.
        size: of a passage.
    """
    hashes, places = winnow(points, size)
    rows, earlier = book.find(hashes), turns(hashes)
    looked_at = np.nonzero((rows >= 0) | (earlier > 0))[0]
    if not len(looked_at):
        return []
    before = weights_before(points)
    starts, ends = around(before, places, size)
    gone = np.zeros(len(points), dtype=np.bool_)
    for n in looked_at.tolist():
        place, start, end = int(places[n]), int(starts[n]), int(ends[n])
        if gone[start:end].all():
            continue
        sources = [(book.text, there) for there in book.better(int(rows[n]), document)] \
            if rows[n] >= 0 else []  # fmt: skip
        if earlier[n]:
            own = places[:n][hashes[:n] == hashes[n]][:MAX_PLACES]
            apart = own[before[place] - before[own] >= size.weight]
            sources += [(points, there) for there in apart.tolist()]
        for source, there in sources:
            if gone[start:end].all():
                break
            first, last = agreement(points, place, source, there)
            if before[last] - before[first] >= size.weight:
                gone[first:last] = True
    return _runs(gone)


def agreement(points: CodePoints, place: int, source: CodePoints, there: int) -> tuple[int, int]:
    """The longest stretch around ``place`` that reads the same around ``there`` in ``source``."""
    after = _agree(points[place:], source[there:])
    ahead = _agree(points[:place][::-1], source[:there][::-1]) if after else 0
    return place - ahead, place + after


def _agree(one: CodePoints, other: CodePoints) -> int:
    """How many characters two texts begin with alike."""
    length, start, step = min(len(one), len(other)), 0, _COMPARED_AT_ONCE
    while start < length:
        stop = min(start + step, length)
        differs = one[start:stop] != other[start:stop]
        if differs.any():
            return start + int(differs.argmax())
        start, step = stop, 2 * step
    return length


def _runs(marks: npt.NDArray[np.bool_]) -> Spans:
    edges = np.nonzero(np.diff(np.concatenate([[False], marks, [False]])))[0].tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def cut_spans(text: str, spans: Spans, places: Places, before: Places, size: PassageSize) -> str:
    """A text without some spans, each narrowed to whole sentences where these are near.

    Args:
        text: a document.
        spans: in characters that count, in order.
        places: where in the text each character that counts is.
        before: the weight of those before each, and of all.
        size: of a passage.
    """
    pieces, kept_from = [], 0
    for start, end in spans:
        slack = size.weight // 4
        nearest = int(np.searchsorted(before, before[start] + slack, side="right"))
        farthest = int(np.searchsorted(before, before[end] - slack))
        start = next((n for n in range(start, nearest) if _is_border(text, places, n)), start)
        end = next((n for n in range(end, farthest - 1, -1) if _is_border(text, places, n)), end)
        pieces.append(text[kept_from : _border(text, places, start)])
        kept_from = _border(text, places, end)
    pieces = [piece.rstrip().lstrip("\n") for piece in (*pieces, text[kept_from:])]
    return "\n\n".join(piece for piece in pieces if piece)


def _gap(places: Places, n: int) -> tuple[int, int]:
    """Where the characters that do not count between the n-th that does and the last one are."""
    return (int(places[n - 1]) + 1 if n else 0), int(places[n])


def _is_border(text: str, places: Places, n: int) -> bool:
    """Whether a sentence or line begins with the n-th character that counts."""
    if n in (0, len(places)):
        return True
    return _SENTENCE_END.search(text, *_gap(places, n)) is not None


def _border(text: str, places: Places, n: int) -> int:
    """Where to cut before the n-th character that counts: closing marks stay, opening ones go."""
    if n in (0, len(places)):
        return len(text) if n else 0
    start, end = _gap(places, n)
    newline = text.rfind("\n", start, end)
    if newline >= 0:
        return newline + 1
    for place in range(start, end):
        if text[place] in _OPENERS or (text[place] in "\"'" and text[place - 1].isspace()):
            return place
    return end
