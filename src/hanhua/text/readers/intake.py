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
from hanhua.text.config import CorpusConfig, SourceConfig
from hanhua.text.hubs.hub_datasets import dataset_identity, dataset_records
from hanhua.text.ledger import UNKNOWN_LICENCE, FileFacts
from hanhua.text.readers.formats import ReadOptions, file_format
from hanhua.text.readers.pages import check_extractor
from hanhua.text.readers.read import Record, read_records

Numbered: TypeAlias = tuple[int, str, Record]
"""Number of the source in the recipe, the source's name, record."""

_PAGES = re.compile(r"\.(x?html?|warc)(\.(gz|zst|xz|bz2))?$")
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
                found=source.name or source.path or source.dataset,
                fix="state it, or set `allow_unknown_licence: true` if you may use the text",
            )  # fmt: skip


def source_files(config: CorpusConfig) -> list[tuple[int, Path | None]]:
    """Every raw file with the number of its source, in reading order; None stands for a dataset.

    Raises:
        InputError: when a source names no file.
        DependencyError: when there are web pages and no package to read them.
    """
    found: list[tuple[int, Path | None]] = []
    for number, source in enumerate(config.sources):
        if source.path is None:
            found.append((number, None))
        else:
            where = f"corpus.sources[{number}].path"
            found += [(number, path) for path in outside_files(source.path, where)]
    if any(path and _holds_pages(path, config.sources[number]) for number, path in found):
        check_extractor()
    return found


def _holds_pages(path: Path, source: SourceConfig) -> bool:
    if source.kind != "auto":
        return source.kind == "html"
    return bool(_PAGES.search(path.name.lower()))


def source_name(path: Path) -> str:
    """A file's collection: its name without suffixes and shard numbers; of txt files the folder."""
    stem = path.name.split(".")[0]
    name = "" if stem.isdigit() else _PART.sub("", stem)
    alone = file_format(path) in ("txt", "html")
    return path.parent.name if alone or not name else name


def source_domains(
    config: CorpusConfig, files: Sequence[tuple[int, Path | None]]
) -> dict[str, str]:
    """The domain of each collection that has one, by the collection's name.

    Args:
        config: the recipe's section.
        files: of :func:`source_files`.

    Raises:
        InputError: when sources of one name are not of one domain.
    """
    found: dict[str, tuple[int, str | None]] = {}
    if all(source.domain is None for source in config.sources):
        return {}
    for number, path in files:
        source = config.sources[number]
        name = dataset_name(source) if path is None else source.name or source_name(path)
        first, domain = found.setdefault(name, (number, source.domain))
        if domain != source.domain:
            raise InputError(
                "Two sources of one name are of different domains.",
                where=f"corpus.sources[{number}].domain",
                found=f"{name!r}: {domain or 'no domain'} in corpus.sources[{first}], here "
                f"{source.domain or 'none'}",
                fix="give each of them a `name` of its own",
            )  # fmt: skip
    return {name: domain for name, (_, domain) in found.items() if domain is not None}


def dataset_name(source: SourceConfig) -> str:
    """The collection of a source that is a dataset."""
    reference = str(source.dataset).partition(":")[2]
    return source.name or re.split("[@#]", reference)[0].replace("/", "-")


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

    def records(self, files: Sequence[tuple[int, Path | None]], bar: Bar) -> Iterator[Numbered]:
        """All records of all files, in order.

        Raises:
            InputError: when a file cannot be read, unless the recipe skips such files.
        """
        for number, path in files:
            if self._full(number):
                continue
            if path is None:
                yield from self._dataset(number)
            else:
                yield from self._file(number, path, bar)

    def _dataset(self, number: int) -> Iterator[Numbered]:
        source = self.config.sources[number]
        reference = str(source.dataset)
        identity = dataset_identity(reference)
        name = dataset_name(source)
        pinned = identity if identity.startswith("hf:") else reference
        for record in self._limited(number, dataset_records(pinned, _options(source))):
            yield number, name, record
        self.files.append((number, name, FileFacts(reference, identity)))

    def _file(self, number: int, path: Path, bar: Bar) -> Iterator[Numbered]:
        source = self.config.sources[number]
        name, problem = source.name or path.parent.name, ""
        tell = _teller(bar)
        try:
            name = source.name or source_name(path)
            records = read_records(path, _options(source), tell)
            for record in self._limited(number, records):
                yield number, name, record
            tell(path.stat().st_size)
        except InputError as error:
            if self.config.on_error == "stop":
                raise
            problem = error.what
        self.files.append((number, name, FileFacts(path.name, sha256_file(path), problem)))

    def _limited(self, number: int, records: Iterator[Record]) -> Iterator[Record]:
        for record in records:
            self._records[number] += 1
            yield record
            if self._full(number):
                break

    def _full(self, number: int) -> bool:
        limit = self.config.sources[number].limit_docs
        return limit is not None and self._records[number] >= limit


def _options(source: SourceConfig) -> ReadOptions:
    return ReadOptions(source.text_field, source.txt, source.encoding, kind=source.kind)


def _teller(bar: Bar) -> Callable[[int], None]:
    told = 0

    def tell(position: int) -> None:
        nonlocal told
        if position > told:
            bar.advance(position - told)
            told = position

    return tell
