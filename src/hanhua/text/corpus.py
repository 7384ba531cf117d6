"""Raw files to a corpus, in two passes with one decision between them.

The first pass reads, cleans and judges every document alone, in batches that any worker can do.
Then, from their keys, copies are found and the held-out documents are chosen: the only step that
looks at all of them. The second pass parts them and drops what would leak from held-out text
into training. Memory does not grow with the corpus but for a few bytes a document.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hanhua.core.artifact import outside_files
from hanhua.core.errors import InputError
from hanhua.core.progress import Progress
from hanhua.core.stage import Context, Result
from hanhua.text.batch import clean_batch, raw_batches
from hanhua.text.clean import Cleaner, question_index
from hanhua.text.cluster import run_on_cluster
from hanhua.text.collect import Collector, Part, kept_rows
from hanhua.text.config import AUTO, CorpusConfig
from hanhua.text.contamination.held_out import Queue, choose
from hanhua.text.contamination.questions import read_question_files
from hanhua.text.copies.keys import KeyFiles
from hanhua.text.copies.near import Copies, find_copies
from hanhua.text.copies.repeated import Keys, LineFile, remove_lines
from hanhua.text.document import Document
from hanhua.text.finish import COPY, HELD_OUT, STAYS, Finisher, task
from hanhua.text.ledger import UNKNOWN_LICENCE, Ledger
from hanhua.text.pool import Kernel, run_batches
from hanhua.text.readers.intake import Intake, check_licences, source_files
from hanhua.text.shards import DocumentWriter, ShardWriter
from hanhua.text.summary import write_account
from hanhua.text.verdict import Drop

_DOCUMENT = ["id", "text", "language", "source", "licence"]


def build_corpus(context: Context[CorpusConfig]) -> Result:
    """Run both passes and write the corpus artifact into ``context.out``.

    Raises:
        InputError: for a file that cannot be read, a source without a licence, or when nothing
            of a language is left.
    """
    config = context.config
    check_licences(config)
    questions = read_question_files(
        [path for pattern in config.contamination
         for path in outside_files(pattern, "corpus.contamination")]
    )  # fmt: skip
    ledger = Ledger()
    workers = context.machine.workers or os.cpu_count() or 1
    build = _Build(context, ledger, Cleaner(config, question_index(questions.texts)), workers)
    collector = build.first_pass()
    copies, chosen = build.decide(collector)
    build.second_pass(collector, copies, chosen)
    shutil.rmtree(context.work, ignore_errors=True)
    return write_account(context.out, ledger, questions.account(ledger.touched))


class _Build:
    """The passes over one corpus; they share where it is made and who makes it."""

    def __init__(
        self, context: Context[CorpusConfig], ledger: Ledger, cleaner: Cleaner, workers: int
    ) -> None:
        self.context, self.ledger, self.cleaner = context, ledger, cleaner
        self.workers = workers
        self.config: CorpusConfig = context.config
        self.progress: Progress = context.progress

    def first_pass(self) -> Collector:
        """Read, clean and judge; every document is accounted for and every kept one has keys."""
        files = source_files(self.config)
        intake = Intake(self.config)
        lines = None
        if self.config.max_line_docs is not None:
            lines = LineFile(self.context.work / "keys" / "lines")
        collector = Collector(self.ledger, KeyFiles(self.context.work / "keys"), lines)
        total = sum(path.stat().st_size for _, path in files if path)
        kernel = partial(clean_batch, cleaner=self.cleaner)
        with self.progress.bar("cleaning", total=total, unit="B") as bar, collector:
            batches = raw_batches(intake.records(files, bar), self.config.batch_chars)
            for part in self._run(batches, kernel, "judged"):
                collector.take(part)
        for number, name, facts in intake.files:
            source = self.config.sources[number]
            language = "und" if source.language == AUTO else source.language
            self.ledger.add_file(name, facts, language, source.licence or UNKNOWN_LICENCE)
        return collector

    def _run(
        self, batches: Iterable[pa.RecordBatch], kernel: Kernel, folder: str
    ) -> Iterator[Path]:
        """On this machine, or where the recipe says; alone where there is one batch only."""
        parts, cluster = self.context.work / folder, self.context.machine.cluster
        if cluster:
            return run_on_cluster(batches, kernel, parts, self.workers, cluster)
        batches = iter(batches)
        first = list(itertools.islice(batches, 2))
        workers = self.workers if len(first) > 1 else 1
        return run_batches(itertools.chain(first, batches), kernel, parts, workers)

    def decide(self, collector: Collector) -> tuple[Copies, set[int]]:
        """Find the copies, choose the held-out documents."""
        config = self.config
        copies = find_copies(
            collector.keys, exact=config.dedup != "none",
            min_agreement=config.near_similarity if config.dedup == "near" else None,
            budget_bytes=self.context.machine.memory_mib << 20,
        )  # fmt: skip
        queues = collector.queues(copies.alive, config.held_out_docs)
        self._check_not_empty(queues)
        chosen = {number for language in sorted(queues)
                  for number in choose(config.held_out_docs, queues[language])}  # fmt: skip
        return copies, chosen

    def second_pass(self, collector: Collector, copies: Copies, chosen: set[int]) -> None:
        """Write the held-out set and the training shards."""
        repeated = self._repeated(collector)
        held_out = self._write_held_out(collector, chosen, repeated)
        names = _Names(collector.parts)
        writers: dict[str, ShardWriter] = {}
        tasks = (task(part.path, _fates(part, copies, chosen)) for part in collector.parts)
        with self.progress.bar("writing", total=collector.keys.documents, unit="doc") as bar:
            paths = self._run(tasks, Finisher(held_out, repeated), "finished")
            for part, path in zip(collector.parts, paths, strict=True):
                for number, row in zip(part.numbers, _rows(path), strict=True):
                    self._settle(number, row, copies, names, writers)
                bar.advance(part.kept)
                path.unlink()
        for writer in writers.values():
            writer.close()

    def _repeated(self, collector: Collector) -> Keys | None:
        if collector.lines is None or self.config.max_line_docs is None:
            return None
        budget_bytes = self.context.machine.memory_mib << 20
        return collector.lines.repeated(self.config.max_line_docs, budget_bytes)

    def _settle(
        self, number: int, row: dict[str, Any], copies: Copies, names: _Names,
        writers: dict[str, ShardWriter],
    ) -> None:  # fmt: skip
        """Write one document, or account for why it goes."""
        document = Document(*(row[name] for name in _DOCUMENT))
        account = self.ledger.of(document)
        if row["fate"] == HELD_OUT:
            return
        drop = None
        if row["removed"]:
            account.changes["removed.repeated"] += row["removed"]
        if row["removed"] and len(document.text) < self.config.min_chars:
            drop = Drop("repeated_lines", row["removed"])
        elif row["leak"] is not None:
            drop = Drop("held_out_copy", json.loads(row["leak"]))
        elif row["fate"] == COPY:
            drop = names.drop_of(number, copies, lambda drop: self.ledger.wants(account, drop))
        if drop:
            self.ledger.drop(account, drop, row["where"], document.text)
            return
        language = document.language
        if language not in writers:
            writers[language] = ShardWriter(self.context.out / "train", language)
        writers[language].write(document)
        account.train.add(document.text)

    def _write_held_out(
        self, collector: Collector, chosen: set[int], repeated: Keys | None
    ) -> dict[str, list[Document]]:
        found: dict[str, list[Document]] = {}
        for part in collector.parts:
            if not chosen.isdisjoint(part.numbers):
                for number, row in kept_rows(part, _DOCUMENT):
                    if number in chosen:
                        document = self._without_repeated(Document(*row), repeated)
                        found.setdefault(document.language, []).append(document)
        for language in sorted(self._languages() | set(found)):
            with DocumentWriter(self.context.out / "held_out" / f"{language}.parquet") as writer:
                for document in found.get(language, []):
                    writer.write(document)
                    self.ledger.of(document).held_out.add(document.text)
        return found

    def _without_repeated(self, document: Document, repeated: Keys | None) -> Document:
        text = document.text if repeated is None else remove_lines(document.text, repeated)[0]
        return replace(document, text=text) if len(text) >= self.config.min_chars else document

    def _languages(self) -> set[str]:
        """The languages that must be there: those that sources declare."""
        return {source.language for source in self.config.sources} - {AUTO}

    def _check_not_empty(self, queues: Mapping[str, Mapping[str, Queue]]) -> None:
        wanted = self._languages() - set(queues)
        if not wanted and queues:
            return
        language = min(wanted) if wanted else "any"
        accounts = [a for a in self.ledger.accounts if not wanted or a.language == language]
        drops = sum((a.dropped for a in accounts), Counter[str]())
        shown = ", ".join(f"{reason} {count}" for reason, count in sorted(drops.items()))
        samples = [str(s["where"]) for s in self.ledger.samples
                   if not wanted or s["language"] == language]  # fmt: skip
        first = self.config.sources[0]
        names = samples or [f.name for a in accounts for f in a.files]
        names = names or [str(first.path or first.dataset)]
        raise InputError(
            f"No document in language {language!r} is left." if wanted else "No document is left.",
            where="corpus.sources",
            found=f"{sum(a.read for a in accounts)} read; dropped: {shown or 'none'} "
            f"(e.g. {names[0]})",
            fix="look at the files, the declared language and the corpus section's limits",
        )  # fmt: skip


def _fates(part: Part, copies: Copies, chosen: set[int]) -> npt.NDArray[np.uint8]:
    alive = copies.alive[part.start : part.start + part.kept]
    fates = np.where(alive, STAYS, COPY).astype(np.uint8)
    mine = [number - part.start for number in chosen.intersection(part.numbers)]
    fates[mine] = HELD_OUT
    return fates


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for batch in pq.ParquetFile(path).iter_batches(batch_size=2048):
        yield from batch.to_pylist()


class _Names:
    """Looks up, for samples, which document a copy is a copy of."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._starts = [part.start for part in parts]
        self._known: dict[int, list[str]] = {}

    def drop_of(self, number: int, copies: Copies, wanted: Callable[[Drop], bool]) -> Drop:
        """Why a copy goes; of what is looked at (``wanted``) with the kept one's id."""
        kept, share = copies.near.get(number, (-1, 1.0))
        drop = Drop("near_duplicate" if kept >= 0 else "duplicate", share)
        if not wanted(drop):
            return drop
        name = self.of(kept if kept >= 0 else copies.exact[number])
        return Drop(drop.reason, f"{share} of {name}")

    def of(self, number: int) -> str:
        """A kept document's id."""
        place = int(np.searchsorted(self._starts, number, side="right")) - 1
        if place not in self._known:
            if len(self._known) > 8:
                self._known.clear()
            rows = kept_rows(self._parts[place], ["id"])
            self._known[place] = [row[0] for _, row in rows]
        return self._known[place][number - self._parts[place].start]
