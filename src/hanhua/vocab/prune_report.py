"""What pruning kept and lost: every line of the text encoded before and after, and the pieces gone.

The promise is proved by how pieces are chosen; here it is checked, by programs that took no part
in choosing: the tokenizers library on documents and lines, SentencePiece on lines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer

from hanhua.core.progress import Progress, Silent
from hanhua.text.document import Document
from hanhua.text.scripts import FIRST_SCRIPT, OTHER, SCRIPTS, class_table, code_points
from hanhua.vocab.family import byte_letters
from hanhua.vocab.tokenizer import TokenizerFiles

NAMED = ("latin", "cyrillic", "han", "hangul", "kana", "arabic")
"""Scripts that are counted apart; every other is "other"."""
KINDS = (*NAMED, "other", "mixed", "marks", "bytes")
"""What :func:`script_of_piece` tells apart."""

_BYTES = {letter: code for code, letter in enumerate(byte_letters())}
_BATCH_DOCS = 128
_EXAMPLES = 12
_LINE_CHARS = 200


@dataclass(slots=True)
class Tally:
    """One source's documents, lines and tokens before and after."""

    documents: int = 0
    chars: int = 0
    lines: int = 0
    changed_lines: int = 0
    changed_documents: int = 0
    before: int = 0
    after: int = 0

    def row(self) -> dict[str, Any]:
        """For the report: counts, and tokens per character."""
        rates = {
            when: round(getattr(self, when) / self.chars, 6) if self.chars else 0.0
            for when in ("before", "after")
        }
        return {
            "documents": self.documents, "chars": self.chars, "lines_checked": self.lines,
            "changed_lines": self.changed_lines, "changed_documents": self.changed_documents,
            "changed_line_rate": round(self.changed_lines / self.lines, 6) if self.lines else 0.0,
            "tokens_before": self.before, "tokens_after": self.after, "tokens_per_char": rates,
        }  # fmt: skip


@dataclass(slots=True)
class Compared:
    """Text under the old and the new tokenizer.

    Args:
        sources: tallies by source.
        spm_lines: lines that SentencePiece encoded as well.
        spm_changed: of these, those whose ids are not the old ones renumbered.
        spm_differs: lines on which SentencePiece and tokenizer.json disagree, before and after.
        examples: the first lines whose tokens changed.
    """

    sources: dict[str, Tally] = field(default_factory=dict)
    spm_lines: int = 0
    spm_changed: int = 0
    spm_differs: dict[str, int] = field(default_factory=lambda: {"before": 0, "after": 0})
    examples: list[str] = field(default_factory=list)

    @property
    def total(self) -> Tally:
        """All sources together."""
        rows = list(self.sources.values())
        return Tally(*(sum(getattr(row, name) for row in rows) for name in Tally.__slots__))

    @property
    def changed(self) -> int:
        """Lines and documents whose tokens changed, under either program."""
        total = self.total
        return total.changed_lines + total.changed_documents + self.spm_changed


class _Side:
    """One tokenizer, as both programs run it."""

    def __init__(self, files: TokenizerFiles, ids: Sequence[int | None] | None) -> None:
        self.backend: Tokenizer = files.backend
        self.ids = ids
        self.spm = None
        if files.proto is not None:
            self.spm = SentencePieceProcessor(model_proto=files.proto.SerializeToString())

    def encode(self, texts: list[str]) -> list[list[int | None]]:
        batch = self.backend.encode_batch_fast(texts, add_special_tokens=False)
        return [self._renumbered(encoding.ids) for encoding in batch]

    def encode_spm(self, texts: list[str]) -> list[list[int | None]]:
        assert self.spm is not None
        return [self._renumbered(ids) for ids in self.spm.encode(texts)]

    def _renumbered(self, ids: list[int]) -> list[int | None]:
        return list(ids) if self.ids is None else list(map(self.ids.__getitem__, ids))


