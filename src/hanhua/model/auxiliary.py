"""Auxiliary vectors for old and new tokens, learnt in seconds from the user's own text.

Two tokens are alike when the same tokens stand around them. Counts of neighbours in a small window
become positive pointwise mutual information (context counts raised to 3/4), and a truncated SVD
makes short vectors of it; with these settings that is as good as word2vec and needs no training
loop (Levy, Goldberg and Dagan 2015, https://aclanthology.org/Q15-1016).

In text spelt with new pieces the base's own tokens for the same characters hardly occur, so
nothing would tie the two together. Therefore every other occurrence of a new piece, drawn by seed,
is spelt as the base spells it (as BPE-dropout does, https://aclanthology.org/2020.acl-main.170):
then both stand beside the same neighbours.

Letters for shapes: V all tokens, old and new, C context tokens, E width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hanhua.core.errors import InputError
from hanhua.text.shards import language_files, read_language
from hanhua.vocab.count import sampled

Ids = npt.NDArray[np.int64]
WINDOW = 5
_DISTANCES = 8
CONTEXTS = 4096
MIN_COUNT = 3
_SMOOTHING = 0.75
_BLOCK_TOKENS = 500_000
_ROUNDS = 2
_BATCH_TEXTS = 512


@dataclass(frozen=True, slots=True)
class Texts:
    """The text that a method may learn from.

    Args:
        corpus: folder of the corpus artifact.
        target: language of the new pieces.
        source: language of the base.
        max_chars: of each language, drawn over the whole corpus by document id.
    """

    corpus: Path
    target: str
    source: str
    max_chars: int

    def read(self, language: str) -> Iterator[str]:
        """Texts of one language's training part, about `max_chars` in all; none: nothing."""
        if not language_files(self.corpus, language):
            return
        total = sum(len(d.text) for d in read_language(self.corpus, language))
        left = self.max_chars
        for document in sampled(
            read_language(self.corpus, language), min(1.0, 1.05 * left / max(total, 1))
        ):
            yield document.text[:left]
            left -= len(document.text)
            if left <= 0:
                return


def encode(core: Any, texts: Iterable[str]) -> Iterator[Ids]:
    """Ids of each text, without special tokens.

    Args:
        core: from :func:`hanhua.tokens.encode.text_encoder`.
        texts: whole documents.
    """
    iterator = iter(texts)
    for first in iterator:
        batch = [first]
        for text in iterator:
            batch.append(text)
            if len(batch) == _BATCH_TEXTS:
                break
        for code in core.encode_batch_fast(batch, add_special_tokens=False):
            yield np.array(code.ids, np.int64)


class Speller:
    """Spells new pieces as the base does.

    Args:
        old: ids of the base.
        base_ids: base tokens of each new piece.
    """

    def __init__(self, old: int, base_ids: Sequence[Sequence[int]]) -> None:
        self.old = old
        self.lengths = np.ones(old + len(base_ids), np.int64)
        self.lengths[old:] = [len(ids) for ids in base_ids]
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        flat = chain(range(old), chain.from_iterable(base_ids))
        self.flat = np.fromiter(flat, np.int64, int(self.lengths.sum()))

    def spell(self, ids: Ids, which: npt.NDArray[np.bool_] | None = None) -> tuple[Ids, Ids]:
        """Spell the marked new pieces (all without a mark) in base tokens.

        Returns:
            The longer ids, and for each of the given ids where its last token stands in them.
        """
        lengths = self.lengths[ids] if which is None else np.where(which, self.lengths[ids], 1)
        ends = np.cumsum(lengths)
        within = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - lengths, lengths)
        spelt = self.flat[np.repeat(self.starts[ids], lengths) + within]
        if which is not None:
            kept = np.repeat(~which, lengths)
            spelt[kept] = np.repeat(ids, lengths)[kept]
        return spelt, ends - 1


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """Vectors of tokens.

    Args:
        vectors: ``[V, E]`` of length one; zeros for tokens that were not seen.
        counts: ``[V]`` how often each was seen.
    """

    vectors: Tensor
    counts: Tensor

    @property
    def seen(self) -> Tensor:
        """``[V]`` tokens with enough text behind them to trust their vector."""
        return (self.counts >= MIN_COUNT) & (self.vectors.abs().sum(1) > 0)


def learn_auxiliary(core: Any, speller: Speller, texts: Texts, dims: int, seed: int) -> Auxiliary:
    """Vectors for all tokens, old and new.

    Args:
        core: encoder of the extended tokenizer.
        speller: of its new pieces.
        texts: what to learn from.
        dims: width of the vectors.
        seed: of the spelling and of the SVD.

    Raises:
        InputError: when the corpus has no text of the target language.
    """
    draw = np.random.default_rng(seed)
    stream = []
    for language in dict.fromkeys((texts.target, texts.source)):
        documents = encode(core, texts.read(language))
        found = [_mixed(speller, ids, draw) for ids in documents if len(ids)]
        if not found and language == texts.target:
            raise InputError(
                "There is no text to learn the likeness of tokens from.", where=texts.corpus,
                found=f"no {language!r} documents",
                fix=f"give the corpus a source of {language!r}, or set expand.input: mean",
            )  # fmt: skip
        stream += found
    size = len(speller.lengths)
    counts = np.bincount(np.concatenate(stream), minlength=size)
    return Auxiliary(_vectors(_pmi(stream, counts), size, dims, seed), torch.from_numpy(counts))


