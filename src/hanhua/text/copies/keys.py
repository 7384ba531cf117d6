"""What deduplication knows of each document, in flat files on disk: 452 bytes a document.

In files, because memory must not grow with the corpus: each question (which content keys are the
same, which keys of one band) reads one column from end to end. A document's number is its place.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hanhua.core.files import storage_errors
from hanhua.text.copies.minhash import BANDS, FUNCTIONS, Signature, band_row

RANK = np.dtype([("priority", "<i4"), ("chars", "<i4"), ("changed", "<i4"),
                 ("text", "<u8"), ("origin", "<u8")])  # fmt: skip
CONTENT = np.dtype([("high", "<u8"), ("low", "<u8")])
_SHORT = np.dtype(("<u2", (FUNCTIONS,)))

Numbers = npt.NDArray[np.int64]


class DocumentKeys(NamedTuple):
    """The keys of one document, as a worker makes them.

    Args:
        content: 16 bytes, the same for texts that are compared as equal.
        rank: a record of RANK: who is kept of several copies; see ``rank_of``.
        signature: of the shingles.
    """

    content: bytes
    rank: bytes
    signature: Signature

    def as_bytes(self) -> bytes:
        """The keys as one value of a column: content, rank, shingles, bands, short signature."""
        shingles = self.signature.shingles.to_bytes(8, "little")
        return self.content + self.rank + shingles + band_row(self.signature.least)


_ROW = np.dtype([("content", CONTENT), ("rank", RANK), ("shingles", "<u8"),
                 ("bands", "<u8", (BANDS,)), ("short", "<u2", (FUNCTIONS,))])  # fmt: skip
KEY_BYTES = _ROW.itemsize


def rank_of(text: str, origin: str, *, priority: int, chars: int, changed: int) -> bytes:
    """Who is kept of several copies, whatever the order in which they are read.

    The one of the highest priority, then the longest, then the one with the fewest traditional
    characters, then the least hash of its text and at last of its origin.

    Args:
        text: the document's text.
        origin: its source and id.
        priority: of its source.
        chars: characters that count when texts are compared.
        changed: how many of them are compared as another character.
    """
    return struct.pack("<iii", -priority, -chars, changed) + _hash(text) + _hash(origin)


def _hash(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def rank_order(ranks: npt.NDArray[np.void], *before: Numbers) -> Numbers:
    """The order of records of RANK, best first; ``before`` go before all, first one first."""
    names = RANK.names or ()
    return np.lexsort([ranks[name] for name in reversed(names)] + list(reversed(before)))


class KeyFiles:
    """Columns of keys that are written once, in order, and then read.

    Args:
        folder: made anew; files of an earlier go are written over.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.documents = 0
        folder.mkdir(parents=True, exist_ok=True)
        names = ["content", "rank", "shingles", "short", *(f"band-{b:02d}" for b in range(BANDS))]
        with storage_errors(folder):
            self._files: dict[str, IO[bytes]] = {n: (folder / n).open("wb") for n in names}

    def append(self, values: list[bytes]) -> None:
        """Add documents by what ``DocumentKeys.as_bytes`` gave."""
        rows = np.frombuffer(b"".join(values), dtype=_ROW)
        with storage_errors(self.folder):
            for name in ("content", "rank", "shingles", "short"):
                self._files[name].write(rows[name].tobytes())
            for band in range(BANDS):
                self._files[f"band-{band:02d}"].write(rows["bands"][:, band].tobytes())
        self.documents += len(rows)

    def close(self) -> None:
        """Bring everything to disk."""
        with storage_errors(self.folder):
            for file in self._files.values():
                file.close()

    def __enter__(self) -> KeyFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def column(self, name: str) -> npt.NDArray[Any]:
        """A column, mapped from disk: content, rank, shingles, short or band-00 and so on."""
        if not self.documents:
            return np.zeros(0, dtype=self._dtype(name))
        return np.memmap(self.folder / name, dtype=self._dtype(name), mode="r")

    def _dtype(self, name: str) -> np.dtype[Any]:
        known: dict[str, np.dtype[Any]] = {"content": CONTENT, "rank": RANK, "short": _SHORT}
        return known.get(name, np.dtype("<u8"))

    def parts(self, name: str, documents_at_once: int) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """A column in pieces: (number of the first document, values)."""
        column = self.column(name)
        for start in range(0, self.documents, documents_at_once):
            yield start, np.asarray(column[start : start + documents_at_once])