def compare(
    before: TokenizerFiles,
    after: TokenizerFiles,
    ids: Sequence[int | None],
    documents: Iterable[Document],
    progress: Progress | None = None,
) -> Compared:
    """Encode documents, and their lines alone, with both tokenizers; old ids are renumbered.

    Args:
        before: the base.
        after: the pruned tokenizer.
        ids: for each old id the new one, or None.
        documents: any text; what it is counted under is its source.
        progress: shows the characters.
    """
    old, new = _Side(before, ids), _Side(after, None)
    found = Compared()
    stream = iter(documents)
    with (progress or Silent()).bar("comparing", None, "char") as bar:
        while batch := list(islice(stream, _BATCH_DOCS)):
            _compare_batch(old, new, batch, found)
            bar.advance(sum(len(document.text) for document in batch))
    return found


def _compare_batch(old: _Side, new: _Side, batch: list[Document], found: Compared) -> None:
    texts = [document.text for document in batch]
    for document, one, two in zip(batch, old.encode(texts), new.encode(texts), strict=True):
        tally = found.sources.setdefault(document.source, Tally())
        tally.documents += 1
        tally.chars += len(document.text)
        tally.before += len(one)
        tally.after += len(two)
        tally.changed_documents += one != two
    lines = [(d.source, line) for d in batch for line in d.text.split("\n") if line]
    texts = [line for _, line in lines]
    ones, twos = old.encode(texts), new.encode(texts)
    for (source, line), one, two in zip(lines, ones, twos, strict=True):
        found.sources[source].lines += 1
        if one != two:
            found.sources[source].changed_lines += 1
            if len(found.examples) < _EXAMPLES:
                found.examples.append(line[:_LINE_CHARS])
    if new.spm is not None:
        _compare_spm(old, new, texts, (ones, twos), found)


def _compare_spm(
    old: _Side,
    new: _Side,
    lines: list[str],
    fast: tuple[list[list[int | None]], list[list[int | None]]],
    found: Compared,
) -> None:
    ones, twos = old.encode_spm(lines), new.encode_spm(lines)
    found.spm_lines += len(lines)
    found.spm_changed += sum(a != b for a, b in zip(ones, twos, strict=True))
    for when, ours, theirs in zip(("before", "after"), fast, (ones, twos), strict=True):
        found.spm_differs[when] += sum(a != b for a, b in zip(ours, theirs, strict=True))


def piece_text(piece: str, byte_level: bool) -> str | None:
    """A piece as a reader writes it; None for bytes that are no whole characters."""
    if not byte_level:
        return None if re.fullmatch(r"<0x[0-9A-F]{2}>", piece) else piece.replace("▁", " ")
    try:
        return bytes(_BYTES[letter] for letter in piece).decode()
    except (KeyError, UnicodeDecodeError):
        return None


def script_of_piece(piece: str, byte_level: bool) -> str:
    """The script of a piece's letters.

    Returns:
        One of :data:`KINDS`: "other" is another script, "mixed" several, "marks" are pieces
        without letters (digits, punctuation, spaces), "bytes" parts of characters.
    """
    text = piece_text(piece, byte_level)
    if text is None:
        return "bytes"
    classes = {int(c) for c in class_table().take(code_points(text))}
    scripts = {
        SCRIPTS[c - FIRST_SCRIPT] if c >= FIRST_SCRIPT else "" for c in classes if c >= OTHER
    }
    if len(scripts) > 1:
        return "mixed"
    name = scripts.pop() if scripts else "marks"
    return name if name in (*NAMED, "marks") else "other"


def dropped_pieces(
    tokens: Mapping[int, str], dropped: Iterable[int], byte_level: bool
) -> dict[str, dict[str, Any]]:
    """Pieces that went, by script, with examples from the lowest ids, which were the commonest."""
    before = Counter(script_of_piece(token, byte_level) for token in tokens.values())
    gone: dict[str, list[str]] = {}
    for index in sorted(dropped):
        gone.setdefault(script_of_piece(tokens[index], byte_level), []).append(tokens[index])
    return {
        script: {
            "before": before[script],
            "dropped": len(pieces),
            "examples": list(_shown(pieces, byte_level)),
        }
        for script, pieces in sorted(gone.items())
    }


def _shown(pieces: Sequence[str], byte_level: bool) -> Iterator[str]:
    for piece in pieces[:_EXAMPLES]:
        text = piece_text(piece, byte_level)
        yield piece if text is None else text
