"""What was written, read back as others will read it, and held against its promises."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import sentencepiece
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from hanhua.text.document import Document
from hanhua.vocab.convert import SPACE, spell
from hanhua.vocab.extend import Extended
from hanhua.vocab.family import Family
from hanhua.vocab.script import Script
from hanhua.vocab.tokenizer import TokenizerFiles

_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts of what is wrong; all but ``lines`` should be 0.

    Args:
        lines: lines encoded with every reader.
        dead_pieces: new pieces whose own text doesn't encode to their id alone.
        reload_differences: lines that the reloaded tokenizer encodes otherwise than the one made.
        sentencepiece_differences: lines that tokenizer.model encodes otherwise; None without one.
        base_sentencepiece_differences: the same of the base, whose scores may tie (pieces that a
            project appended with score 0): today's tokenizers can't follow such a model exactly.
        not_lossless: lines that don't decode to themselves.
    """

    lines: int
    dead_pieces: int
    reload_differences: int
    sentencepiece_differences: int | None
    base_sentencepiece_differences: int | None
    not_lossless: int


def verify(folder: Path, family: Family, extended: Extended, lines: Sequence[str]) -> Verdict:
    """Read a tokenizer folder back and compare.

    Lines that spell a special token are left out, as their readers differ on purpose
    (SentencePiece takes ``<s>`` in text as text), and so are lines with ▁, which SentencePiece
    can't tell from a space.
    """
    reloaded = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    special = tuple(t.content for t in reloaded.get_added_tokens_decoder().values())
    lines = [line for line in lines if SPACE not in line and not any(s in line for s in special)]
    ids = _encode(reloaded, lines)
    made = _encode(extended.files.backend, lines)
    found = (
        {p.id for p in extended.pieces if _spelt(family, p.piece, reloaded) != [p.id]}
        if hasattr(reloaded.model, "tokenize")
        else set()
    )
    return Verdict(
        lines=len(lines),
        dead_pieces=len(found),
        reload_differences=sum(a != b for a, b in zip(ids, made, strict=True)),
        sentencepiece_differences=_sentencepiece(extended.files, lines, ids),
        base_sentencepiece_differences=_sentencepiece(
            family.files, lines, _encode(family.files.backend, lines)
        ),
        not_lossless=sum(
            text != line for text, line in zip(reloaded.decode_batch(ids), lines, strict=True)
        ),
    )


def _encode(tokenizer: Tokenizer, lines: Sequence[str]) -> list[list[int]]:
    return [e.ids for e in tokenizer.encode_batch_fast(list(lines), add_special_tokens=False)]


def _spelt(family: Family, piece: str, tokenizer: Tokenizer) -> list[int]:
    """The ids of a piece's own text; a half character of byte-level BPE is spelt as it is."""
    written = piece if tokenizer.token_to_id(piece) is not None else family.written(piece)
    return [token.id for token in spell(tokenizer, written)]


def _sentencepiece(
    files: TokenizerFiles, lines: Sequence[str], ids: Sequence[list[int]]
) -> int | None:
    if files.proto is None:
        return None
    processor = sentencepiece.SentencePieceProcessor(model_proto=files.proto.SerializeToString())
    found = 0
    for start in range(0, len(lines), _BATCH):
        part = processor.encode(list(lines[start : start + _BATCH]))
        found += sum(a != b for a, b in zip(part, ids[start : start + _BATCH], strict=True))
    return found


def compare_plain(
    before: Tokenizer, after: Tokenizer, documents: Iterable[Document], script: Script, most: int
) -> tuple[int, int]:
    """Lines without any character of the target, and how many of them have other ids now."""
    lines = changed = 0
    for batch in _plain_lines(documents, script, most):
        lines += len(batch)
        pairs = zip(_encode(before, batch), _encode(after, batch), strict=True)
        changed += sum(a != b for a, b in pairs)
    return lines, changed


def _plain_lines(documents: Iterable[Document], script: Script, most: int) -> Iterator[list[str]]:
    own = script.own
    every = (
        line
        for document in documents
        for line in document.text.split("\n")
        if line.strip() and not own.search(line)
    )
    stream = islice(every, most)
    while batch := list(islice(stream, _BATCH)):
        yield batch
