"""Raw files to a corpus, in two passes with one decision between them.

The first pass reads, cleans and judges every document alone, in batches that any worker can do.
Then, from their keys, copies are found and the held-out documents are chosen: the only step that
looks at all of them. The second pass parts them and drops what would leak from held-out text
into training. Memory does not grow with the corpus but for a few bytes a document.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hanhua.core.artifact import outside_files
from hanhua.core.errors import InputError
from hanhua.core.progress import Progress
from hanhua.core.stage import Context, Result
from hanhua.text.batch import clean_batch, raw_batches
from hanhua.text.clean import Cleaner, question_index
from hanhua.text.cluster import run_on_cluster
from hanhua.text.collect import Collector, Part
from hanhua.text.config import AUTO, CorpusConfig
from hanhua.text.contamination.held_out import Queue, choose
from hanhua.text.contamination.questions import read_question_files
from hanhua.text.copies.fingerprints import PassageSize
from hanhua.text.copies.keys import KeyFiles
from hanhua.text.copies.near import Copies, find_copies
from hanhua.text.copies.repeated import LineFile
from hanhua.text.copies.shared import FingerprintFile
from hanhua.text.fates import Names, fates_of
from hanhua.text.finish import Finisher, Repeats, task
from hanhua.text.ledger import UNKNOWN_LICENCE, Ledger
from hanhua.text.passages import find_passages
from hanhua.text.pool import Kernel, run_batches
from hanhua.text.quality.score_tally import ScoreTally
from hanhua.text.readers.intake import Intake, check_licences, source_domains, source_files
from hanhua.text.score import FILE, score_account, score_rule
from hanhua.text.summary import much_lost, write_account
from hanhua.text.writing import CorpusWriter, rows_as_they_are, rows_of

_DOCUMENT = ["id", "text", "language", "source", "licence"]


def build_corpus(context: Context[CorpusConfig]) -> Result:
    """Run both passes and write the corpus artifact into ``context.out``.

    Raises:
        InputError: for a file that cannot be read, a source without a licence, a quality score
            that cannot be learnt, or when nothing of a language is left.
    """
    config = context.config
    check_licences(config)
    questions = read_question_files(
        [path for pattern in config.contamination
         for path in outside_files(pattern, "corpus.contamination")]
    )  # fmt: skip
    ledger = Ledger()
    workers = context.machine.workers or os.cpu_count() or 1
    score = score_rule(config, context.seed, context.progress)
    cleaner = Cleaner(config, question_index(questions.texts), score)
    build = _Build(context, ledger, cleaner, workers)
    collector = build.first_pass()
    copies, chosen = build.decide(collector)
    build.second_pass(collector, copies, chosen)
    shutil.rmtree(context.work, ignore_errors=True)
    scores = None
    if score and config.score and build.scores:
        score.scorer.save(context.out / FILE)
        scores = score_account(score, config.score, build.scores)
    touched = questions.account(ledger.touched)
    for line in much_lost(ledger):
        context.progress.say(f"  {line}")
    return write_account(context.out, ledger, touched, scores, build.domains)


class _Build:
    """The passes over one corpus; they share where it is made and who makes it."""

    def __init__(
        self, context: Context[CorpusConfig], ledger: Ledger, cleaner: Cleaner, workers: int
    ) -> None:
        self.context, self.ledger, self.cleaner = context, ledger, cleaner
        self.workers = workers
        self.config: CorpusConfig = context.config
        self.progress: Progress = context.progress
        self.scores = ScoreTally() if cleaner.score else None
        self.files = source_files(self.config)
        self.domains = source_domains(self.config, self.files)

    def first_pass(self) -> Collector:
        """Read, clean and judge; every document is accounted for and every kept one has keys."""
        files, intake = self.files, Intake(self.config)
        lines = None
        if self.config.max_line_docs is not None:
            lines = LineFile(self.context.work / "keys" / "lines")
        keys, passages = KeyFiles(self.context.work / "keys"), None
        if self.config.min_repeated_passage_chars is not None:
            passages = FingerprintFile(self.context.work / "keys" / "fingerprints")
        collector = Collector(self.ledger, keys, lines, self.scores, passages)
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
        alive = copies.alive
        if self.scores and config.score and config.score.keep_share is not None:
            alive = alive & ~self.scores.cut(alive, config.score.keep_share)
        queues = collector.queues(alive, config.held_out_docs)
        self._check_not_empty(queues)
        chosen = {number for language in sorted(queues)
                  for number in choose(config.held_out_docs, queues[language])}  # fmt: skip
        return copies, chosen

    def second_pass(self, collector: Collector, copies: Copies, chosen: set[int]) -> None:
        """Write the held-out set and the training shards."""
        low = self.scores.low if self.scores else None
        repeats = self._repeats(collector, copies.alive if low is None else copies.alive & ~low,
                                chosen)  # fmt: skip
        writer = CorpusWriter(
            self.context.out, self.ledger, self.config.min_chars, repeats, self.domains
        )
        names = Names(collector.parts)
        held_out = writer.write_held_out(collector.parts, chosen, self._languages())
        finisher = Finisher(held_out, repeats)
        fates = [fates_of(part, copies, chosen, low) for part in collector.parts]
        with self.progress.bar("writing", total=collector.keys.documents, unit="doc") as bar:
            for part, rows in zip(
                collector.parts, self._finished(collector.parts, fates, finisher), strict=True
            ):
                for number, row in zip(part.numbers, rows, strict=True):
                    writer.settle(number, row, copies, names, self.scores)
                bar.advance(part.kept)
        writer.close()

    def _finished(
        self, parts: Sequence[Part], fates: Sequence[npt.NDArray[np.uint8]], finisher: Finisher
    ) -> Iterator[Iterator[dict[str, Any]]]:
        """The rows of every part; workers are asked only where they have something to look for."""
        if finisher.idle:
            yield from map(rows_as_they_are, parts, fates)
            return
        tasks = (task(part.path, part.start, fate)
                 for part, fate in zip(parts, fates, strict=True))  # fmt: skip
        for path in self._run(tasks, finisher, "finished"):
            yield rows_of(path)
            path.unlink()

    def _repeats(
        self, collector: Collector, alive: npt.NDArray[np.bool_], chosen: set[int]
    ) -> Repeats:
        """Find the lines and passages that documents share, where they are looked for."""
        config, budget_bytes = self.config, self.context.machine.memory_mib << 20
        lines = passages = None
        if collector.lines and config.max_line_docs is not None:
            lines = collector.lines.repeated(config.max_line_docs, budget_bytes)
        if collector.passages and config.min_repeated_passage_chars is not None:
            passages = find_passages(
                collector.passages, collector.parts, collector.keys.column("rank"), alive, chosen,
                size=PassageSize(config.min_repeated_passage_chars), variants=config.fold_variants,
                folder=self.context.work / "passages", run=self._run, budget_bytes=budget_bytes,
            )  # fmt: skip
        return Repeats(lines, passages)

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
