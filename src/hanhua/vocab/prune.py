"""Drop the pieces that the kept languages never use: the same tokens, with fewer ids.

A piece goes when no merge into it was applied anywhere in the text; see
:mod:`hanhua.vocab.prune_trace` for why the text's segmentation can't change then. What is no
product of merges stays whatever the text says: bytes (so that every text still encodes), special
and user-defined tokens and, unless told otherwise, single characters. So do the pieces on the way
to those that were asked for by name or script, and those of the chat template. Ids close up in
their old order, so that ties which ids decide are decided as before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tokenizers import Tokenizer

from hanhua.core.errors import InputError
from hanhua.core.progress import Progress
from hanhua.text.document import Document
from hanhua.vocab.convert import NORMAL, added_beside, convert
from hanhua.vocab.family import byte_letters, family_of
from hanhua.vocab.prune_kinds import kind_of, merge_pair
from hanhua.vocab.prune_report import KINDS, script_of_piece
from hanhua.vocab.prune_trace import replay, used_pieces
from hanhua.vocab.tokenizer import SPECIALS, TokenizerFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What stays although the text doesn't use it.

    Args:
        characters: every SentencePiece piece of one character; without it such a character is
            spelt in bytes, unless the text has it.
        scripts: all pieces of these scripts, e.g. ("latin",); "marks" for pieces without letters.
        pieces: single pieces, as the vocabulary spells them.
        ids: single ids, e.g. those that a config.json names.
    """

    characters: bool = True
    scripts: tuple[str, ...] = ()
    pieces: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pruned:
    """A tokenizer with fewer pieces.

    Args:
        files: the tokenizer.
        ids: for each old id the new one, or None.
        counts: how often each old id came to be in the text.
        units: distinct stretches of text that were looked at.
    """

    files: TokenizerFiles
    ids: list[int | None]
    counts: list[int]
    units: int

    @property
    def kept(self) -> list[int]:
        """Old ids in the order of the new."""
        return [old for old, new in enumerate(self.ids) if new is not None]


def prune_tokenizer(
    files: TokenizerFiles,
    documents: Iterable[Document],
    keep: Keep | None = None,
    min_count: int = 1,
    progress: Progress | None = None,
) -> Pruned:
    """Drop the pieces that came to be less than ``min_count`` times in the documents.

    Args:
        files: SentencePiece BPE with byte fallback or byte-level BPE.
        documents: the text to keep, read once.
        keep: what stays in any case.
        min_count: with 1 no token of the text changes; with more, those made of rare pieces do.
        progress: shows what is being done.

    Raises:
        InputError: no text.
        ModelError: a tokenizer of another kind.
    """
    family_of(files)  # refuses other kinds in words of its own
    keep = keep or Keep()
    kind = kind_of(files)
    used = used_pieces(kind, documents, progress)
    if not used.chars:
        raise InputError(
            "There is no text to keep pieces for.", where="texts", found="0 characters",
            fix="give text of the languages that the model must go on speaking",
        )  # fmt: skip
    tokens = {i: text for text, i in files.backend.get_vocab(with_added_tokens=True).items()}
    fixed = _fixed(files, keep)
    wanted = _wanted(files, tokens, keep)
    way = replay(kind, [dict.fromkeys([*wanted, *kind.words(files.chat_template or "")], 1)]).counts
    stay = {
        i for i in tokens
        if i in fixed or used.counts[i] >= min_count or way[i] or tokens[i] in wanted
    }  # fmt: skip
    pruned = _cut(files, stay, kind.size)
    if min_count > 1:
        pruned, stay = _without_dead(files, pruned, tokens, stay, fixed)
    return Pruned(pruned, _closed_up(stay, kind.size), used.counts, used.units)


def _closed_up(stay: Iterable[int], size: int) -> list[int | None]:
    new = {old: i for i, old in enumerate(sorted(stay))}
    return [new.get(old) for old in range(size)]


def _fixed(files: TokenizerFiles, keep: Keep) -> set[int]:
    """Ids that are no product of merges, or that somebody calls by name."""
    fixed = set(keep.ids) | set(files.backend.get_added_tokens_decoder())
    names = [files.settings[key] for key in SPECIALS if key in files.settings]
    if files.proto is not None:
        for i, piece in enumerate(files.proto.pieces):
            if piece.type != NORMAL or (keep.characters and len(piece.piece) == 1):
                fixed.add(i)
    else:
        names += [*byte_letters(), files.backend.model.unk_token]
    found = [files.backend.token_to_id(name) for name in names if name]
    return fixed | {i for i in found if i is not None}


