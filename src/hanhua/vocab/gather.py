"""Counts of the runs of a corpus in the target's script: what new pieces are learnt from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from hanhua.core.progress import Progress, Silent
from hanhua.text.document import Document
from hanhua.vocab.affinity import Survey, source_weights
from hanhua.vocab.config import VocabConfig
from hanhua.vocab.count import (
    WEIGHT_UNIT,
    RunCounter,
    Runs,
    Source,
    make_runs,
    run_counter,
    sampled,
)
from hanhua.vocab.cut import cut_runs
from hanhua.vocab.family import Family
from hanhua.vocab.script import HAN, Script
from hanhua.vocab.variants import with_variants


@dataclass(slots=True)
class _Reading:
    """What one reading of the corpus gathers."""

    counter: RunCounter
    chars: dict[str, int] = field(default_factory=dict)
    number: dict[str, int] = field(default_factory=dict)
    documents: int = 0

    def add(self, family: Family, source: str, text: str) -> None:
        number = self.number.setdefault(source, len(self.number))
        self.counter.add(family.prepare(text), number)
        self.chars[source] = self.chars.get(source, 0) + len(text)
        self.documents += 1


def gather(
    family: Family, script: Script, config: VocabConfig, read: Callable[[], Iterable[Document]],
    progress: Progress | None = None, collections: Mapping[str, str] | None = None,
) -> Runs:  # fmt: skip
    """Count the runs of the target's text.

    Args:
        family: writes text as the tokenizer sees it.
        script: which runs.
        config: sample size, weights, pattern, share of traditional characters.
        read: yields the corpus from its beginning; called again where it is larger than the
            sample, since only then its size tells what part of it to take.
        progress: shows the characters read.
        collections: for a document's source the collection it counts for; None: the source.
    """
    found = Survey(script.runs(family.space, config.pattern))
    name = (collections or {}).get
    with (progress or Silent()).bar("counting", None, "char") as bar:

        def documents(seen: bool) -> Iterator[Document]:
            for document in read():
                document = replace(document, source=name(document.source, document.source))
                if not seen:
                    found.see(document.source, document.text)
                    bar.advance(len(document.text))
                yield document

        reading = _read(family, script, config, documents(False), config.sample_chars)
        if (total := found.sizes.total()) > config.sample_chars:
            part = sampled(documents(True), config.sample_chars / total)
            reading = _read(family, script, config, part, None)
    runs = make_runs(reading.counter, _sources(config, found, reading), reading.documents)
    return cut_runs(runs, family) if family.cuts else runs


def _read(
    family: Family, script: Script, config: VocabConfig, documents: Iterable[Document],
    most: int | None,
) -> _Reading:  # fmt: skip
    """Count documents, with traditional copies; behind so many characters only read on."""
    reading = _Reading(run_counter(script, family.space, config.pattern))
    variants = config.traditional_share if script.letters == HAN else 0.0
    room = float("inf") if most is None else most * (1 + variants)
    for document in with_variants(documents, variants) if variants else documents:
        if room >= 0:
            reading.add(family, document.source, document.text)
            room -= len(document.text)
    return reading


def _sources(config: VocabConfig, found: Survey, reading: _Reading) -> list[Source]:
    affinity = found.affinity()
    weights = source_weights(
        found.sizes, config.source_alpha, affinity, config.source_affinity, WEIGHT_UNIT
    )
    return [
        Source(name, weights[name], reading.chars[name], affinity[name]) for name in reading.number
    ]
