"""Documents to ids: one BOS before, one EOS behind, and nothing in the text that acts as either.

The fast tokenizer's own Rust core is called in batches or, once there is much text and where the
ids are known to be the same, an encoder that remembers the parts of texts. The core's
post-processor is left out and BOS and EOS are set here, so a tokenizer that adds its own BOS
cannot double it; and special tokens written out in a text ("<s>" in a web page on XML) are encoded
as the characters they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from hanhua.core.errors import ModelError
from hanhua.tokens.part_encoder import PartEncoder

Ids = npt.NDArray[np.uint32]
Lengths = npt.NDArray[np.int64]
BATCH_CHARS = 300_000
PARTS_FROM_CHARS = 1_000_000
"""To set up the encoder by parts takes a large vocabulary about a second."""


def text_encoder(tokenizer: Any) -> Tokenizer:
    """The tokenizer's Rust core, set so that text is only ever text.

    Args:
        tokenizer: a fast Hugging Face tokenizer; it is not changed.

    Raises:
        ModelError: when it has no Rust core.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(
            "This tokenizer has no fast version.", where="model tokenizer",
            found=type(tokenizer).__name__, fix="use a base with a tokenizer.json",
        )  # fmt: skip
    core = Tokenizer.from_str(backend.to_str())
    core.no_padding()
    core.no_truncation()
    core.encode_special_tokens = True
    return core


def special_ids(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The ids to put before and behind a document; empty where the tokenizer has none."""
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    return ([] if bos is None else [int(bos)], [] if eos is None else [int(eos)])


class DocumentEncoder:
    """Encodes documents; make it with :meth:`of`. It can be pickled, for other processes.

    Args:
        core: from :func:`text_encoder`.
        before: ids to put before every document.
        behind: ids to put behind it.
    """

    def __init__(self, core: Tokenizer, before: list[int], behind: list[int]) -> None:
        self.core, self.before, self.behind = core, before, behind
        added = core.get_added_tokens_decoder().items()
        self.special = {i: token.content for i, token in added if token.special}
        self._is_special = np.zeros(max(core.get_vocab().values()) + 1, np.bool_)
        self._is_special[list(self.special)] = True
        self._chars = 0
        self._parts: PartEncoder | None = None

    @classmethod
    def of(cls, tokenizer: Any) -> DocumentEncoder:
        """For a fast Hugging Face tokenizer, which is not changed.

        Raises:
            ModelError: when it has no Rust core.
        """
        return cls(text_encoder(tokenizer), *special_ids(tokenizer))

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickle, (self.core.to_str(), self.before, self.behind)

    def encode(self, texts: Sequence[str]) -> tuple[Ids, Lengths]:
        """Encode texts, each with BOS and EOS.

        Args:
            texts: whole documents, in all a few hundred thousand characters.

        Returns:
            ``[n_tokens]`` uint32 ids of all documents one after another, and ``[n_documents]``
            int64 how many each has.
        """
        ids, lengths = self._encode(texts)
        if self._is_special[ids].any():
            ids, lengths = self._without_special(texts, ids, lengths)
        return self._with_ends(ids, lengths)

    def _encode(self, texts: Sequence[str]) -> tuple[Ids, Lengths]:
        before, self._chars = self._chars, self._chars + sum(map(len, texts))
        if before <= PARTS_FROM_CHARS < self._chars:
            self._parts = PartEncoder.of(self.core)
        found = self._parts.encode(texts) if self._parts else None
        if found is not None:
            return found
        codes = [code.ids for code in self.core.encode_batch_fast(texts, add_special_tokens=False)]
        lengths = np.array([len(code) for code in codes], np.int64)
        return np.fromiter(chain.from_iterable(codes), np.uint32, int(lengths.sum())), lengths

    def _without_special(
        self, texts: Sequence[str], ids: Ids, lengths: Lengths
    ) -> tuple[Ids, Lengths]:
        parts = np.split(ids, np.cumsum(lengths)[:-1])
        for i, text in enumerate(texts):
            if self._is_special[parts[i]].any():
                parts[i] = np.array(_encode_apart(self.core, text, self.special), np.uint32)
        return np.concatenate(parts), np.array([len(part) for part in parts], np.int64)

    def _with_ends(self, ids: Ids, lengths: Lengths) -> tuple[Ids, Lengths]:
        longer = lengths + len(self.before) + len(self.behind)
        stops = np.cumsum(longer)
        whole = np.empty(int(longer.sum()), np.uint32)
        inner = np.ones(len(whole), np.bool_)
        ends = [(stops - longer + i, x) for i, x in enumerate(self.before)]
        ends += [(stops - i, x) for i, x in enumerate(reversed(self.behind), start=1)]
        for places, token in ends:
            whole[places], inner[places] = token, False
        whole[inner] = ids
        return whole, longer


def _unpickle(core: str, before: list[int], behind: list[int]) -> DocumentEncoder:
    tokenizer = Tokenizer.from_str(core)
    tokenizer.encode_special_tokens = True  # the one setting that its JSON leaves out
    return DocumentEncoder(tokenizer, before, behind)


def encode_documents(tokenizer: Any, texts: Iterable[str]) -> Iterator[Ids]:
    """Encode texts, in order, each with BOS and EOS.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        texts: whole documents.

    Yields:
        ``[n]`` uint32 ids of one document.
    """
    encoder = DocumentEncoder.of(tokenizer)
    for batch in batches(texts):
        ids, lengths = encoder.encode(batch)
        yield from np.split(ids, np.cumsum(lengths)[:-1])


def _encode_apart(core: Tokenizer, text: str, special: Mapping[int, str]) -> list[int]:
    """Encode a text whose pieces would merge into a special token, cut inside each such place."""
    pattern = "|".join(re.escape(t) for t in sorted(special.values(), key=len, reverse=True))
    places = [match.start() + 1 for match in re.finditer(f"(?={pattern})", text)]
    parts = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    codes = core.encode_batch_fast(parts, add_special_tokens=False)
    return [i for code in codes for i in code.ids if i not in special]


def batches(texts: Iterable[str]) -> Iterator[Sequence[str]]:
    """Lists of texts of a few hundred thousand characters, so that memory stays flat."""
    iterator = iter(texts)
    while batch := list(islice(iterator, 1)):
        chars = len(batch[0])
        while chars < BATCH_CHARS and len(batch) < 4096:
            more = next(iterator, None)
            if more is None:
                break
            batch.append(more)
            chars += len(more)
        yield batch
