"""Two kinds of BPE base, seen alike: how they write text, what they know, how they take pieces.

SentencePiece knows characters and ranks pieces by score; byte-level BPE knows bytes and lists its
merges. Neither gets ``added_tokens``: those are matched before BPE, eat spaces and slow loading.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from tokenizers import Tokenizer

from hanhua.core.errors import ModelError
from hanhua.vocab.convert import NORMAL, SPACE, added_beside, convert, spell
from hanhua.vocab.script import Script
from hanhua.vocab.symbols import Alphabet, Learnt
from hanhua.vocab.tokenizer import TokenizerFiles


class Family(Protocol):
    """A base tokenizer that pieces can be added to."""

    @property
    def files(self) -> TokenizerFiles:
        """The base's tokenizer."""

    @property
    def space(self) -> str:
        """How pieces write a space."""

    @property
    def cuts(self) -> bool:
        """Whether :meth:`split` ever cuts."""

    def prepare(self, text: str) -> str:
        """A whole document as the pieces write it."""

    def split(self, run: str) -> Iterator[str]:
        """A run, cut where the base never merges across."""

    def written(self, piece: str) -> str:
        """A piece as the vocabulary spells it."""

    def alphabet(self, characters: Iterable[str], script: Script) -> Alphabet:
        """What the base knows of these characters."""

    def fit(self, pieces: Sequence[Learnt], number: int) -> list[Learnt]:
        """Those of the pieces, the first ones first, that ``number`` ids have room for."""

    def extend(self, pieces: Sequence[Learnt], number: int) -> tuple[TokenizerFiles, list[Learnt]]:
        """The tokenizer with ``number`` more ids, and the pieces that were taken for them."""


def family_of(files: TokenizerFiles, where: object = None) -> Family:
    """The kind of a tokenizer.

    Raises:
        ModelError: when pieces can't be added to this kind.
    """
    if files.proto is not None:
        return SentencePieceFamily(files)
    found = json.loads(files.backend.to_str())
    model, split = found["model"], json.dumps(found["pre_tokenizer"])
    if model["type"] == "BPE" and '"ByteLevel"' in split and not model.get("byte_fallback"):
        return ByteFamily(files, found)
    raise ModelError(
        "Pieces can't be added to this kind of tokenizer yet.",
        where=None if where is None else str(where),
        found=f"{model['type']} without tokenizer.model and without byte-level text",
        fix="choose a base with a SentencePiece tokenizer.model or a byte-level tokenizer.json, or "
        "set `vocab: null` to keep its vocabulary",
    )


@dataclass(frozen=True, slots=True)
class SentencePieceFamily:
    """LLaMA 1 and 2, Mistral: pieces with scores; any two neighbours that spell a piece join."""

    files: TokenizerFiles
    space: str = SPACE
    cuts: bool = False

    def prepare(self, text: str) -> str:
        """Spaces as ▁, one in front where the base puts one: once a document, never once a line."""
        assert self.files.proto is not None
        spec = self.files.proto.normalizer_spec
        if spec.precompiled_charsmap:
            return str(self.files.backend.normalizer.normalize_str(text))
        return (SPACE if spec.add_dummy_prefix else "") + text.replace(" ", SPACE)

    def split(self, run: str) -> Iterator[str]:
        """Nothing is cut: this family merges across everything."""
        yield run

    def written(self, piece: str) -> str:
        """As it is."""
        return piece

    def alphabet(self, characters: Iterable[str], script: Script) -> Alphabet:
        """Pieces of one character are known; others of the script cost a token a byte."""
        assert self.files.proto is not None
        normal = [p for p in self.files.proto.pieces if p.type == NORMAL]
        known = {p.piece for p in normal if len(p.piece) == 1}
        own = script.own
        cost = {c: len(c.encode()) for c in characters if c not in known and own.match(c)}
        longer = sorted((p for p in normal if len(p.piece) > 1), key=lambda p: -p.score)
        return Alphabet(frozenset(known), cost, [p.piece for p in longer])

    def fit(self, pieces: Sequence[Learnt], number: int) -> list[Learnt]:
        """An id a piece."""
        return list(pieces[:number])

    def extend(self, pieces: Sequence[Learnt], number: int) -> tuple[TokenizerFiles, list[Learnt]]:
        """Append pieces: characters first, then merges, each with a lower score than all before.

        Runs of spaces are left out of that floor: LLaMA 2 gives them -1e9, where float32 can't
        tell neighbouring scores apart.
        """
        assert self.files.proto is not None
        taken = sorted(pieces[:number], key=lambda piece: len(piece.piece) > 1)
        proto = type(self.files.proto)()
        proto.CopyFrom(self.files.proto)
        floor = min(p.score for p in proto.pieces if p.type == NORMAL and p.piece.strip(SPACE))
        for i, piece in enumerate(taken):
            proto.pieces.add(piece=piece.piece, score=floor - 1 - i, type=NORMAL)
        proto.trainer_spec.vocab_size = len(proto.pieces)
        backend = convert(proto, False, added_beside(self.files.backend))
        backend.post_processor = self.files.backend.post_processor
        return replace(self.files, backend=backend, proto=proto), taken


