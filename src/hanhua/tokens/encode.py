"""Documents to ids: one BOS before, one EOS behind, and nothing in the text that acts as either.

The fast tokenizer's own Rust core is called in batches. Its post-processor is left out and BOS
and EOS are set here, so a tokenizer that adds its own BOS cannot double it; and special tokens
written out in a text ("<s>" in a web page on XML) are encoded as the characters they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from hanhua.core.errors import ModelError

Ids = npt.NDArray[np.uint32]
BATCH_CHARS = 4_000_000


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


def encode_documents(tokenizer: Any, texts: Iterable[str]) -> Iterator[Ids]:
    """Encode texts, in order, each with BOS and EOS.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        texts: whole documents.

    Yields:
        ``[n]`` uint32 ids of one document.
    """
    core = text_encoder(tokenizer)
    before, behind = special_ids(tokenizer)
    special = {i: t.content for i, t in core.get_added_tokens_decoder().items() if t.special}
    forbidden = np.array(sorted(special), dtype=np.uint32)
    for batch in batches(texts):
        codes = core.encode_batch_fast(batch, add_special_tokens=False)
        for text, code in zip(batch, codes, strict=True):
            ids = np.array([*before, *code.ids, *behind], dtype=np.uint32)
            inner = ids[len(before) : len(ids) - len(behind)]
            if np.isin(inner, forbidden).any():
                apart = _encode_apart(core, text, special)
                ids = np.array([*before, *apart, *behind], dtype=np.uint32)
            yield ids


def _encode_apart(core: Tokenizer, text: str, special: Mapping[int, str]) -> list[int]:
    """Encode a text whose pieces would merge into a special token, cut inside each such place."""
    pattern = "|".join(re.escape(t) for t in sorted(special.values(), key=len, reverse=True))
    places = [match.start() + 1 for match in re.finditer(f"(?={pattern})", text)]
    parts = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    codes = core.encode_batch_fast(parts, add_special_tokens=False)
    return [i for code in codes for i in code.ids if i not in special]


def batches(texts: Iterable[str]) -> Iterator[Sequence[str]]:
    """Lists of texts of a few million characters, so that memory stays flat."""
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
