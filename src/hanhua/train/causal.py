"""Causal attention inside documents on a CPU, forward and backward, in cache-sized tiles.

PyTorch's CPU kernel spends two thirds of its time in a backward pass that is not made of matrix
products. Here everything is a batched product on a tile of scores that fits the cache, a block of
queries at a time against the keys up to its own end, and the backward pass computes the scores
again instead of keeping them: 132 ms where PyTorch took 340 (16 documents of 512 tokens, 6 heads
of 48, one Zen 4 core).

The first product of a shape costs as much as several later ones, and leaves code in memory; so
documents are filled up to one of few lengths and go in batches of few sizes. What fills a document
up comes after it, where none of its queries looks; the fill's own queries are given no gradient.

Letters for shapes: H heads, T tokens, B documents x heads, L tokens of a filled document, E width
of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

TILE_BYTES = 4 * 1024 * 1024
QUERIES = 128
ROUND = 32


class PackedCausal(torch.autograd.Function):
    """Attention over ``[H, T, E]`` inside documents of some lengths; gives ``[T, H, E]``."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, lengths: Sequence[int], scale: float
    ) -> Tensor:
        """Attend; keeps only its inputs."""
        heads, tokens, width = query.shape
        ctx.places = places_of(tuple(lengths), heads)
        ctx.save_for_backward(query, key, value)
        ctx.scale = scale
        q, k, v = _gather(ctx.places, query, key, value)
        q.mul_(scale)
        o = torch.empty_like(q)
        for at, length in ctx.places.tiles:
            _forward(*(x[at].view(-1, length, width) for x in (q, k, v, o)))
        return o.index_select(0, ctx.places.home).view(tokens, heads, width)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the scores again and take the gradients."""
        query, key, value = ctx.saved_tensors
        places, (heads, tokens, width) = ctx.places, query.shape
        q, k, v, d_o = _gather(places, query, key, value, grads[0].transpose(0, 1))
        q.mul_(ctx.scale)
        d_o.index_fill_(0, places.fill, 0.0)
        d = [torch.empty_like(q) for _ in range(3)]
        for at, length in places.tiles:
            _backward(*(x[at].view(-1, length, width) for x in (q, k, v, d_o, *d)))
        d[0].mul_(ctx.scale)
        found = (x.index_select(0, places.home).view(tokens, heads, width) for x in d)
        return *(x.transpose(0, 1) for x in found), None, None


@dataclass(frozen=True, slots=True)
class Places:
    """Where the tokens of documents lie in batches of filled documents, ``[B * L]`` each.

    Args:
        source: ``[rows]`` which of ``[H * T]`` lies at each place; the first for what fills.
        home: ``[T * H]`` the place of every token and head.
        fill: the places of what fills.
        tiles: (places of whole documents whose scores fit the cache, L).
    """

    source: Tensor
    home: Tensor
    fill: Tensor
    tiles: list[tuple[slice, int]]


@lru_cache(maxsize=4)
def places_of(lengths: tuple[int, ...], heads: int) -> Places:
    """The same for all layers of a step.

    Args:
        lengths: of the documents, which lie end to end.
        heads: H.
    """
    tokens, starts = sum(lengths), [0, *accumulate(lengths)]
    filled: dict[int, list[int]] = {}
    for i, length in enumerate(lengths):
        filled.setdefault(_filled(length), []).append(i)
    parts, tiles, at = [], [], 0
    for size, documents in filled.items():
        within = torch.arange(size)
        begin = torch.tensor([starts[i] for i in documents])[:, None]
        own = torch.tensor([lengths[i] for i in documents])[:, None]
        place = torch.where(within < own, begin + within, -1)  # [documents, L]
        head = torch.arange(heads)[:, None, None] * tokens
        parts.append(torch.where(place < 0, -1, place + head).flatten())
        tiles += _tiles(at, heads, len(documents), size)
        at += heads * len(documents) * size
    # a usual number of places, for memory that is freed to fit what the next batch asks for
    parts.append(torch.full((-at % max(heads * tokens // 8, 1),), -1))
    source = torch.cat(parts)
    home = torch.empty(heads * tokens, dtype=torch.int64)
    real = (source >= 0).nonzero().squeeze(1)
    home[source[real]] = real
    home = home.view(heads, tokens).t().flatten()
    return Places(source.clamp_min(0), home, (source < 0).nonzero().squeeze(1), tiles)


def _filled(length: int) -> int:
    """A usual length: up to four between one power of two and the next."""
    step = max(1 << max((length - 1).bit_length() - 3, 0), ROUND)
    return -(-length // step) * step


def _tiles(at: int, heads: int, count: int, length: int) -> list[tuple[slice, int]]:
    """Documents of one length, in powers of two, as far as their scores fit the cache."""
    most = TILE_BYTES // (2 * min(_queries(length), length) * length)
    found, batch = [], heads * count
    while batch:
        size = max(min(batch, most), 1)
        if size >= heads:
            size = heads << ((size // heads).bit_length() - 1)
        found.append((slice(at, at + size * length), length))
        at, batch = at + size * length, batch - size
    return found


def _queries(length: int) -> int:
    """Queries in a block; at most 8 blocks, as gradients of keys are added up in the dtype."""
    return max(QUERIES, -(-length // 8 // ROUND) * ROUND)


def _gather(places: Places, *whole: Tensor) -> list[Tensor]:
    """``[H, T, E]`` as ``[rows, E]``."""
    return [x.reshape(-1, x.shape[-1]).index_select(0, places.source) for x in whole]


@lru_cache(maxsize=64)
def _late(n: int, dtype: torch.dtype) -> Tensor:
    """``[n, n]`` what is added to the scores of a block's queries with its own keys."""
    return torch.full((n, n), float("-inf"), dtype=dtype).triu_(1)


