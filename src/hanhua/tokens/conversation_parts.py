"""Rendered conversations end to end, and their ids by remembered parts.

A text is cut at special tokens, as the tokenizer's core cuts it; what stands between is encoded by
parts, and a token's first character is counted from the lengths of the tokens before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from hanhua.chat.template import Span
from hanhua.tokens.part_encoder import PartEncoder

Ints = npt.NDArray[Any]
_BYTE = re.compile("<0x([0-9A-F]{2})>")


@dataclass(frozen=True, slots=True)
class Texts:
    """Rendered conversations, and what is known of each character of all of them together.

    Args:
        texts: one for each conversation.
        begins: ``[n_texts]`` where each begins among all characters.
        target: ``[n_chars]`` whether it is learnt.
        content: ``[n_chars]`` whether somebody wrote it.
        content_bytes: the same, to be searched.
    """

    texts: list[str]
    begins: Ints
    target: npt.NDArray[np.bool_]
    content: npt.NDArray[np.bool_]
    content_bytes: bytes

    @classmethod
    def of(cls, found: Sequence[Sequence[Span]]) -> Texts:
        """Lay spans end to end."""
        texts = ["".join([span.text for span in spans]) for spans in found]
        every = list(chain.from_iterable(found))
        sizes = np.array([len(span.text) for span in every], np.int64)
        target = np.repeat(np.array([span.target for span in every], np.bool_), sizes)
        content = np.repeat(np.array([span.content for span in every], np.bool_), sizes)
        ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
        begins = ends - np.array([len(text) for text in texts], np.int64)
        return cls(texts, begins, target, content, content.tobytes())

    def content_in(self, i: int, low: int, high: int) -> bool:
        """Whether somebody wrote a character of a stretch of a text."""
        begin = int(self.begins[i])
        return self.content_bytes.find(1, begin + low, begin + high) >= 0


class ByParts:
    """Encodes what stands between special tokens by remembered parts; make it with :meth:`of`.

    Args:
        parts: the encoder.
        special: special tokens and their ids.
        prepended: characters that the normaliser puts in front of each stretch.
    """

    def __init__(self, parts: PartEncoder, special: dict[str, int], prepended: int) -> None:
        self.parts, self.special, self.prepended = parts, special, prepended
        vocab = parts.core.get_vocab()
        self.chars = np.zeros(max(vocab.values()) + 1, np.int64)
        self.inside = np.zeros(len(self.chars), np.bool_)
        for token, i in vocab.items():
            byte = _BYTE.fullmatch(token)
            # of a character in bytes the first counts as it, and the others stand in it
            self.inside[i] = byte is not None and 0x80 <= int(byte[1], 16) < 0xC0
            self.chars[i] = (not self.inside[i]) if byte else len(token)

    @classmethod
    def of(cls, core: Tokenizer, special: dict[str, int]) -> ByParts | None:
        """One for this tokenizer, or None where ids or first characters could differ."""
        settings = json.loads(core.to_str())
        odd = ("single_word", "lstrip", "rstrip", "normalized")
        if any(token[key] for token in settings["added_tokens"] for key in odd):
            return None
        if {token["content"] for token in settings["added_tokens"]} != set(special):
            return None
        parts = PartEncoder.of(core)
        steps = settings["normalizer"] or {"normalizers": []}
        replaced = [(step["pattern"]["String"], step["content"])
                    for step in steps.get("normalizers", [steps])
                    if parts and step["type"] == "Replace"]  # fmt: skip
        if parts is None or any(len(x) != 1 for both in replaced for x in both):
            return None
        return cls(parts, special, len(parts.normalise("a")) - 1)

    def encode(
        self, texts: Texts, plain: Sequence[int], matches: Sequence[list[re.Match[str]]]
    ) -> tuple[Ints, Ints, Ints] | None:
        """Encode texts that hold no special token but the template's.

        Args:
            texts: all.
            plain: which of them.
            matches: the special tokens of every text.

        Returns:
            ``[n_tokens]`` ids, ``[n_tokens]`` where each begins among all characters, ``[n_plain]``
            tokens of each text; None in the odd case that lengths don't add up.
        """
        pieces, items, counts = self._cut(texts, plain, matches)
        found = self.parts.encode(pieces)
        if found is None:
            return None
        ids, lengths = found
        begins, tokens = items
        of_piece = tokens < 0
        sizes = np.ones(len(tokens), np.int64)
        sizes[of_piece] = lengths
        inner = np.repeat(of_piece, sizes)
        whole, starts = np.empty(len(inner), np.uint32), np.empty(len(inner), np.int64)
        whole[inner], whole[~inner] = ids, tokens[~of_piece]
        within = self._within(ids, lengths, pieces)
        if within is None:
            return None
        starts[~inner] = begins[~of_piece]
        starts[inner] = within + np.repeat(begins[of_piece], lengths)
        ends = np.cumsum(counts)
        sums = np.concatenate([[0], np.cumsum(sizes)])
        return whole, starts, sums[ends] - sums[ends - counts]

    def _cut(
        self, texts: Texts, plain: Sequence[int], matches: Sequence[list[re.Match[str]]]
    ) -> tuple[list[str], tuple[Ints, Ints], Ints]:
        """Cut texts at special tokens.

        Returns:
            the pieces between; for each piece and special token where it begins among all
            characters, and its id (-1 for a piece); how many of them each text has.
        """
        pieces: list[str] = []
        begins: list[int] = []
        tokens: list[int] = []
        counts: list[int] = []
        for i in plain:
            text, begin, at, n = texts.texts[i], int(texts.begins[i]), 0, len(tokens)
            for match in matches[i]:
                if match.start() > at:
                    pieces.append(text[at : match.start()])
                    begins.append(begin + at)
                    tokens.append(-1)
                begins.append(begin + match.start())
                tokens.append(self.special[match[0]])
                at = match.end()
            if at < len(text):
                pieces.append(text[at:])
                begins.append(begin + at)
                tokens.append(-1)
            counts.append(len(tokens) - n)
        return pieces, (np.array(begins, np.int64), np.array(tokens, np.int64)), np.array(counts)

    def _within(self, ids: Ints, lengths: Ints, pieces: Sequence[str]) -> Ints | None:
        """Each token's first character in its piece."""
        sums = np.concatenate([[0], np.cumsum(self.chars[ids])])
        ends = np.cumsum(lengths)
        of_piece = sums[ends] - sums[ends - lengths]
        if not np.array_equal(of_piece, [len(piece) + self.prepended for piece in pieces]):
            return None
        starts: Ints = sums[:-1] - np.repeat(sums[ends - lengths], lengths) - self.inside[ids]
        found: Ints = np.maximum(starts - self.prepended, 0)
        return found
