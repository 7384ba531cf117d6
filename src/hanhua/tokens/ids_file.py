"""Encoded documents on disk: written group by group, taken up again after a kill.

Flat files, so that any document is found by arithmetic and none is in memory: ``ids.bin`` with
all ids one after another, ``lengths.bin`` and ``places.bin`` (the place of each document in the
seeded order that documents are chosen by), and ``done.jsonl`` with a line for each group that is
written whole. What stands behind the last whole group is cut off when the file is opened.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hanhua.core.files import storage_errors
from hanhua.tokens.flat import append_to

Ints = npt.NDArray[Any]
CHUNK = 1 << 20


class Encoded(NamedTuple):
    """The documents of one group: ids one after another, and each one's length and place."""

    ids: Ints
    lengths: Ints
    places: Ints


@dataclass(frozen=True, slots=True)
class Documents:
    """Where documents stand in a file of ids, 12 bytes each.

    Args:
        offsets: ``[n]`` uint64, each one's first token.
        lengths: ``[n]`` uint32 tokens.
    """

    offsets: Ints
    lengths: Ints


class IdsFile:
    """The encoded documents of one language.

    Args:
        folder: of the files; what is whole in it is kept.
        dtype: of the ids.
    """

    def __init__(self, folder: Path, dtype: npt.DTypeLike) -> None:
        self.folder, self.dtype = folder, np.dtype(dtype)
        self.documents = self.tokens = 0
        self.done: set[str] = set()
        self._types = {"ids": self.dtype, "lengths": np.dtype("<u4"), "places": np.dtype("<u8")}
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for path in (*map(self._path, self._types), self._journal):
                path.touch()
            os.truncate(self._journal, self._take_up())
            for name in self._types:
                os.truncate(self._path(name), self._bytes(name, self.documents, self.tokens))

    @property
    def _journal(self) -> Path:
        return self.folder / "done.jsonl"

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.bin"

    def _bytes(self, name: str, documents: int, tokens: int) -> int:
        return (tokens if name == "ids" else documents) * self._types[name].itemsize

    def _take_up(self) -> int:
        """Count what is whole; returns how many bytes of the journal tell of it."""
        whole = 0
        sizes = {name: self._path(name).stat().st_size for name in self._types}
        for line in self._journal.read_bytes().splitlines(True):
            if not line.endswith(b"\n"):
                break
            entry = json.loads(line)
            documents = self.documents + entry["documents"]
            tokens = self.tokens + entry["tokens"]
            if any(size < self._bytes(name, documents, tokens) for name, size in sizes.items()):
                break
            self.documents, self.tokens, whole = documents, tokens, whole + len(line)
            self.done.add(entry["key"])
        return whole

    def append(self, key: str, encoded: Encoded) -> None:
        """Add a group of documents under a name of its own."""
        for name, column in encoded._asdict().items():
            append_to(self._path(name), column, self._types[name])
        documents, tokens = len(encoded.lengths), len(encoded.ids)
        line = json.dumps({"key": key, "documents": documents, "tokens": tokens}) + "\n"
        append_to(self._journal, np.frombuffer(line.encode(), np.uint8), np.uint8)
        self.documents, self.tokens = self.documents + documents, self.tokens + tokens
        self.done.add(key)

    def find(self, n: int) -> Documents:
        """The documents of the first n places; each of them has one."""
        found = Documents(np.zeros(n, np.uint64), np.zeros(n, np.uint32))
        offset = 0
        for start in range(0, self.documents, CHUNK):
            places, lengths = self._read("places", start), self._read("lengths", start)
            ends = offset + np.cumsum(lengths, dtype=np.uint64)
            offset = int(ends[-1])
            inside = places < n
            found.offsets[places[inside]] = (ends - lengths)[inside]
            found.lengths[places[inside]] = lengths[inside]
        return found

    @property
    def ids(self) -> Path:
        """The file of all ids."""
        return self._path("ids")

    def _read(self, name: str, start: int) -> Ints:
        kind = self._types[name]
        return np.fromfile(self._path(name), kind, CHUNK, offset=start * kind.itemsize)