def byte_letters() -> list[str]:
    """The character that byte-level BPE writes for each byte (GPT-2's table).

    Printable bytes stand for themselves, the others for 256, 257, ... in order.
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = iter(range(256, 512))
    return [chr(code) if code in plain else chr(next(rest)) for code in range(256)]


_LETTERS = byte_letters()
_BYTES = {letter: code for code, letter in enumerate(_LETTERS)}


@dataclass(frozen=True, slots=True)
class ByteFamily:
    """GPT-2, Llama 3, Qwen: bytes and an explicit list of merges, inside the model's own split."""

    files: TokenizerFiles
    raw: dict[str, Any]
    space: str = " "
    cuts: bool = True

    def prepare(self, text: str) -> str:
        """As the base's own normalizer leaves it."""
        normalizer = self.files.backend.normalizer
        return str(normalizer.normalize_str(text)) if normalizer else text

    def split(self, run: str) -> Iterator[str]:
        """Cut by the base's own regular expression."""
        for _, (start, end) in self.files.backend.pre_tokenizer.pre_tokenize_str(run):
            yield run[start:end]

    def written(self, piece: str) -> str:
        """One letter for each byte."""
        return "".join(_LETTERS[byte] for byte in piece.encode())

    def _tokens(self, piece: str) -> list[str]:
        return [t.value for t in spell(self.files.backend, self.written(piece))]

    def alphabet(self, characters: Iterable[str], script: Script) -> Alphabet:
        """Characters that encode to one token are known; others of the script cost several.

        Each is encoded alone. A base may merge a space with a character's first byte (Qwen), and
        a piece " X" then turns out dead; it is found and replaced when all are verified.
        """
        lengths = {c: len(self._tokens(c)) for c in characters}
        own = script.own
        cost = {c: n for c, n in lengths.items() if n > 1 and own.match(c)}
        longer = [text for text in map(_text, self.raw["model"]["vocab"]) if own.search(text)]
        return Alphabet(frozenset(c for c, n in lengths.items() if n == 1), cost, longer)

    def extend(self, pieces: Sequence[Learnt], number: int) -> tuple[TokenizerFiles, list[Learnt]]:
        """Append merges in the order given."""
        vocab, merges, taken = self._merged(pieces, number)
        raw = {**self.raw, "model": {**self.raw["model"], "vocab": vocab}}
        raw["model"]["merges"] = [list(merge) for merge in merges]
        backend = Tokenizer.from_str(json.dumps(raw, ensure_ascii=False))
        return replace(self.files, backend=backend), taken

    def fit(self, pieces: Sequence[Learnt], number: int) -> list[Learnt]:
        """Half characters take ids too."""
        return self._merged(pieces, number)[2]

    def _merged(
        self, pieces: Sequence[Learnt], number: int
    ) -> tuple[dict[str, int], list[tuple[str, str]], list[Learnt]]:
        """The vocabulary and merges with pieces, and those that found room.

        A character of three tokens needs a merge of its first two as well; that half character
        takes an id of its own, once for all the characters that begin with it.
        """
        vocab: dict[str, int] = dict(self.raw["model"]["vocab"])
        for token in self.raw["added_tokens"]:  # ids behind the vocabulary stay what they are
            vocab.setdefault(token["content"], token["id"])
        size = len(vocab)
        merges = [_pair(merge) for merge in self.raw["model"]["merges"]]
        seen = set(merges)
        taken = []
        for piece in pieces:
            steps = [m for m in self._merges(piece, vocab) if m not in seen]
            if not steps:  # its parts turned out dead, so it would be too
                continue
            new = {left + right for left, right in steps if left + right not in vocab}
            if len(vocab) + len(new) > size + number:
                continue
            for left, right in steps:
                vocab.setdefault(left + right, len(vocab))
                merges.append((left, right))
                seen.add((left, right))
            taken.append(piece)
        return vocab, merges, taken

    def _merges(self, piece: Learnt, vocab: dict[str, int]) -> list[tuple[str, str]]:
        if not piece.parts:
            first, *rest = self._tokens(piece.piece)
            steps = []
            for token in rest:
                steps.append((first, token))
                first += token
            return steps
        text = piece.piece
        cuts = [(self.written(text[:i]), self.written(text[i:])) for i in range(1, len(text))]
        learnt = (self.written(piece.parts[0]), self.written(piece.parts[1]))
        cuts.sort(key=lambda cut: cut != learnt)
        return [cut for cut in cuts if cut[0] in vocab and cut[1] in vocab]


def _text(token: str) -> str:
    """A byte-level token as text; empty where it is no whole characters."""
    try:
        return bytes(_BYTES[letter] for letter in token).decode()
    except (KeyError, UnicodeDecodeError):
        return ""


def _pair(merge: str | Sequence[str]) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right
