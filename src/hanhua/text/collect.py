"""All judged documents together: the account of what was dropped, the keys of what was not.

Kept documents are numbered in reading order over all parts; the number is their row in the key
files too. Memory is 4 bytes a document.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hanhua.text.contamination.held_out import Queue
from hanhua.text.copies.keys import KeyFiles, Numbers
from hanhua.text.copies.repeated import LineFile
from hanhua.text.copies.shared import FingerprintFile
from hanhua.text.ledger import Account, Ledger
from hanhua.text.quality.score_tally import ScoreTally
from hanhua.text.verdict import Drop

_FACTS = ("source", "language", "licence", "first", "reason", "value", "changes", "items", "where")
_KEYS = ("keys", "lines", "log_odds", "passages")


@dataclass(frozen=True, slots=True)
class Part:
    """One file of judged documents.

    Args:
        path: the file.
        start: number of its first kept document.
        kept: how many it has that were kept.
    """

    path: Path
    start: int
    kept: int

    @property
    def numbers(self) -> range:
        """The numbers of its kept documents."""
        return range(self.start, self.start + self.kept)


class Collector:
    """Takes parts in order.

    Args:
        ledger: where every document is accounted for.
        keys: of the kept documents.
        lines: of their lines, where repeated ones are looked for.
        scores: of all documents, where they are scored.
        passages: fingerprints, where repeated passages are looked for.
    """

    def __init__(
        self, ledger: Ledger, keys: KeyFiles, lines: LineFile | None = None,
        scores: ScoreTally | None = None, passages: FingerprintFile | None = None,
    ) -> None:  # fmt: skip
        self.ledger, self.keys, self.lines, self.scores = ledger, keys, lines, scores
        self.passages = passages
        self.parts: list[Part] = []
        self._accounts: list[Account] = []
        self._owner = array("i")

    def __enter__(self) -> Collector:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.keys.close()
        for file in (self.lines, self.passages):
            if file is not None:
                file.close()

    def take(self, path: Path) -> None:
        """Account for one part's documents and store the keys of the kept ones."""
        table = pq.read_table(path, columns=[*_FACTS, *_KEYS])
        keys = table.column("keys").drop_null().to_pylist()
        part = Part(path, self.keys.documents, len(keys))
        self.parts.append(part)
        self.keys.append(keys)
        if self.lines is not None:
            self.lines.append(table.column("lines").drop_null().to_pylist())
        if self.passages is not None:
            self.passages.append(part.start, table.column("passages").drop_null().to_pylist())
        if self.scores is not None:
            kept = pc.is_null(table.column("reason")).to_numpy()
            languages = table.column("language").to_pylist()
            self.scores.take(languages, table.column("log_odds").to_numpy(), kept)
        texts: list[str] | None = None
        columns = [table.column(name).to_pylist() for name in _FACTS]
        for row, facts in enumerate(zip(*columns, strict=True)):
            source, language, licence, first, reason, value, changes, items, where = facts
            account = self.ledger.account(source, language, licence)
            account.read += 1
            account.records += bool(first)
            if changes:
                account.changes.update(json.loads(changes))
            self.ledger.touched.update(items or ())
            if reason is None:
                self._owner.append(self._number_of(account))
                continue
            drop = Drop(reason, json.loads(value))
            if self.ledger.wants(account, drop):
                texts = texts if texts is not None else _texts(path)
            self.ledger.drop(account, drop, where, texts[row] if texts else "")

    def _number_of(self, account: Account) -> int:
        if account.number < 0:
            account.number = len(self._accounts)
            self._accounts.append(account)
        return account.number

    def queues(self, alive: npt.NDArray[np.bool_], room: int) -> dict[str, dict[str, Queue]]:
        """Language -> source -> who may be held out, of the documents that are alive."""
        found: dict[str, dict[str, Queue]] = {}
        owner = np.frombuffer(self._owner, dtype=np.int32) if self._owner else np.zeros(0, np.int32)
        content, ranks = self.keys.column("content"), self.keys.column("rank")
        for account in self._accounts:
            mine = np.nonzero(alive & (owner == account.number))[0]
            if not len(mine):
                continue
            sources = found.setdefault(account.language, {})
            queue = sources.setdefault(account.source, Queue(room))
            chars = -np.asarray(ranks[mine]["chars"]).astype(np.int64)
            _fill(queue, mine, np.asarray(content[mine]), chars)
        return found


def _fill(queue: Queue, numbers: Numbers, content: npt.NDArray[np.void], chars: Numbers) -> None:
    """Offer the first documents by content key; count them all."""
    first = np.lexsort((content["low"], content["high"]))[: queue.room]
    for place in first.tolist():
        key = int(content["high"][place]).to_bytes(8, "big")
        key += int(content["low"][place]).to_bytes(8, "big")
        queue.add(key, int(numbers[place]), int(chars[place]))
    queue.documents += len(numbers) - len(first)
    queue.chars += int(chars.sum()) - int(chars[first].sum())


def _texts(path: Path) -> list[str]:
    found: list[str] = pq.read_table(path, columns=["text"]).column("text").to_pylist()
    return found


def kept_rows(part: Part, columns: list[str]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """(number, values of the columns) of a part's kept documents, in order."""
    table = pq.read_table(part.path, columns=[*columns, "reason"])
    table = table.filter(pc.is_null(table.column("reason")))
    values = [table.column(name).to_pylist() for name in columns]
    yield from zip(part.numbers, zip(*values, strict=True), strict=True)
