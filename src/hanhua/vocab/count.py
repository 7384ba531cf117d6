"""Count the runs of target text: how often each stands in each source.

Sources are kept apart because a piece is worth what it saves on text of many kinds (rank.py). The
weights of sources come from affinity.py; the price of raising small ones is that a phrase which one
repeats in every document looks frequent, so a long line counts only where it first stands.

The work is done by the compiled part where it is there (native/count.c), else by regex and Counter.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hanhua.core.files import sha256_text
from hanhua.text.document import Document
from hanhua.vocab.native import NATIVE
from hanhua.vocab.script import Pattern, Script

WEIGHT_UNIT = 256
"""Weighted counts are integers in this fraction of an occurrence, so that sums are exact."""

REPEATED_LINE_CHARS = 6
"""A line of at least so many characters counts once in the whole corpus."""

GAP = ord("\n")
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint32]
_LETTER, _MARK, _LEAD = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Source:
    """A collection of text.

    Args:
        name: of the source.
        weight: what an occurrence counts when pieces are learnt, in 1 / WEIGHT_UNIT.
        chars: characters read of it.
        affinity: how much it reads like the others, in [0, 1].
    """

    name: str
    weight: int
    chars: int
    affinity: float = 1.0


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of text, and how often each stands in each source.

    Args:
        codes: code points of all runs, a line feed behind each.
        rows: for each run its row of occurrences; parts of one run share a row.
        starts: for each row its first occurrence in the two arrays that follow, and the end.
        sources: source of an occurrence.
        counts: how often.
        facts: of each source.
        documents: documents read.
    """

    codes: Codes
    rows: Ints
    starts: Codes
    sources: Codes
    counts: Codes
    facts: tuple[Source, ...]
    documents: int

    @classmethod
    def of(cls, texts: Sequence[str], weights: Sequence[int]) -> Runs:
        """Distinct runs of one source with their weighted counts."""
        n = np.arange(len(texts) + 1)
        return cls(
            code_points("".join(text + "\n" for text in texts)), n[:-1], n.astype(np.uint32),
            np.zeros(len(texts), np.uint32), np.array(weights, np.uint32),
            (Source("text", 1, sum(map(len, texts))),), 1,
        )  # fmt: skip

    @property
    def row_weights(self) -> Ints:
        """Weighted occurrences of each row, in 1 / WEIGHT_UNIT."""
        weights = np.array([source.weight for source in self.facts], np.int64)
        each = self.counts.astype(np.int64) * weights[self.sources]
        total = np.concatenate([np.zeros(1, np.int64), np.cumsum(each)])
        found: Ints = np.diff(total[self.starts.astype(np.int64)])
        return found

    @property
    def chars(self) -> int:
        """Characters read."""
        return sum(source.chars for source in self.facts)

    @property
    def texts(self) -> list[str]:
        """The runs as strings."""
        return text_of(self.codes).split("\n")[:-1]

    @property
    def lengths(self) -> Ints:
        """Characters of each run."""
        ends = np.flatnonzero(self.codes == GAP)
        return np.diff(ends, prepend=-1) - 1


def code_points(text: str) -> Codes:
    """A string's code points."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def text_of(codes: Codes) -> str:
    """Code points as a string."""
    return codes.tobytes().decode("utf-32-le", "surrogatepass")


def sampled(documents: Iterable[Document], share: float) -> Iterator[Document]:
    """Keep about this share of the documents, chosen by their ids alone."""
    limit = share * 2.0**32
    for document in documents:
        if share >= 1.0 or int(sha256_text(document.id)[:8], 16) < limit:
            yield document


class RunCounter(Protocol):
    """What counts runs."""

    def add(self, text: str, source: int) -> None:
        """Count the runs of a document, written as the tokenizer sees it."""

    def finish(self) -> tuple[Codes, npt.NDArray[np.uint32]]:
        """The runs, and ``[n, 3]`` occurrences: run, source, count."""


def run_counter(
    script: Script, space: str, pattern: Pattern, native: bool | None = None
) -> RunCounter:
    """The counter for a script.

    Args:
        script: whose runs.
        space: how the tokenizer writes a space.
        pattern: see :meth:`hanhua.vocab.script.Script.runs`.
        native: the compiled one or the one in Python; None: compiled where it is there.
    """
    if native or (native is None and NATIVE is not None):
        return CompiledCounter(script, space, pattern)
    return PythonCounter(script, space, pattern)


class PythonCounter:
    """By regex, a Counter for each source."""

    def __init__(self, script: Script, space: str, pattern: Pattern) -> None:
        self.pattern = script.runs(space, pattern)
        self.counters: dict[int, Counter[str]] = {}
        self.seen: set[bytes] = set()

    def add(self, text: str, source: int) -> None:
        """Count a document."""
        counter = self.counters.setdefault(source, Counter())
        counter.update(self.pattern.findall(_new_lines(text, self.seen)))

    def finish(self) -> tuple[Codes, npt.NDArray[np.uint32]]:
        """Distinct runs in the order of sources."""
        number: dict[str, int] = {}
        entries: list[tuple[int, int, int]] = []
        for source, counter in self.counters.items():
            for text, count in counter.items():
                entries.append((number.setdefault(text, len(number)), source, count))
        codes = code_points("".join(text + "\n" for text in number))
        return codes, np.array(entries, np.uint32).reshape(-1, 3)


class CompiledCounter:
    """native/count.c, which asks a table what kind of character each is."""

    def __init__(self, script: Script, space: str, pattern: Pattern) -> None:
        led, marks = script.runs_are(pattern)
        kinds = np.zeros(0x110000, np.uint8)
        kinds[list(map(ord, script.leads(space)))] = _LEAD
        for kind, body in ((_MARK, script.marks), (_LETTER, script.letters)):
            kinds[list(script.code_points(body))] = kind
        assert NATIVE is not None
        self.counter: Any = NATIVE.Counter(kinds.tobytes(), led, marks, REPEATED_LINE_CHARS)

    def add(self, text: str, source: int) -> None:
        """Count a document."""
        self.counter.add(text, source)

    def finish(self) -> tuple[Codes, npt.NDArray[np.uint32]]:
        """Distinct runs in the order in which they came."""
        codes, entries = self.counter.finish()
        return np.frombuffer(codes, np.uint32), np.frombuffer(entries, np.uint32).reshape(-1, 3)


def make_runs(counter: RunCounter, facts: Sequence[Source], documents: int) -> Runs:
    """What a counter counted, in rows, with what is known of its sources."""
    codes, entries = counter.finish()
    n = int((codes == GAP).sum())
    order = np.argsort(entries[:, 0], kind="stable")
    starts = np.searchsorted(entries[order, 0], np.arange(n + 1)).astype(np.uint32)
    return Runs(
        codes, np.arange(n), starts, entries[order, 1], entries[order, 2], tuple(facts), documents
    )


def _new_lines(text: str, seen: set[bytes]) -> str:
    """The text without its long lines that stood somewhere before."""
    kept = []
    for line in text.split("\n"):
        if len(line) >= REPEATED_LINE_CHARS:
            data = line.encode("utf-8", "surrogatepass")
            digest = hashlib.blake2b(data, digest_size=8).digest()
            if digest in seen:
                continue
            seen.add(digest)
        kept.append(line)
    return "\n".join(kept)