def _wanted(files: TokenizerFiles, tokens: Mapping[int, str], keep: Keep) -> set[str]:
    """Pieces that are kept by name or by script, as the vocabulary spells them."""
    known = set(tokens.values())
    missing = [piece for piece in keep.pieces if piece not in known]
    if missing:
        raise InputError(
            "A piece to keep is not in the vocabulary.", where="keep.pieces", found=missing[:8],
            fix="spell pieces as the vocabulary does, e.g. ▁the (SentencePiece) or Ġthe",
        )  # fmt: skip
    unknown = set(keep.scripts) - set(KINDS)
    if unknown:
        raise InputError(
            "No script of that name is told apart.", where="keep.scripts",
            found=", ".join(sorted(unknown)), fix=f"choose from {', '.join(KINDS)}",
        )  # fmt: skip
    wanted = set(keep.pieces)
    if keep.scripts:
        byte_level = files.proto is None
        wanted |= {t for t in known if script_of_piece(t, byte_level) in keep.scripts}
    return wanted


def _without_dead(
    files: TokenizerFiles,
    pruned: TokenizerFiles,
    tokens: Mapping[int, str],
    stay: set[int],
    fixed: set[int],
) -> tuple[TokenizerFiles, set[int]]:
    """Leave out what lost its last way: each part was rare though their product was not."""
    old = files.backend.model
    alive = {i for i in stay - fixed if _reached(old, tokens[i])}
    while dead := {i for i in alive & stay if not _reached(pruned.backend.model, tokens[i])}:
        stay = stay - dead
        pruned = _cut(files, stay, max(tokens) + 1)
    return pruned, stay


def _reached(model: Any, piece: str) -> bool:
    return [token.value for token in model.tokenize(piece)] == [piece]


def _cut(files: TokenizerFiles, stay: set[int], size: int) -> TokenizerFiles:
    """The tokenizer without the other pieces and without the merges that they have part in."""
    ids = _closed_up(stay, size)
    cut = _cut_bytes if files.proto is None else _cut_sentencepiece
    return cut(files, ids)


def _cut_sentencepiece(files: TokenizerFiles, ids: Sequence[int | None]) -> TokenizerFiles:
    assert files.proto is not None
    proto = type(files.proto)()
    proto.CopyFrom(files.proto)
    del proto.pieces[:]
    proto.pieces.extend(
        p for p, new in zip(files.proto.pieces, ids, strict=True) if new is not None
    )
    trainer = proto.trainer_spec
    trainer.vocab_size = len(proto.pieces)
    for name in ("unk_id", "bos_id", "eos_id", "pad_id"):
        old = getattr(trainer, name)
        if 0 <= old < len(ids):  # -1: there is none
            setattr(trainer, name, ids[old])
    backend = convert(proto, files.backend.post_processor is not None, added_beside(files.backend))
    return replace(files, backend=backend, proto=proto)


def _cut_bytes(files: TokenizerFiles, ids: Sequence[int | None]) -> TokenizerFiles:
    raw = json.loads(files.backend.to_str())
    model = raw["model"]
    kept = {text: ids[old] for text, old in model["vocab"].items() if ids[old] is not None}
    model["vocab"] = kept
    model["merges"] = [
        [left, right]
        for left, right in map(merge_pair, model["merges"])
        if left in kept and right in kept and left + right in kept
    ]
    for token in raw["added_tokens"]:
        token["id"] = ids[token["id"]]
    if raw.get("padding"):
        raw["padding"]["pad_id"] = ids[raw["padding"]["pad_id"]]
    _renumber(raw["post_processor"], ids)
    backend = Tokenizer.from_str(json.dumps(raw, ensure_ascii=False))
    return replace(files, backend=backend)


def _renumber(processor: dict[str, Any] | None, ids: Sequence[int | None]) -> None:
    """The ids inside a post-processor: those that a template adds, or BERT's pair."""
    if processor is None:
        return
    for inner in processor.get("processors", ()):
        _renumber(inner, ids)
    for token in processor.get("special_tokens", {}).values():
        token["ids"] = [ids[i] for i in token["ids"]]
    for name in ("sep", "cls"):
        if name in processor:
            content, old = processor[name]
            processor[name] = [content, ids[old]]
