"""The corpus as it is written: held-out documents, training shards, and the account of both."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from hanhua.text.collect import Part, kept_rows
from hanhua.text.copies.near import Copies
from hanhua.text.document import Document
from hanhua.text.domains import domain_of
from hanhua.text.fates import Names
from hanhua.text.finish import COPY, HELD_OUT, LOW, Repeats
from hanhua.text.ledger import Ledger
from hanhua.text.quality.score_rule import drop_of
from hanhua.text.quality.score_tally import ScoreTally
from hanhua.text.shards import DocumentWriter, ShardWriter, write_documents
from hanhua.text.verdict import Drop

_DOCUMENT = ["id", "text", "language", "source", "licence"]


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a finished part."""
    for batch in pq.ParquetFile(path).iter_batches(batch_size=2048):
        yield from batch.to_pylist()


def rows_as_they_are(part: Part, fates: npt.NDArray[np.uint8]) -> Iterator[dict[str, Any]]:
    """The same of a part in which nothing was to be looked for."""
    names = [*_DOCUMENT, "where"]
    for (_, values), fate in zip(kept_rows(part, names), fates.tolist(), strict=True):
        row = dict(zip(names, values, strict=True))
        yield row | {"fate": fate, "removed": 0, "cut": 0, "leak": None}


@dataclass
class CorpusWriter:
    """Writes documents and accounts for them.

    Args:
        out: the artifact's folder.
        ledger: where every document is accounted for.
        min_chars: documents of which less is left go.
        repeats: lines and passages that go.
        domains: of the sources that have one, by their names.
    """

    out: Path
    ledger: Ledger
    min_chars: int
    repeats: Repeats
    domains: Mapping[str, str] = field(default_factory=dict)
    _writers: dict[str, ShardWriter] = field(default_factory=dict)

    def settle(
        self, number: int, row: dict[str, Any], copies: Copies, names: Names,
        scores: ScoreTally | None,
    ) -> None:  # fmt: skip
        """Write one document, or account for why it goes."""
        document = Document(*(row[name] for name in _DOCUMENT))
        account = self.ledger.of(document)
        if row["fate"] == HELD_OUT:
            return
        drop = None
        if row["removed"]:
            account.changes["removed.repeated"] += row["removed"]
        if row["cut"]:
            account.changes["removed.passage_chars"] += row["cut"]
        # Nothing at all may be left, and min_chars be 0.
        if row["cut"] and len(document.text) < max(self.min_chars, 1):
            drop = Drop("repeated_passage", row["cut"])
        elif row["removed"] and len(document.text) < self.min_chars:
            drop = Drop("repeated_lines", row["removed"])
        elif row["leak"] is not None:
            drop = Drop("held_out_copy", json.loads(row["leak"]))
        elif row["fate"] == COPY:
            drop = names.drop_of(number, copies, lambda drop: self.ledger.wants(account, drop))
        elif row["fate"] == LOW and scores:
            drop = drop_of(scores.of(number))
        if drop:
            self.ledger.drop(account, drop, row["where"], document.text)
            return
        key = self._key(document)
        if key not in self._writers:
            path = self.out / "train" / key
            self._writers[key] = ShardWriter(path.parent, path.name)
        self._writers[key].write(document)
        account.train.add(document.text)

    def _key(self, document: Document) -> str:
        """``zh``, or ``zh/news`` where its source has a domain."""
        domain = self.domains.get(document.source)
        return f"{document.language}/{domain}" if domain else document.language

    def write_held_out(
        self, parts: Sequence[Part], chosen: set[int], languages: Collection[str]
    ) -> dict[str, list[Document]]:
        """Write what was chosen to be held out.

        Args:
            parts: of the first pass.
            chosen: numbers of the documents.
            languages: those that get a file even where nothing of them was chosen.

        Returns:
            Language -> documents.
        """
        found: dict[str, list[Document]] = {}
        for part in parts:
            if not chosen.isdisjoint(part.numbers):
                for number, row in kept_rows(part, _DOCUMENT):
                    if number in chosen:
                        document = self._without_repeated(Document(*row), number)
                        found.setdefault(document.language, []).append(document)
        for language in sorted({*languages, *found}):
            with DocumentWriter(self.out / "held_out" / f"{language}.parquet") as writer:
                for document in found.get(language, []):
                    writer.write(document)
                    self.ledger.of(document).held_out.add(document.text)
        self._write_domains([document for documents in found.values() for document in documents])
        return found

    def _write_domains(self, held_out: Sequence[Document]) -> None:
        """Held-out documents of each domain once more, so that it can be measured by itself."""
        for key in sorted({self._key(document) for document in held_out}):
            if domain_of(key):
                mine = (document for document in held_out if self._key(document) == key)
                write_documents(self.out / "held_out" / f"{key}.parquet", mine)

    def _without_repeated(self, document: Document, number: int) -> Document:
        """What is held out stays even where little is left of it: then with what is repeated."""
        for text in (self.repeats.without_passages(document.text, number)[0],
                     self.repeats.without_lines(document.text)[0]):  # fmt: skip
            if text and len(text) >= self.min_chars:
                return replace(document, text=text)
        return document

    def close(self) -> None:
        """Close all shards."""
        for writer in self._writers.values():
            writer.close()
