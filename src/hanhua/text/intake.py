"""Which files a recipe's sources are, and their records one after the other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from hanhua.core.artifact import outside_files
from hanhua.core.errors import InputError
from hanhua.core.files import sha256_file
from hanhua.core.progress import Bar
from hanhua.text.config import CorpusConfig
from hanhua.text.formats import ReadOptions, file_format
from hanhua.text.ledger import UNKNOWN_LICENCE, FileFacts
from hanhua.text.read import Record, read_records

Numbered: TypeAlias = tuple[int, str, Record]
"""Number of the source in the recipe, the source's name, record."""

_PART = re.compile(
    r"([-_.]?(part|shard|train|valid|test))?([-_.]\d+|(?<=part)\d+)+([-_.]of[-_.]\d+)?$"
)


def check_licences(config: CorpusConfig) -> None:
    """Refuse sources of which nobody said whether they may be used.

    Raises:
        InputError: naming the first one, unless the recipe allows them.
    """
    for number, source in enumerate(config.sources):
        unknown = (source.licence or UNKNOWN_LICENCE).strip().lower() in (UNKNOWN_LICENCE, "")
        if unknown and not config.allow_unknown_licence:
            raise InputError(
                "This source states no licence.", where=f"corpus.sources[{number}].licence",
                found=source.name or source.path,
                fix="state it, or set `allow_unknown_licence: true` if you may use the text",
            )  # fmt: skip


def source_files(config: CorpusConfig) -> list[tuple[int, Path]]:
    """Every raw file with the number of its source, in reading order.

    Raises:
        InputError: when a source names no file.
    """
    return [
        (number, path)
        for number, source in enumerate(config.sources)
        for path in outside_files(source.path, f"corpus.sources[{number}].path")
    ]


def source_name(path: Path) -> str:
    """A file's collection: its name without suffixes and shard numbers; of txt files the folder."""
    stem = path.name.split(".")[0]
    name = "" if stem.isdigit() else _PART.sub("", stem)
    return path.parent.name if file_format(path) == "txt" or not name else name


class Intake:
    """Reads the raw files of a recipe, one record after the other.

    Args:
        config: the recipe's section.
    """

    def __init__(self, config: CorpusConfig) -> None:
        self.config = config
        self.files: list[tuple[int, str, FileFacts]] = []
        """Of every file read to its end: number of the source, the source's name, facts."""
        self._records: Counter[int] = Counter()

    def records(self, files: Sequence[tuple[int, Path]], bar: Bar) -> Iterator[Numbered]:
        """All records of all files, in order.

        Raises:
            InputError: when a file cannot be read, unless the recipe skips such files.
        """
        for number, path in files:
            if not self._full(number):
                yield from self._file(number, path, bar)

    def _file(self, number: int, path: Path, bar: Bar) -> Iterator[Numbered]:
        source = self.config.sources[number]
        name, problem = source.name or path.parent.name, ""
        try:
            name = source.name or source_name(path)
            for record in self._limited(number, path, _teller(bar)):
                yield number, name, record
        except InputError as error:
            if self.config.on_error == "stop":
                raise
            problem = error.what
        self.files.append((number, name, FileFacts(path.name, sha256_file(path), problem)))

    def _limited(self, number: int, path: Path, tell: Callable[[int], None]) -> Iterator[Record]:
        source = self.config.sources[number]
        options = ReadOptions(source.text_field, source.txt, source.encoding)
        for record in read_records(path, options, tell):
            self._records[number] += 1
            yield record
            if self._full(number):
                break
        tell(path.stat().st_size)

    def _full(self, number: int) -> bool:
        limit = self.config.sources[number].limit_docs
        return limit is not None and self._records[number] >= limit


def _teller(bar: Bar) -> Callable[[int], None]:
    told = 0

    def tell(position: int) -> None:
        nonlocal told
        if position > told:
            bar.advance(position - told)
            told = position

    return tell
