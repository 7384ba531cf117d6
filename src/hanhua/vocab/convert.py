"""A SentencePiece BPE model as a tokenizer of the tokenizers library, id by id the same.

SentencePiece rewrites the text, cuts out what the user defined as tokens, and joins any two
neighbours whose concatenation is a piece; each of the three has its exact counterpart here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import Any

from sentencepiece import sentencepiece_model_pb2 as spm
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

SPACE = "▁"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6


def all_splits(pieces: list[tuple[str, float]], ids: dict[str, int]) -> list[tuple[str, str]]:
    """Every way to merge each piece from two others, best score first.

    SentencePiece joins any two neighbours whose concatenation is a piece, so each split must be
    a merge. Among equal scores the ids of the parts decide.
    """
    found = [
        (-score, ids[piece[:cut]], ids[piece[cut:]], piece[:cut], piece[cut:])
        for piece, score in pieces
        for cut in range(1, len(piece))
        if piece[:cut] in ids and piece[cut:] in ids
    ]
    found.sort()
    return [(left, right) for *_, left, right in found]


def convert(proto: spm.ModelProto, add_bos: bool, beside: Set[str] = frozenset()) -> Tokenizer:
    """A SentencePiece BPE model as a tokenizer of the tokenizers library, id by id the same.

    Args:
        proto: the model; its pieces' scores must rank the merges.
        add_bos: begin every encoded text with the model's BOS token.
        beside: user-defined tokens that transformers added beside the model: they are matched
            before all else, as they were in the base.
    """
    vocabulary = {piece.piece: i for i, piece in enumerate(proto.pieces)}
    normal = {p.piece: i for i, p in enumerate(proto.pieces) if p.type == NORMAL}
    merges = all_splits([(p.piece, p.score) for p in proto.pieces if p.piece in normal], normal)
    unknown = next((p.piece for p in proto.pieces if p.type == UNKNOWN), None)
    alone = _cut_alone(proto, beside)
    tokenizer = Tokenizer(
        models.BPE(
            vocabulary, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True,
            ignore_merges=any(len(piece) > 1 for piece in alone),
        )
    )  # fmt: skip
    prefix = proto.normalizer_spec.add_dummy_prefix
    tokenizer.normalizer = normalizers.Sequence(
        [*_rewriting(proto, alone), *([normalizers.Prepend(SPACE)] if prefix else []),
         normalizers.Replace(" ", SPACE)]
    )  # fmt: skip
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(steps + ([decoders.Strip(" ", 1, 0)] if prefix else []))
    bos = proto.trainer_spec.bos_id
    if add_bos and 0 <= bos < len(proto.pieces):
        name = proto.pieces[bos].piece
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{name}:0 $A:0",
            pair=f"{name}:0 $A:0 {name}:1 $B:1",
            special_tokens=[(name, bos)],
        )
    tokenizer.add_special_tokens(
        [AddedToken(p.piece, special=True, normalized=False) for p in proto.pieces
         if p.type in (UNKNOWN, CONTROL)]
    )  # fmt: skip
    if alone:
        longest_first = sorted(alone, key=len, reverse=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Split(
            Regex("|".join(map(re.escape, longest_first))), "isolated"
        )
    tokenizer.add_tokens(
        [AddedToken(p.piece.replace(SPACE, " "), special=False, normalized=False)
         for p in proto.pieces if p.type == USER_DEFINED and p.piece not in alone]
    )  # fmt: skip
    return tokenizer


def _rewriting(proto: spm.ModelProto, alone: Sequence[str]) -> list[normalizers.Normalizer]:
    """How the model rewrites text (Baichuan: NFKC), but for what the user defined as tokens.

    SentencePiece leaves those as they are. Here they hide in the private use area meanwhile.
    """
    charsmap = proto.normalizer_spec.precompiled_charsmap
    if not charsmap:
        return []
    rewrite = normalizers.Precompiled(charsmap)
    kept = [c for c in alone if rewrite.normalize_str(c) != c]
    hidden = [chr(0xF0000 + i) for i in range(len(kept))]
    hide = [normalizers.Replace(c, h) for c, h in zip(kept, hidden, strict=True)]
    show = [normalizers.Replace(h, c) for c, h in zip(kept, hidden, strict=True)]
    return [*hide, rewrite, *show]


def _cut_alone(proto: spm.ModelProto, beside: Set[str]) -> list[str]:
    """What a user defined as tokens (Baichuan: digits, marks, line ends, HTML tags).

    They are cut out of text that has its leading space already. An added token would not do: it
    cuts before the text is normalised, and what follows it would get a leading space of its own.
    """
    if not proto.normalizer_spec.add_dummy_prefix:
        return []
    defined = [p.piece for p in proto.pieces if p.type == USER_DEFINED]
    return [piece for piece in defined if not {piece, piece.replace(SPACE, " ")} & beside]


def added_beside(backend: Tokenizer) -> set[str]:
    """The tokens of :func:`convert`'s ``beside``, read off its result."""
    found = backend.get_added_tokens_decoder().values()
    return {token.content for token in found if not token.special}


def spell(backend: Tokenizer, written: str) -> list[Any]:
    """The tokens that merges make of a piece as the vocabulary writes it.

    Where whole words are looked up before merging (``ignore_merges``), any piece would be found;
    inside a longer word only merges find it, so only they count.
    """
    model = backend.model
    looks_up, model.ignore_merges = model.ignore_merges, False
    try:
        return list(model.tokenize(written))
    finally:
        model.ignore_merges = looks_up
