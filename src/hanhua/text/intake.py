"""The first pass: raw files to a spool of clean documents, every drop accounted for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hanhua.core.artifact import outside_files
from hanhua.core.errors import InputError
from hanhua.core.files import sha256_file
from hanhua.core.progress import Bar
from hanhua.text.clean import Cleaner, Kept
from hanhua.text.config import CorpusConfig, SourceConfig
from hanhua.text.document import Document
from hanhua.text.formats import ReadOptions, file_format
from hanhua.text.held_out import Queue
from hanhua.text.ledger import Account, FileFacts, Ledger
from hanhua.text.normalise import normalise
from hanhua.text.read import Record, read_records
from hanhua.text.shards import DocumentWriter
from hanhua.text.split import split_text
from hanhua.text.verdict import Drop

UNKNOWN_LICENCE = "unknown"
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
    """Reads, cleans and spools; remembers who may be held out.

    Args:
        config: the recipe's section.
        cleaner: the rules.
        ledger: where every document is accounted for.
        spool: the folder for ``<language>.parquet``.
    """

    def __init__(self, config: CorpusConfig, cleaner: Cleaner, ledger: Ledger, spool: Path):
        self.config, self.cleaner, self.ledger, self.spool = config, cleaner, ledger, spool
        self._writers: dict[str, DocumentWriter] = {}
        self._queues: dict[str, dict[str, Queue]] = {}
        self._records: Counter[int] = Counter()

    def read(self, number: int, path: Path, bar: Bar) -> None:
        """Take one file of a source through all the rules.

        Raises:
            InputError: when the file cannot be read, unless the recipe skips such files.
        """
        source = self.config.sources[number]
        if self._full(number):
            return
        account, problem = None, ""
        try:
            account = self._account(source, source.name or source_name(path))
            self._take_file(number, account, path, _teller(bar))
        except InputError as error:
            if self.config.on_error == "stop":
                raise
            problem = error.what
        account = account or self._account(source, source.name or path.parent.name)
        account.files.append(FileFacts(path.name, sha256_file(path), problem))

    def _full(self, number: int) -> bool:
        limit = self.config.sources[number].limit_docs
        return limit is not None and self._records[number] >= limit

    def _account(self, source: SourceConfig, name: str) -> Account:
        return self.ledger.account(name, source.language, source.licence or UNKNOWN_LICENCE)

    def _take_file(
        self, number: int, account: Account, path: Path, tell: Callable[[int], None]
    ) -> None:
        source = self.config.sources[number]
        options = ReadOptions(source.text_field, source.txt, source.encoding)
        for record in read_records(path, options, tell):
            account.records += 1
            self._records[number] += 1
            self._take(account, record)
            if self._full(number):
                break
        tell(path.stat().st_size)

    def _take(self, account: Account, record: Record) -> None:
        if record.text is None:
            account.read += 1
            self.ledger.drop(account, Drop(record.problem, record.found), record.where, "")
            return
        text = normalise(record.text)
        for number, piece in enumerate(split_text(text, self.config.max_chars_per_doc)):
            account.read += 1
            verdict = self.cleaner.judge(piece, account.language)
            if isinstance(verdict, Kept):
                self._keep(account, record, number, verdict)
            else:
                self.ledger.drop(account, verdict, record.where, piece)

    def _keep(self, account: Account, record: Record, number: int, kept: Kept) -> None:
        language = account.language
        if language not in self._writers:
            self._writers[language] = DocumentWriter(self.spool / f"{language}.parquet", "lz4")
        own = (record.id or record.where).removeprefix(f"{account.source}/")
        identifier = f"{account.source}/{own}" + (f"#{number}" if number else "")
        writer = self._writers[language]
        queues = self._queues.setdefault(language, {})
        queue = queues.setdefault(account.source, Queue(self.config.held_out_docs))
        queue.add(kept.key, writer.documents, len(kept.text))
        writer.write(Document(identifier, kept.text, language, account.source, account.licence))

    def close(self) -> dict[str, dict[str, Queue]]:
        """Finish the spool; language -> source -> who may be held out."""
        for writer in self._writers.values():
            writer.close()
        return self._queues


def _teller(bar: Bar) -> Callable[[int], None]:
    told = 0

    def tell(position: int) -> None:
        nonlocal told
        if position > told:
            bar.advance(position - told)
            told = position

    return tell
