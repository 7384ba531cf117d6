"""The book of shared passages on disk: fingerprint -> its best places, with the text around them.

Five flat files that are mapped, not read: a worker looks up what its documents need. The text is
code points as they are compared, four bytes each, with a 0 (no character is one) between what was
not together; so a comparison that runs over the edge of what is quoted stops there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from hanhua.core.files import storage_errors
from hanhua.text.copies.fingerprints import Hashes, Places
from hanhua.text.scripts import CodePoints

_FILES = {"hashes": "<u8", "ends": "<u8", "documents": "<u4", "pointers": "<u8", "text": "<u4"}


@dataclass(frozen=True, slots=True)
class Book:
    """What is known of shared passages.

    Args:
        hashes: fingerprints in ascending order, uint64 [shared].
        ends: where the places of each end, uint64 [shared]; they begin where the last ones end.
        documents: the document of each place, best first, uint32 [places].
        pointers: where in ``text`` each place is, uint64 [places].
        text: uint32.
    """

    hashes: Hashes
    ends: Hashes
    documents: npt.NDArray[np.uint32]
    pointers: Hashes
    text: CodePoints

    @classmethod
    def open(cls, folder: Path) -> Book:
        """Map the files that ``BookWriter`` wrote."""
        return cls(**{name: _mapped(folder / name, dtype) for name, dtype in _FILES.items()})

    def find(self, hashes: Hashes) -> Places:
        """The row of each fingerprint, -1 for those that are not shared."""
        if not len(self.hashes):
            return np.full(len(hashes), -1, dtype=np.int64)
        rows = np.searchsorted(self.hashes, hashes).clip(max=len(self.hashes) - 1)
        return np.where(self.hashes[rows] == hashes, rows, -1)

    def better(self, row: int, document: int) -> list[int]:
        """Where in ``text`` the places of a fingerprint in better documents are, best first."""
        start = int(self.ends[row - 1]) if row else 0
        end = int(self.ends[row])
        documents = self.documents[start:end].tolist()
        if document in documents:
            end = start + documents.index(document)
        found: list[int] = self.pointers[start:end].tolist()
        return found


def _mapped(path: Path, dtype: str) -> npt.NDArray[Any]:
    if not path.stat().st_size:
        return np.zeros(0, dtype=dtype)
    # Not the map itself: each slice of a memmap object costs microseconds.
    return np.memmap(path, dtype=dtype, mode="r").view(np.ndarray)


class BookWriter:
    """Writes a book: first all fingerprints with their places, then the text of the places.

    Args:
        folder: made anew.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places = 0
        self._chars = 1
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._files: dict[str, IO[bytes]] = {n: (folder / n).open("wb") for n in _FILES}
            self._files["text"].write(bytes(4))

    def add(self, hashes: Hashes, counts: Places, documents: npt.NDArray[np.uint32]) -> Places:
        """Add fingerprints, greater than those before, with the documents of their places.

        Returns:
            The number of each place: its slot.
        """
        slots = np.arange(self.places, self.places + len(documents))
        ends = self.places + np.cumsum(counts)
        with storage_errors(self.folder):
            self._files["hashes"].write(hashes.astype("<u8").tobytes())
            self._files["ends"].write(ends.astype("<u8").tobytes())
            self._files["documents"].write(documents.astype("<u4").tobytes())
            self._files["pointers"].write(bytes(8 * len(documents)))
        self.places += len(documents)
        return slots

    def quote(self, slots: Places, offsets: Places, text: CodePoints) -> None:
        """Add text, a 0 after each stretch of it, and say at which of its characters slots are."""
        with storage_errors(self.folder):
            self._files["pointers"].flush()
            if len(slots):
                pointers = np.memmap(self.folder / "pointers", dtype="<u8", mode="r+")
                pointers[slots] = offsets + self._chars
            self._files["text"].write(text.astype("<u4").tobytes())
        self._chars += len(text)

    def close(self) -> None:
        """Bring everything to disk."""
        with storage_errors(self.folder):
            for file in self._files.values():
                file.close()
