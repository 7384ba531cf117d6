"""Byte pair encoding with a memory: the same ids as the tokenizer's own core, in less time.

SentencePiece-like BPE takes a whole document as one word, so nothing learnt from one document
helps with the next. But no merge ever crosses a place between two characters that stand side by
side in no token; a text cut at all such places has the same ids. The parts are short (a word of
English, one to three characters of Chinese), come again and again, and are encoded once. Only
tokenizers of which this is known to hold are taken: BPE with byte fallback, no pre-tokenizer,
and a normaliser that only replaces strings and puts one in front.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, normalizers

from hanhua.tokens.part_table import BASE, Parts, PartTable

Ints = npt.NDArray[Any]
MAX_PAIRS = 1 << 27
SEPARATORS = "\n\t\x00\x01\x02\x03\x04\x05"
TOGETHER = 256
"""So many new parts are encoded in one call, with separators: a call takes long, a part doesn't."""


class PartEncoder:
    """Encodes texts part by part; make it with :meth:`of`.

    Args:
        core: encodes normalised text: without normaliser.
        normalise: the tokenizer's normaliser.
        separator: a character that never joins another, and has one id.
    """

    def __init__(self, core: Tokenizer, normalise: Callable[[str], str], separator: str) -> None:
        self.core, self.normalise, self.separator = core, normalise, separator
        self.separator_id = core.encode(separator, add_special_tokens=False).ids[0]
        self.left, self.right, self.joined = _joins(core.get_vocab())
        self.powers = _powers(1 << 10)
        self.table = PartTable()

    @classmethod
    def of(cls, core: Tokenizer) -> PartEncoder | None:
        """An encoder for this tokenizer, or None where its ids could differ."""
        settings = json.loads(core.to_str())
        normalise = _normaliser(settings["normalizer"])
        plain = settings["pre_tokenizer"] is None and _is_plain(settings["model"])
        if normalise is None or not plain:
            return None
        if any(not token["special"] for token in settings["added_tokens"]):
            return None
        bare = Tokenizer.from_str(core.to_str())
        bare.encode_special_tokens = True
        bare.normalizer = normalizers.Sequence([])
        inside = {c for token in core.get_vocab() if len(token) > 1 for c in token}
        if len(inside) ** 2 > MAX_PAIRS:
            return None
        for c in SEPARATORS:
            if c not in inside and len(bare.encode(c, add_special_tokens=False).ids) == 1:
                return cls(bare, normalise, c)
        return None

    def encode(self, texts: Sequence[str]) -> tuple[Ints, Ints] | None:
        """Ids of texts.

        Returns:
            ``[n_tokens]`` uint32 ids of all texts one after another, and ``[n_texts]`` how many
            each has; None in the odd case that two parts have one hash.
        """
        normal = [self.normalise(text) for text in texts]
        joined = "".join(normal)
        chars = np.frombuffer(joined.encode("utf-32-le"), np.uint32)
        if not len(chars):
            return np.zeros(0, np.uint32), np.zeros(len(texts), np.int64)
        ends = np.cumsum([len(text) for text in normal])
        parts = self._cut(chars, ends)
        if self.table.full:
            self.table = PartTable()  # what is frequent is soon there again
        numbers = self.table.find(parts.hashes)
        new = np.flatnonzero(numbers < 0)
        if len(new):
            self._learn(joined, parts, new)
            numbers[new] = self.table.find(parts.hashes[new])
        if not self.table.holds(numbers, parts):
            return None
        ids, lengths = self.table.expand(numbers)
        after = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        return ids, np.diff(after[np.searchsorted(parts.starts, ends)], prepend=0)

    def _cut(self, chars: Ints, ends: Ints) -> Parts:
        """Cut where texts begin, and where no token holds both neighbours."""
        begins = np.ones(len(chars), np.bool_)
        begins[1:] = ~self.joined[self.left[chars[:-1]], self.right[chars[1:]]]
        begins[ends[:-1][ends[:-1] < len(chars)]] = True
        starts = np.flatnonzero(begins)
        longest = int(np.diff(starts, append=len(chars)).max())
        if longest > len(self.powers):
            self.powers = _powers(longest)
        return Parts(chars, starts, self.powers)

    def _learn(self, text: str, parts: Parts, new: Ints) -> None:
        """Encode the parts that are new, each once, and remember them."""
        hashes, first = np.unique(parts.hashes[new], return_index=True)
        starts = parts.starts[new[first]]
        stops = starts + parts.lengths[new[first]]
        places = [slice(*place) for place in zip(starts.tolist(), stops.tolist(), strict=True)]
        ids = list(self._encode([text[place] for place in places]))
        self.table.add(hashes, [parts.chars[place] for place in places], ids)

    def _encode(self, parts: list[str]) -> Iterable[Ints]:
        groups = [parts[i : i + TOGETHER] for i in range(0, len(parts), TOGETHER)]
        texts = [self.separator.join(group) for group in groups]
        codes = self.core.encode_batch_fast(texts, add_special_tokens=False)
        for group, code in zip(groups, codes, strict=True):
            ids = np.array(code.ids, np.uint32)
            at = np.flatnonzero(ids == self.separator_id)
            if len(at) == len(group) - 1:
                yield from _between(ids, at)
            else:  # the separator is a part itself
                for one in self.core.encode_batch_fast(group, add_special_tokens=False):
                    yield np.array(one.ids, np.uint32)


