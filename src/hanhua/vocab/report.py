"""What the new pieces save, measured on held-out text that they were not learnt from.

Everything is counted over whole documents without BOS. "Letters" are characters of the target's
own script: for Chinese, tokens per letter are tokens per Chinese character.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tokenizers import Tokenizer

from hanhua.text.document import Document
from hanhua.vocab.extend import Extended, Piece
from hanhua.vocab.family import Family
from hanhua.vocab.script import Script

WHEN = ("before", "after")
_BATCH_DOCS = 256
_LISTED = 20
_EXAMPLES = 5
_EXAMPLE_CHARS = 60


@dataclass(slots=True)
class Tally:
    """Counts over some documents; tokens under both tokenizers."""

    documents: int = 0
    chars: int = 0
    letters: int = 0
    bytes: int = 0
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WHEN, 0))

    def rate(self, of: str) -> dict[str, float]:
        """Tokens per ``chars`` or ``letters`` before and after.

        Empty where these are less than a tenth of the text: English tokens per stray Chinese
        character would be a number without a meaning.
        """
        amount = getattr(self, of)
        if amount == 0 or amount * 10 < self.chars:
            return {}
        return {when: self.tokens[when] / amount for when in WHEN}

    def bytes_per_token(self) -> dict[str, float]:
        """UTF-8 bytes per token before and after; empty where there is no text."""
        return {when: self.bytes / self.tokens[when] for when in WHEN if self.tokens[when]}


@dataclass(slots=True)
class Measured:
    """One language's held-out text.

    Args:
        total: all documents.
        sources: the same by source.
        used: how often each id was used after.
        letters: how often each letter of the target occurs.
        lines: lines without any character of the target.
        changed: those whose ids are others now; must be 0.
        examples: the first lines with a letter of the target, cut into tokens.
    """

    total: Tally = field(default_factory=Tally)
    sources: dict[str, Tally] = field(default_factory=dict)
    used: Counter[int] = field(default_factory=Counter)
    letters: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    changed: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)


def _ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    batch = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [encoding.ids for encoding in batch]


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    stream = iter(documents)
    while batch := list(islice(stream, _BATCH_DOCS)):
        yield batch


def measure(
    before: Tokenizer, after: Tokenizer, documents: Iterable[Document], script: Script
) -> Measured:
    """Encode the held-out documents of one language with both tokenizers and count."""
    found = Measured()
    for batch in _batches(documents):
        old, new = (_ids(tokenizer, [d.text for d in batch]) for tokenizer in (before, after))
        for document, one, two in zip(batch, old, new, strict=True):
            letters = Counter(script.letter.findall(document.text))
            found.letters.update(letters)
            found.used.update(two)
            tallies = (found.total, found.sources.setdefault(document.source, Tally()))
            for tally in tallies:
                _count(tally, document.text, letters.total(), len(one), len(two))
        _compare_lines(before, after, batch, script, found)
    return found


def _count(tally: Tally, text: str, letters: int, before: int, after: int) -> None:
    tally.documents += 1
    tally.chars += len(text)
    tally.letters += letters
    tally.bytes += len(text.encode())
    tally.tokens["before"] += before
    tally.tokens["after"] += after


def _compare_lines(
    before: Tokenizer, after: Tokenizer, batch: list[Document], script: Script, found: Measured
) -> None:
    """Lines that hold nothing of the target's must keep their ids; others show what is gained."""
    lines = [line for document in batch for line in document.text.split("\n") if line.strip()]
    own = script.own
    plain = [line for line in lines if not own.search(line)]
    found.lines += len(plain)
    pairs = zip(_ids(before, plain), _ids(after, plain), strict=True)
    found.changed += sum(one != two for one, two in pairs)
    for line in lines:
        if len(found.examples) < _EXAMPLES and script.letter.search(line):
            text = line.strip()[:_EXAMPLE_CHARS]
            found.examples.append({"text": text, **_cut(before, after, text)})


def _cut(before: Tokenizer, after: Tokenizer, text: str) -> dict[str, list[str]]:
    return {
        when: tokenizer.encode(text, add_special_tokens=False).tokens
        for when, tokenizer in zip(WHEN, (before, after), strict=True)
    }


