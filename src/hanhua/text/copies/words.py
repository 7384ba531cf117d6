"""Taiwan's words in the mainland's, so that a copy in the other's words is a near copy.

OpenCC's ``s2twp`` and the editors of Taiwan change words as well as characters (软件: 軟體), in
technical text more of them than near copies may differ in. So a signature is made of the text with
one word for both. Every text goes through the same table, simplified ones too: converting only what
looks traditional (``tw2sp``) puts 拷贝 for a 複製 that the original had as 复制, finds fewer copies
and costs more. The table (``taiwan_words.tsv``) is only for comparing: 资料 is not always 数据.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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


def mainland_words(text: str) -> str:
    """A text with the mainland's words for Taiwan's, for signing.

    Args:
        text: a document; traditional characters are taken for simplified ones.

    Returns:
        The text itself where no word changes. Words are found whatever stands between their
        characters (spaces, line ends), the longest first, from the left.
    """
    if NATIVE is not None:
        return str(NATIVE.reword(text, compare_table(), *_tables()))
    found = list(_found(canonical_points(text)))
    if not found:
        return text
    places = np.nonzero(compare_table().take(code_points(text)))[0].tolist()
    pieces, last = [], 0
    for start, end, word in found:
        pieces += [text[last : places[start]], word]
        last = places[end - 1] + 1
    return "".join([*pieces, text[last:]])


def _found(points: Points) -> Iterator[tuple[int, int, str]]:
    """(start, end, other word) of every word that changes, in order."""
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
def _pairs() -> npt.NDArray[np.uint64]:
    points = np.array([code_points(pair) for pair in _words()], dtype=np.uint64)
    pairs: npt.NDArray[np.uint64] = points[:, 0] << np.uint64(32) | points[:, 1]
    return pairs


@cache
def _tables() -> tuple[bytes, ...]:
    """The words as native/words.c reads them: pairs by their hash, then both lists."""
    pairs, row = np.zeros((_ROOM, 4), dtype=np.uint32), 0
    for pair, words in _words().items():
        first, second = map(ord, pair)
        slot = (first * 0x9E3779B1 & 0xFFFFFFFF ^ second * 0x85EBCA77 & 0xFFFFFFFF) >> 12
        while pairs[slot % _ROOM, 3]:
            slot += 1
        pairs[slot % _ROOM] = (first, second, row, len(words))
        row += len(words)
    rows = [row for words in _words().values() for row in words]
    marks = (_bits(pair[0] for pair in _words()), _bits(pair[1] for pair in _words()))
    return pairs.tobytes(), *marks, *_joined(a for a, _ in rows), *_joined(b for _, b in rows)


def _bits(characters: Iterable[str]) -> bytes:
    """A bit for the low 16 of each code point, so that most pairs are known to be none."""
    found = np.zeros(1 << 16, dtype=np.bool_)
    found[[ord(character) & 0xFFFF for character in characters]] = True
    return np.packbits(found, bitorder="little").tobytes()


def _joined(words: Iterable[str]) -> tuple[bytes, bytes]:
    """Where each word ends, int32, and the letters of all, uint32."""
    words = list(words)
    ends = np.cumsum([len(word) for word in words], dtype=np.int32)
    return ends.tobytes(), code_points("".join(words)).tobytes()