def _between(ids: Ints, places: Ints) -> Iterator[Ints]:
    """What stands between some places: one more stretch than there are places."""
    start = 0
    for place in places.tolist():
        yield ids[start:place]
        start = place + 1
    yield ids[start:]


def _powers(n: int) -> npt.NDArray[np.uint64]:
    factors = np.full(n, BASE, np.uint64)
    factors[0] = 1
    return np.cumprod(factors)


def _joins(vocab: Iterable[str]) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
    """Which characters stand side by side in a token.

    Returns:
        ``[0x110000]`` each character's number as the left one of a pair, the same as the right
        one, and ``[n_left, n_right]`` whether a pair occurs; number 0 is for those in none.
    """
    pairs = {pair for token in vocab for pair in pairwise(token)}
    sides = []
    for side in (0, 1):
        chars = np.array(sorted({ord(pair[side]) for pair in pairs}), np.int64)
        numbers = np.zeros(0x110000, np.uint16)
        numbers[chars] = np.arange(1, len(chars) + 1)
        sides.append(numbers)
    joined = np.zeros((int(sides[0].max()) + 1, int(sides[1].max()) + 1), np.bool_)
    for a, b in pairs:
        joined[sides[0][ord(a)], sides[1][ord(b)]] = True
    return sides[0], sides[1], joined


def _normaliser(settings: dict[str, Any] | None) -> Callable[[str], str] | None:
    """The normaliser as a function, or None where it is one that we don't know."""
    steps = [settings] if settings else []
    if settings and settings["type"] == "Sequence":
        steps = settings["normalizers"]
    known: list[tuple[str, str]] = []
    for step in steps:
        if step["type"] == "Prepend":
            known.append(("", step["prepend"]))
        elif step["type"] == "Replace" and step["pattern"].get("String"):
            known.append((step["pattern"]["String"], step["content"]))
        else:
            return None

    def normalise(text: str) -> str:
        for pattern, content in known:
            if pattern:
                text = text.replace(pattern, content)
            elif text:
                text = content + text
        return text

    return normalise


def _is_plain(model: dict[str, Any]) -> bool:
    """BPE that falls back to bytes, which no merge takes up again."""
    data = {f"<0x{i:02X}>" for i in range(256)}
    if model["type"] != "BPE" or not model.get("byte_fallback") or not data <= set(model["vocab"]):
        return False
    odd = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges")
    if any(model.get(key) for key in odd):
        return False
    merges = (m.split(" ") if isinstance(m, str) else m for m in model["merges"])
    return not any(data & {*merge, "".join(merge)} for merge in merges)
