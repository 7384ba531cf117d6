"""Causal attention inside documents on a CPU that multiplies tiles of bf16 (AMX), in one pass.

As batched products of PyTorch a quarter to a half of a small model's training step went to
attention: the products are small, and what lies between them goes through memory. Here a block of
scores is made, weighed and used while it is in the cache (``model/native/within_amx.c``), forward
and, from what is kept of the softmax, backward.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from hanhua.model.kernels import can_run
from hanhua.model.native import NATIVE

WIDEST_HEAD = 256


def can_attend(query: Tensor, key: Tensor, value: Tensor, scale: float) -> bool:
    """Whether :class:`Within` takes these: bf16 of one shape, and a processor for it."""
    return (
        can_run(query, key, value)
        and query.dtype == torch.bfloat16
        and query.shape == key.shape == value.shape
        and 0 < query.shape[-1] <= WIDEST_HEAD
        and scale > 0
        and bool(NATIVE.tiles())
    )


class Within(torch.autograd.Function):
    """Attention over ``[H, T, E]`` inside documents of some lengths; gives ``[T, H, E]``.

    Source: FlashAttention-2, https://arxiv.org/abs/2307.08691. What a document gets depends on
    nothing but itself, nor on how many threads there are.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, lengths: Sequence[int], scale: float
    ) -> Tensor:
        """Attend; keeps its inputs, its output and a number for each query."""
        query, key, value = (_even(x) for x in (query, key, value))
        heads, tokens, width = query.shape
        places = _places(tuple(lengths))
        out = query.new_empty(tokens, heads, width)
        total = torch.empty(heads, tokens, dtype=torch.float32)
        NATIVE.within(
            query.data_ptr(), key.data_ptr(), value.data_ptr(), out.data_ptr(), total.data_ptr(),
            places[0].data_ptr(), places[1].data_ptr(), *_strides(query, key, value),
            places.shape[1], heads, tokens, width, scale, torch.get_num_threads(),
        )  # fmt: skip
        ctx.save_for_backward(query, key, value, out, total)
        ctx.places, ctx.scale = places, scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Make the scores again and take the gradients."""
        query, key, value, out, total = ctx.saved_tensors
        places, (heads, tokens, width) = ctx.places, query.shape
        grad = _even(grads[0].transpose(0, 1))
        found = [torch.empty_like(out) for _ in range(3)]
        NATIVE.within_grad(
            query.data_ptr(), key.data_ptr(), value.data_ptr(), grad.data_ptr(), out.data_ptr(),
            *(x.data_ptr() for x in found), total.data_ptr(), places[0].data_ptr(),
            places[1].data_ptr(), *_strides(query, key, value, grad), places.shape[1], heads,
            tokens, width, ctx.scale, torch.get_num_threads(),
        )  # fmt: skip
        return *(x.transpose(0, 1) for x in found), None, None


def _even(x: Tensor) -> Tensor:
    """``[H, T, E]`` whose heads' numbers lie side by side."""
    return x if x.stride(2) == 1 else x.contiguous()


def _strides(*tensors: Tensor) -> list[int]:
    """Of tokens and of heads, of each."""
    return [x.stride(i) for x in tensors for i in (1, 0)]


@lru_cache(maxsize=4)
def _places(lengths: tuple[int, ...]) -> Tensor:
    """``[2, documents]`` where each begins and how long it is, the longest first."""
    found = torch.tensor(lengths)
    longest = found.argsort(descending=True, stable=True)
    return torch.stack([found.cumsum(0) - found, found])[:, longest].contiguous()
