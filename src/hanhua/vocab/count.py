"""Count the runs of target text, each source weighted so that no large one drowns the rest.

The weights come from affinity.py. The price of raising small sources is that a phrase which one
repeats in every document looks frequent, so a long line counts only where it first stands.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from hanhua.core.files import sha256_text
from hanhua.text.document import Document

WEIGHT_UNIT = 256
"""Weighted counts are integers in this fraction of an occurrence, so that sums are exact."""


REPEATED_LINE_CHARS = 6
"""A line of at least so many characters counts once in the whole corpus."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Distinct runs with their weighted counts, sorted: the same on every machine.

    Args:
        texts: distinct runs.
        weights: weighted occurrences of each, in 1 / WEIGHT_UNIT.
        chars: characters read.
        documents: documents read.
    """

    texts: list[str]
    weights: list[int]
    chars: int
    documents: int


def sampled(documents: Iterable[Document], share: float) -> Iterator[Document]:
    """Keep about this share of the documents, chosen by their ids alone."""
    limit = share * 2.0**32
    for document in documents:
        if share >= 1.0 or int(sha256_text(document.id)[:8], 16) < limit:
            yield document


def count_runs(
    documents: Iterable[Document],
    pattern: re.Pattern[str],
    weights: Mapping[str, int],
    prepare: Callable[[str], str],
) -> Runs:
    """Count the runs that a pattern finds.

    Args:
        documents: text to learn from.
        pattern: see :meth:`hanhua.vocab.script.Script.runs`.
        weights: from :func:`hanhua.vocab.affinity.source_weights`.
        prepare: writes a whole document as the tokenizer sees it (spaces as ▁).
    """
    by_source: dict[str, Counter[str]] = {}
    seen: set[bytes] = set()
    chars = count = 0
    for document in documents:
        counter = by_source.setdefault(document.source, Counter())
        counter.update(pattern.findall(_new_lines(prepare(document.text), seen)))
        chars += len(document.text)
        count += 1
    total: Counter[str] = Counter()
    for source in sorted(by_source):
        weight = weights[source]
        for text, number in by_source.pop(source).items():
            total[text] += number * weight
    texts = sorted(total)
    return Runs(texts, [total[text] for text in texts], chars, count)


def _new_lines(text: str, seen: set[bytes]) -> str:
    """The text without its long lines that stood somewhere before."""
    kept = []
    for line in text.split("\n"):
        if len(line) >= REPEATED_LINE_CHARS:
            digest = hashlib.blake2b(line.encode(), digest_size=8).digest()
            if digest in seen:
                continue
            seen.add(digest)
        kept.append(line)
    return "\n".join(kept)
