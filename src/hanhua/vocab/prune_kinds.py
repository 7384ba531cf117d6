"""How a tokenizer's merges see text: what it starts with, which pairs join, what never meets.

Two kinds are known, SentencePiece BPE and byte-level BPE; replaying merges
(:mod:`hanhua.vocab.prune_trace`) is the same for both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tokenizers import Tokenizer

from hanhua.core.errors import ModelError
from hanhua.vocab.convert import BYTE, NORMAL, SPACE, USER_DEFINED, all_splits
from hanhua.vocab.family import byte_letters
from hanhua.vocab.tokenizer import TokenizerFiles

Table: TypeAlias = dict[int, tuple[int, int]]
"""left * (size + 1) + right -> (priority << 32, result); the lowest priority goes first."""

SHIFT = 32
_CONTINUED = "".join(byte_letters()[0x80:0xC0])


@dataclass(frozen=True, slots=True)
class Kind:
    """A tokenizer as its merges see text.

    Args:
        size: ids are below it; ``size`` itself stands for a symbol without a piece.
        symbols: the ids that text starts with: characters (SentencePiece) or bytes as letters.
        tables: merges, once for each order in which programs apply them.
        joins: ends and beginnings of characters between which a merge exists.
        characters: matches one character as written.
        words: a text in the parts that never share a token, as written.
        whole: pieces taken without merges when a word is just that (``ignore_merges``).
        spelt: the ids of a symbol without a piece.
        plain: the tokenizer to hold the replay against, without ``ignore_merges``.
    """

    size: int
    symbols: Mapping[str, int]
    tables: Sequence[Table]
    joins: frozenset[tuple[str, str]]
    characters: re.Pattern[str]
    words: Callable[[str], list[str]]
    whole: Mapping[str, int]
    spelt: Callable[[str], list[int]]
    plain: Tokenizer


def kind_of(files: TokenizerFiles) -> Kind:
    """The merges of a SentencePiece or byte-level tokenizer (see :func:`family.family_of`)."""
    return _byte_kind(files) if files.proto is None else _sentencepiece_kind(files)


def _table(merges: Iterable[tuple[str, str]], ids: Mapping[str, int], size: int) -> Table:
    table: Table = {}
    for rank, (left, right) in enumerate(merges):
        pair = ids[left] * (size + 1) + ids[right]
        table[pair] = (rank << SHIFT, ids[left + right])  # of two equal merges the last counts
    return table


def _sentencepiece_kind(files: TokenizerFiles) -> Kind:
    """Two orders: tokenizers breaks ties of score by the parts' ids, SentencePiece by place."""
    proto = files.proto
    assert proto is not None
    if proto.normalizer_spec.precompiled_charsmap or files.backend.pre_tokenizer is not None:
        raise ModelError(
            "This SentencePiece model's text can't be followed exactly.", where="tokenizer.model",
            found="it rewrites text or cuts characters out of it",
            fix="prune a base without such rules (LLaMA, Mistral), or extend this one",
        )  # fmt: skip
    size = len(proto.pieces)
    normal = {p.piece: i for i, p in enumerate(proto.pieces) if p.type == NORMAL}
    merges = all_splits([(text, proto.pieces[i].score) for text, i in normal.items()], normal)
    scores = sorted({proto.pieces[i].score for i in normal.values()}, reverse=True)
    ranks = {score: rank << SHIFT for rank, score in enumerate(scores)}
    ranked = _table(merges, normal, size)
    scored = {pair: (ranks[proto.pieces[new].score], new) for pair, (_, new) in ranked.items()}
    bytes_ = [i for i, p in enumerate(proto.pieces) if p.type == BYTE]
    joins = frozenset((left[-1], right[0]) for left, right in merges)
    return Kind(
        size, {c: i for c, i in normal.items() if len(c) == 1}, (ranked, scored), joins,
        re.compile(".", re.DOTALL), _sentencepiece_words(files, joins), {},
        lambda c: [bytes_[byte] for byte in c.encode("utf-8", "replace")], files.backend,
    )  # fmt: skip


def _sentencepiece_words(
    files: TokenizerFiles, joins: frozenset[tuple[str, str]]
) -> Callable[[str], list[str]]:
    """Cut before each space that follows something else, unless a merge joins them."""
    assert files.proto is not None
    prefix = SPACE if files.proto.normalizer_spec.add_dummy_prefix else ""
    cuts = not any(left != SPACE and right == SPACE for left, right in joins)
    find = re.compile(f"{SPACE}*[^{SPACE}]+|{SPACE}+" if cuts else "(?s).+").findall
    frozen = _any_of(p.piece for p in files.proto.pieces if p.type == USER_DEFINED)
    segments = _segments(files.backend)

    def words(text: str) -> list[str]:
        parts = segments(text)
        found = [w for part in parts if part for w in find(prefix + part.replace(" ", SPACE))]
        if len(parts) > 1:
            # SentencePiece sees no control tokens in text, and gives no space after a token.
            whole = (prefix + text).replace(" ", SPACE)
            found += [w for part in frozen.split(whole) for w in find(part)]
        return found

    return words


def _byte_kind(files: TokenizerFiles) -> Kind:
    raw = json.loads(files.backend.to_str())
    model: dict[str, Any] = raw["model"]
    _check_plain(model)
    vocab: dict[str, int] = model["vocab"]
    size = max(files.backend.get_vocab(with_added_tokens=True).values()) + 1
    merges = [merge_pair(merge) for merge in model["merges"]]
    whole = vocab if model.get("ignore_merges") else {}
    character = re.compile(f"[^{_CONTINUED}][{_CONTINUED}]*|[{_CONTINUED}]+")
    joins = frozenset((character.findall(x)[-1], character.findall(y)[0]) for x, y in merges)
    split, normalizer = files.backend.pre_tokenizer, files.backend.normalizer
    segments = _segments(files.backend)

    def words(text: str) -> list[str]:
        found = []
        for part in segments(text):
            seen = normalizer.normalize_str(part) if normalizer else part
            found += [word for word, _ in split.pre_tokenize_str(seen)]
        return found

    model["ignore_merges"] = False
    return Kind(
        size, {c: vocab[c] for c in byte_letters() if c in vocab}, (_table(merges, vocab, size),),
        joins, character, words, whole, lambda c: [], Tokenizer.from_str(json.dumps(raw)),
    )  # fmt: skip


def _check_plain(model: Mapping[str, Any]) -> None:
    odd = {
        key: model.get(key)
        for key in ("continuing_subword_prefix", "end_of_word_suffix", "dropout")
        if model.get(key)
    }
    if odd:
        raise ModelError(
            "This tokenizer's merges can't be followed exactly.", where="tokenizer.json",
            found=odd, fix="prune a base without these settings",
        )  # fmt: skip


def merge_pair(merge: str | Sequence[str]) -> tuple[str, str]:
    """A merge of a tokenizer.json, in the old spelling ("a b") or the new (["a", "b"])."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _any_of(contents: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(contents, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def _segments(backend: Tokenizer) -> Callable[[str], list[str]]:
    """A text between its added tokens, which are matched before any merge."""
    added = backend.get_added_tokens_decoder()
    pattern = _any_of(token.content for token in added.values())
    hidden = backend.normalizer is not None and any(t.normalized for t in added.values())

    def cut(text: str) -> list[str]:
        if not hidden and not pattern.search(text):
            return [text]
        encoding = backend.encode(text, add_special_tokens=False)
        found, at = [], 0
        for index, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            if index in added:
                found.append(text[at:start])
                at = end
        return [*found, text[at:]]

    return cut