def _mixed(speller: Speller, ids: Ids, draw: np.random.Generator) -> Ids:
    which = (ids >= speller.old) & (draw.random(len(ids)) < 0.5)
    return speller.spell(ids, which)[0]


def _pmi(documents: list[Ids], counts: Ids) -> Tensor:
    """Positive pointwise mutual information, sparse ``[V, C]``."""
    contexts = np.argsort(-counts, kind="stable")[:CONTEXTS]
    column = np.full(len(counts), -1, np.int64)
    column[contexts] = np.arange(len(contexts))
    keys, sums = _neighbours(documents, column, len(contexts))
    rows, columns = np.divmod(keys, len(contexts))
    row_sums = np.bincount(rows, sums, len(counts))
    column_sums = np.bincount(columns, sums, len(contexts)) ** _SMOOTHING
    expected = row_sums[rows] * column_sums[columns] / column_sums.sum()
    value = np.log(sums / expected)
    kept = value > 0
    unchecked: Any = torch.sparse.check_sparse_tensor_invariants  # said, or PyTorch 2.11 warns
    with unchecked(False):
        return torch.sparse_coo_tensor(
            torch.from_numpy(np.stack([rows[kept], columns[kept]])),
            torch.from_numpy(value[kept].astype(np.float32)),
            (len(counts), len(contexts)), is_coalesced=True,
        )  # fmt: skip


def _neighbours(documents: list[Ids], column: Ids, width: int) -> tuple[Ids, Any]:
    """Weighted counts of (token, context) pairs; the nearer, the more they count.

    The distance rides in the lowest bits of a pair's key, so that plain sorting brings equal pairs
    together and no weights have to be carried along.
    """
    nearness = (WINDOW + 1 - np.arange(_DISTANCES)) / WINDOW
    found: list[tuple[Ids, Any]] = []
    for ids, owner in _blocks(documents):
        keys = []
        for away in range(1, min(WINDOW, len(ids) - 1) + 1):
            same = owner[:-away] == owner[away:]
            left, right = ids[:-away][same], ids[away:][same]
            for token, context in ((left, right), (right, left)):
                place = column[context]
                known = place >= 0
                keys.append((token[known] * width + place[known]) * _DISTANCES + away)
        if keys:
            ordered = np.sort(np.concatenate(keys))
            found.append(_summed(ordered // _DISTANCES, nearness[ordered % _DISTANCES]))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0)
    all_keys = np.concatenate([k for k, _ in found])
    order = np.argsort(all_keys, kind="stable")
    return _summed(all_keys[order], np.concatenate([w for _, w in found])[order])


def _summed(keys: Ids, weights: Any) -> tuple[Ids, Any]:
    """Sum the weights of equal keys, which stand together."""
    if not len(keys):
        return keys, weights
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[starts], np.add.reduceat(weights, starts)


def _blocks(documents: list[Ids]) -> Iterator[tuple[Ids, Ids]]:
    """Whole documents together, a block of tokens at a time, with each token's document."""
    block: list[Ids] = []
    size = 0
    for i, ids in enumerate(documents):
        block.append(ids)
        size += len(ids)
        if size >= _BLOCK_TOKENS or i == len(documents) - 1:
            owner = np.repeat(np.arange(len(block)), [len(x) for x in block])
            yield np.concatenate(block), owner
            block, size = [], 0


def _vectors(matrix: Tensor, size: int, dims: int, seed: int) -> Tensor:
    """Left singular vectors times the root of their values, each row of length one.

    Randomised subspace iteration (Halko, Martinsson and Tropp, https://arxiv.org/abs/0909.4061).
    """
    generator = torch.Generator().manual_seed(seed)
    other = matrix.t().coalesce()
    width = min(dims + 16, *matrix.shape)
    guess = torch.randn(matrix.shape[1], width, generator=generator)
    for _ in range(_ROUNDS):
        left = torch.linalg.qr(torch.sparse.mm(matrix, guess)).Q
        guess = torch.linalg.qr(torch.sparse.mm(other, left)).Q
    left = torch.linalg.qr(torch.sparse.mm(matrix, guess)).Q
    small = torch.sparse.mm(other, left)
    u, s, _ = torch.linalg.svd(small.T, full_matrices=False)
    vectors = (left @ u[:, :dims]) * s[:dims].sqrt()
    lengths = vectors.norm(dim=1, keepdim=True)
    return torch.where(lengths > 1e-6, vectors / lengths.clamp_min(1e-6), 0.0)