def _probabilities(q: Tensor, keys: Tensor, a: int, b: int) -> Tensor:
    """Softmax of the scores of queries [a, b) with keys [0, b), ``[B, b - a, b]``."""
    scores = torch.bmm(q[:, a:b], keys[:, :, :b])
    scores[:, :, a:].add_(_late(b - a, scores.dtype))
    torch._softmax(scores, -1, False, out=scores)
    return scores


@lru_cache(maxsize=1)
def _has_amx() -> bool:
    """Whether the processor multiplies tiles of bf16, which PyTorch's forward kernel makes use of.

    There it took 5.6 ms where ours took 7.9 (2,048 tokens of instructions, 6 heads of 48).
    """
    known = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(known and known())


def _forward(q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> None:
    if _has_amx():
        q, k, v = (x[:, None] for x in (q, k, v))
        out.copy_(F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)[:, 0])
        return
    length, block, keys = q.shape[1], _queries(q.shape[1]), k.transpose(1, 2)
    for a in range(0, length, block):
        b = min(a + block, length)
        torch.bmm(_probabilities(q, keys, a, b), v[:, :b], out=out[:, a:b])


def _backward(
    q: Tensor, k: Tensor, v: Tensor, d_o: Tensor, d_q: Tensor, d_k: Tensor, d_v: Tensor
) -> None:
    """Fill d_q (of scaled queries), d_k and d_v."""
    length, block = q.shape[1], _queries(q.shape[1])
    keys, values = k.transpose(1, 2), v.transpose(1, 2)
    for a in reversed(range(0, length, block)):  # the last block's gradients reach every key
        b = min(a + block, length)
        kept = int(b < length)  # at first nothing is in them yet
        p, d = _probabilities(q, keys, a, b), d_o[:, a:b]
        d_s = torch.bmm(d, values[:, :, :b])
        d_v[:, :b].baddbmm_(p.transpose(1, 2), d, beta=kept)
        torch._softmax_backward_data(d_s, p, -1, d_s.dtype, grad_input=d_s)
        torch.bmm(d_s, k[:, :b], out=d_q[:, a:b])
        d_k[:, :b].baddbmm_(d_s.transpose(1, 2), q[:, a:b], beta=kept)
