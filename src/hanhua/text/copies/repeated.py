"""Lines that many documents hold: what pages of one site share, and no rule knows.

A line counts as it is compared, so case, width, spacing and punctuation make no difference. One
that stands in more documents than the recipe allows goes from all of them; CCNet (Wenzek et al.
2020, https://arxiv.org/abs/1911.00359, section 3.1) drops all repeated paragraphs, 17 % of the
characters of a Chinese corpus, statutes and verse among them. So this is off unless asked for.

The keys of all lines are on disk, 8 bytes each, and are sorted in parts within the budget.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hanhua.core.files import storage_errors
from hanhua.text.copies.minhash import compare_table
from hanhua.text.native import NATIVE
from hanhua.text.scripts import code_points

MIN_LINE_CHARS = 10
"""Shorter lines (headings, names, replies) may repeat."""
_BASE = 0x9E3779B97F4A7C15
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_SORT_BYTES = 24

Keys = npt.NDArray[np.uint64]


def line_keys(text: str) -> Keys:
    """A key for each line of a text, 0 for those too short to count: uint64 [lines]."""
    if NATIVE is not None:
        return np.frombuffer(NATIVE.line_keys(text, compare_table(), MIN_LINE_CHARS), np.uint64)
    return np.array([_line_key(line) for line in text.split("\n")], dtype=np.uint64)


def _line_key(line: str) -> int:
    points = compare_table().take(code_points(line))
    points = points[points != 0].astype(np.uint64) * _MIX
    if len(points) < MIN_LINE_CHARS:
        return 0
    key = 0
    for point in points.tolist():
        key = (key * _BASE + point) & 0xFFFFFFFFFFFFFFFF
    return (key ^ (key >> 31)) * int(_MIX) & 0xFFFFFFFFFFFFFFFF


def document_keys(text: str) -> bytes:
    """The keys of a document's lines, each once."""
    found = np.unique(line_keys(text))
    return bytes(found[found != 0].tobytes())


def remove_lines(text: str, repeated: Keys) -> tuple[str, int]:
    """A text without its repeated lines, and how many went.

    Args:
        text: a document.
        repeated: keys in ascending order.
    """
    keys = line_keys(text)
    places = np.searchsorted(repeated, keys).clip(max=max(len(repeated) - 1, 0))
    gone = repeated[places] == keys if len(repeated) else np.zeros(len(keys), dtype=np.bool_)
    if not gone.any():
        return text, 0
    kept = [line for line, out in zip(text.split("\n"), gone.tolist(), strict=True) if not out]
    return "\n".join(kept).strip(), int(gone.sum())


class LineFile:
    """The keys of the lines of all documents, written once and then counted.

    Args:
        path: made anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb")

    def append(self, documents: Iterable[bytes]) -> None:
        """Add what ``document_keys`` gave."""
        with storage_errors(self.path):
            self._file.write(b"".join(documents))

    def close(self) -> None:
        """Bring everything to disk."""
        with storage_errors(self.path):
            self._file.close()

    def repeated(self, max_docs: int, budget_bytes: int) -> Keys:
        """The keys that more than ``max_docs`` documents have, ascending."""
        size = self.path.stat().st_size
        if not size:
            return np.zeros(0, dtype=np.uint64)
        parts = max(1, -(-size * _SORT_BYTES // (8 * max(budget_bytes, 1))))
        everything = np.memmap(self.path, dtype=np.uint64, mode="r")
        found = []
        for part in range(parts):
            mine = everything if parts == 1 else everything[everything % np.uint64(parts) == part]
            keys, counts = np.unique(mine, return_counts=True)
            found.append(keys[counts > max_docs])
        return np.sort(np.concatenate(found))
