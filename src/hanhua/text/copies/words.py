"""Taiwan's words in the mainland's, so that a copy in the other's words is a near copy.

OpenCC's ``s2twp`` and the editors of Taiwan change words as well as characters (软件: 軟體), in
technical text more of them than near copies may differ in. So a signature is made of the text with
one word for both. Every text goes through the same table, simplified ones too: converting only what
looks traditional (``tw2sp``) puts 拷贝 for a 複製 that the original had as 复制, finds fewer copies
and costs more. The table (``taiwan_words.tsv``) is only for comparing: 资料 is not always 数据.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hanhua.text.copies.minhash import Points, canonical_points, compare_table
from hanhua.text.native import NATIVE
from hanhua.text.scripts import code_points

_TABLE = Path(__file__).with_name("taiwan_words.tsv")
_ROOM = 1 << 12
"""Slots of the table of pairs: five times as many as there are."""


def mainland_words(text: str, points: Points) -> str:
    """A text with the mainland's words for Taiwan's, for signing.

    Args:
        text: a document.
        points: its ``canonical_points``, traditional characters taken for simplified ones.

    Returns:
        The text itself where no word changes. Words are found whatever stands between their
        characters (spaces, line ends), the longest first, from the left.
    """
    found = _changes(points)
    if not found:
        return text
    places = np.nonzero(compare_table().take(code_points(text)))[0]
    starts = places[[start for start, _, _ in found]].tolist()
    ends = (places[[end - 1 for _, end, _ in found]] + 1).tolist()
    pieces, last = [], 0
    for start, end, (_, _, word) in zip(starts, ends, found, strict=True):
        pieces += [text[last:start], word]
        last = end
    return "".join([*pieces, text[last:]])


def _changes(points: Points) -> list[tuple[int, int, str]]:
    """(start, end, other word) of every word that changes, in order."""
    if NATIVE is None:
        return list(_found(points))
    rows = _rows()
    return [(start, end, rows[row][1]) for start, end, row in NATIVE.words(points, *_tables())]


def _found(points: Points) -> Iterator[tuple[int, int, str]]:
    """What native/words.c does, in Python."""
    values = points.astype(np.uint64)
    starts = np.nonzero(np.isin(values[:-1] << np.uint64(32) | values[1:], _pairs()))[0]
    compared, words, after = _string(points), _words(), 0
    for start in starts.tolist():
        if start < after:
            continue
        for word, other in words.get(compared[start : start + 2], ()):
            if compared.startswith(word, start):
                after = start + len(word)
                if other != word:
                    yield start, after, other
                break


def _string(points: Points) -> str:
    return points.astype("<u4", copy=False).tobytes().decode("utf-32-le", "surrogatepass")


@cache
def _words() -> Mapping[str, tuple[tuple[str, str], ...]]:
    """First two characters -> (word, other word), the longest first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in _TABLE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            word, other = (_string(canonical_points(cell)) for cell in line.split("\t"))
            found.setdefault(word[:2], []).append((word, other))
    return {pair: tuple(sorted(rows, key=lambda row: -len(row[0]))) for pair, rows in found.items()}


@cache
def _rows() -> tuple[tuple[str, str], ...]:
    """(word, other word): those of a pair together, the longest first."""
    return tuple(row for rows in _words().values() for row in rows)


@cache
def _pairs() -> npt.NDArray[np.uint64]:
    points = np.array([code_points(pair) for pair in _words()], dtype=np.uint64)
    pairs: npt.NDArray[np.uint64] = points[:, 0] << np.uint64(32) | points[:, 1]
    return pairs


@cache
def _tables() -> tuple[bytes, ...]:
    """The words as native/words.c reads them: pairs by their hash, ends, letters, changes."""
    rows = _rows()
    ends = np.cumsum([len(word) for word, _ in rows], dtype=np.int32)
    letters = code_points("".join(word for word, _ in rows))
    changes = bytes(word != other for word, other in rows)
    pairs, row = np.zeros((_ROOM, 4), dtype=np.uint32), 0
    for pair, words in _words().items():
        first, second = map(ord, pair)
        slot = (first * 0x9E3779B1 & 0xFFFFFFFF ^ second * 0x85EBCA77 & 0xFFFFFFFF) >> 12
        while pairs[slot % _ROOM, 3]:
            slot += 1
        pairs[slot % _ROOM] = (first, second, row, len(words))
        row += len(words)
    return pairs.tobytes(), ends.tobytes(), letters.tobytes(), changes
