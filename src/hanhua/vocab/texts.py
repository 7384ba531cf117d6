"""Raw text files to documents, divided into text to learn from and text to measure on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hanhua.core.artifact import outside_files
from hanhua.core.errors import InputError
from hanhua.core.files import sha256_text
from hanhua.text.document import Document
from hanhua.text.readers.extract import extract_record
from hanhua.text.readers.read import read_records
from hanhua.text.rewrite.normalise import normalise
from hanhua.text.split import split_text

HELD_OUT = 50
"""One document in so many is measured on instead of learnt from."""
LONG_CHARS = 20_000
"""A longer text (a book in one file) counts as several documents."""
MOST_COLLECTIONS = 64
"""Each takes 8 MB while text is read."""
_SHARD = re.compile(r"(?:[-_.]?(?:part|shard|split|train|chunk))?(?:[-_.]?\d+)(?:-of-\d+)?$", re.I)


@dataclass(frozen=True, slots=True)
class Texts:
    """Files of text, read anew each time.

    Args:
        files: what to read.
        language: of the text.
    """

    files: tuple[Path, ...]
    language: str

    def documents(self, keep: Callable[[str], bool] = lambda _: True) -> Iterator[Document]:
        """All documents whose id is wanted; their source is the file's name.

        Raises:
            InputError: when a file can't be read or holds no text.
        """
        for path, name in zip(self.files, names(self.files), strict=True):
            for number, record in enumerate(map(extract_record, read_records(path))):
                for part, text in enumerate(split_text(record.text or "", LONG_CHARS)):
                    # By content, so that a copy of a document falls on the same side.
                    key = sha256_text(text)
                    if text.strip() and keep(key):
                        yield Document(
                            f"{key[:16]}/{number}.{part}", normalise(text), self.language, name, ""
                        )

    def __iter__(self) -> Iterator[Document]:
        """All documents, read anew."""
        return self.documents()

    def learnt(self) -> Iterator[Document]:
        """What is learnt from."""
        return self.documents(lambda key: not _held_out(key))

    def held_out(self) -> Iterator[Document]:
        """What is measured on."""
        return self.documents(_held_out)

    def collections(self) -> dict[str, str]:
        """For each source the collection that its text counts for when pieces are learnt.

        Shards of one set (``wiki-00003-of-00100.parquet``) are one collection. Where more than 64
        are left, their folders are; where those are too many or one, files are dealt by name.
        """
        sources = dict(zip(names(self.files), self.files, strict=True))
        found = {name: _unnumbered(path.name) for name, path in sources.items()}
        if len(set(found.values())) > MOST_COLLECTIONS:
            found = {name: str(path.parent) for name, path in sources.items()}
            if not 1 < len(set(found.values())) <= MOST_COLLECTIONS:
                deal = {name: int(sha256_text(name)[:8], 16) for name in sources}
                found = {name: str(hash_ % MOST_COLLECTIONS) for name, hash_ in deal.items()}
        return found


def _unnumbered(name: str) -> str:
    """A file's name without its shard's number."""
    stem, dot, ending = name.partition(".")
    return _SHARD.sub("", stem) + dot + ending


def _held_out(key: str) -> bool:
    return int(key[:8], 16) % HELD_OUT == 0


def find_texts(patterns: Sequence[str], language: str, option: str = "--text") -> Texts:
    """The files that paths, folders and globs name.

    Raises:
        InputError: when one names no file.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        found.update(dict.fromkeys(outside_files(pattern, option)))
    if not found:
        raise InputError("No text was given.", where=option, fix=f"name files with {option}")
    return Texts(tuple(found), language)


def names(files: Sequence[Path]) -> list[str]:
    """A short name of each file: its own, with folders in front where two are called the same."""
    depth = 1
    while True:
        found = ["/".join(path.parts[-depth:]) for path in files]
        if len(set(found)) == len(found) or depth > max(len(path.parts) for path in files):
            return found
        depth += 1