def build_report(
    family: Family, extended: Extended, measured: Mapping[str, Measured]
) -> dict[str, Any]:
    """Everything measured, as ``report.json``: totals, sources, pieces, coverage, examples."""
    used: Counter[int] = Counter()
    letters: Counter[str] = Counter()
    for found in measured.values():
        used.update(found.used)
        letters.update(found.letters)
    figures = metrics(extended, measured)
    return {
        "pieces_added": figures["added"],
        "changed_lines": figures["english_ids_changed"]["changed"],
        "lines_checked": figures["english_ids_changed"]["lines"],
        "tokens_per_char": {
            name: {when: round(value, 6) for when, value in tally.rate("chars").items()}
            for code in sorted(measured)
            for name, tally in sorted(measured[code].sources.items())
        },
        "metrics": figures,
        "sources": [row for code in sorted(measured) for row in _sources(code, measured[code])],
        "pieces": describe(extended.pieces, used),
        "coverage": coverage(family, extended, letters),
        "dropped": extended.dropped,
        "learnt_from": {
            "chars": extended.runs.chars,
            "documents": extended.runs.documents,
            "distinct_runs": len(extended.runs.texts),
        },
        "examples": {code: measured[code].examples for code in sorted(measured)},
    }


def metrics(extended: Extended, measured: Mapping[str, Measured]) -> dict[str, Any]:
    """The few numbers for the record."""

    def by_when(rates: Callable[[Tally], Mapping[str, float]]) -> dict[str, dict[str, float]]:
        found = {code: rates(m.total) for code, m in sorted(measured.items())}
        return {
            when: {code: round(r[when], 6) for code, r in found.items() if when in r}
            for when in WHEN
        }

    return {
        "added": len(extended.files.fast()) - extended.base_tokens,
        "tokens_per_char": by_when(lambda tally: tally.rate("chars")),
        "tokens_per_letter": by_when(lambda tally: tally.rate("letters")),
        "bytes_per_token": by_when(Tally.bytes_per_token),
        "english_ids_changed": {
            "lines": sum(m.lines for m in measured.values()),
            "changed": sum(m.changed for m in measured.values()),
        },
    }


def _sources(code: str, found: Measured) -> Iterator[dict[str, Any]]:
    for name, tally in sorted(found.sources.items()):
        rate = {when: round(value, 6) for when, value in tally.rate("chars").items()}
        yield {"source": name, "language": code, "chars": tally.chars, **rate}


def describe(pieces: Sequence[Piece], used: Mapping[int, int]) -> dict[str, Any]:
    """The pieces at a glance: sizes, the most and least used, the longest."""
    by_use = sorted(pieces, key=lambda p: (-used.get(p.id, 0), p.id))
    lengths = Counter(len(piece.piece) for piece in pieces)
    longest = sorted(pieces, key=lambda p: (-len(p.piece), p.id))
    return {
        "single_characters": lengths[1],
        "by_chars": {str(length): lengths[length] for length in sorted(lengths)},
        "unused_in_held_out": sum(not used.get(p.id) for p in pieces),
        "most_used": [[p.piece, used.get(p.id, 0)] for p in by_use[:_LISTED]],
        "least_counted": [
            [p.piece, p.count] for p in sorted(pieces, key=lambda p: (p.count, p.id))[:_LISTED]
        ],
        "longest": [[p.piece, p.count] for p in longest[:_LISTED]],
        "repeating": [
            [p.piece, p.count] for p in pieces if len(p.piece) > 2 and len(set(p.piece)) == 1
        ][:_LISTED],
    }


def coverage(
    family: Family, extended: Extended, letters: Mapping[str, int]
) -> dict[str, float | int]:
    """The share of letters in running text that are one token, before and after."""
    total = sum(letters.values())
    found: dict[str, float | int] = {"letters": total, "distinct_letters": len(letters)}
    for when, files in zip(WHEN, (family.files, extended.files), strict=True):
        model = files.backend.model
        whole = sum(
            count for c, count in letters.items() if len(model.tokenize(family.written(c))) == 1
        )
        found[when] = round(whole / total, 6) if total else 0.0
    return found
