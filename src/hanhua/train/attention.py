"""Attention inside each document of a flat batch, for any Hugging Face model.

Packed documents lie end to end in one row of T tokens. A dense mask that keeps them apart costs
T x T work and memory for what is mostly nothing; here each document attends to itself alone.
Documents of one length go through together, so that full rows cost one call a layer. How a model
gets it: ``packed.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hanhua.model.within import Within
from hanhua.model.within import can_attend as can_attend_within
from hanhua.train.causal import PackedCausal
from hanhua.train.varlen import Documents, attend, can_attend

NAME = "hanhua_packed"
LENGTHS = "document_lengths"
HEARD = "_hanhua_heard"
"""A dictionary that all modules of a model have in common."""


def no_mask(*args: Any, **kwargs: Any) -> None:
    """Document borders come as lengths, so there is no mask to make."""


@torch.compiler.disable  # type: ignore[untyped-decorator]
def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    document_lengths: Sequence[int] | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Causal attention in each document of a flat batch.

    Args:
        module: the attention layer that calls.
        query: ``[1, H, T, E]``.
        key: ``[1, K, T, E]``; H is a multiple of K.
        value: ``[1, K, T, E]``.
        attention_mask: unused.
        document_lengths: lengths of the documents (or ``Documents``); they sum to T. None: those
            that the model was last called with; one, if with none.
        scaling: factor of the scores, default 1/sqrt(E).
        dropout: of the attention weights.
        sliding_window: how far back a token sees, itself included; None: to the start.
        softcap: scores become ``softcap * tanh(score / softcap)``; None: they stay.
        s_aux: ``[H]`` scores of nothing, which take their part of the attention (GPT-OSS).
        kwargs: what else a model hands to attention.

    Returns:
        ``[1, T, H, E]`` and None (no weights).
    """
    if document_lengths is None:
        document_lengths = getattr(module, HEARD, {}).get(LENGTHS)
    lengths = list(document_lengths or [query.shape[2]])
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    short = sliding_window is None or sliding_window >= max(lengths)
    bent = softcap is not None or s_aux is not None
    plain = dropout == 0.0 and query.shape[-1] == value.shape[-1]
    # squeezed, for the gradient of an index is a tensor of zeros to be filled
    q, k, v = (x.squeeze(0) for x in (query, key, value))
    if prefers_ours(query) and plain and short and not bent:
        groups = query.shape[1] // key.shape[1]
        if groups > 1:
            k, v = (x.repeat_interleave(groups, 0) for x in (k, v))
        ours = Within if can_attend_within(q, k, v, scale) else PackedCausal
        out = ours.apply(q, k, v, lengths, scale)  # type: ignore[no-untyped-call]
        return out.unsqueeze(0), None
    window = None if short else sliding_window
    if dropout == 0.0 and not bent and can_attend(query, value):
        told = document_lengths
        documents = told if isinstance(told, Documents) else Documents(lengths)
        return attend(q, k, v, documents, scale, window).unsqueeze(0), None
    if short and not bent:
        return _attend_runs(q, k, v, runs(lengths), dropout, scale), None
    split = zip(*(torch.split(x, lengths, 2) for x in (query, key, value)), strict=True)
    if bent:
        # scores of one document at a time, made again in the backward pass
        parts = [
            checkpoint(_weigh, *one, s_aux, window, dropout, scale, softcap, use_reentrant=False)
            for one in split
        ]
    else:
        parts = [_attend(q, k, v, window, dropout, scale) for q, k, v in split]
    # some families look at it by ``view``, which wants it so
    return torch.cat(parts, 2).transpose(1, 2).contiguous(), None


def prefers_ours(query: Tensor) -> bool:
    """Whether our own kernel is the faster one: on a CPU in bf16.

    In fp32 PyTorch's took 0.5 to 1.1 times as long as ours (documents of 32 to 1,024 tokens, 6
    heads of 48, one Zen 3 core, PyTorch 2.13); longer only at mixed lengths about 512.
    """
    return query.device.type == "cpu" and query.dtype != torch.float32


def _attend_runs(
    query: Tensor, key: Tensor, value: Tensor, found: list[tuple[int, int, int]], dropout: float,
    scale: float,
) -> Tensor:  # fmt: skip
    """Documents by PyTorch's own kernel, neighbours of one length as a batch; ``[1, T, H, E]``."""
    sizes = [count * length for _, count, length in found]
    parts = []
    split = zip(*(torch.split(x, sizes, 1) for x in (query, key, value)), strict=True)
    for (_, count, length), heads in zip(found, split, strict=True):
        q, k, v = (torch.unflatten(x, 1, (count, length)).transpose(0, 1) for x in heads)
        parts.append(_attend(q, k, v, None, dropout, scale).transpose(1, 2).flatten(0, 1))
    return (torch.cat(parts) if len(parts) > 1 else parts[0].contiguous())[None]


def _attend(
    q: Tensor, k: Tensor, v: Tensor, window: int | None, dropout: float, scale: float
) -> Tensor:
    """One document by PyTorch's own kernel."""
    n = q.shape[2]
    mask = None if window is None or window >= n else _seen(n, window, q.device)
    return F.scaled_dot_product_attention(
        q, k, v, mask, dropout, is_causal=mask is None, scale=scale,
        enable_gqa=q.shape[1] != k.shape[1],
    )  # fmt: skip


def _weigh(
    q: Tensor, k: Tensor, v: Tensor, sinks: Tensor | None, window: int | None, dropout: float,
    scale: float, softcap: float | None,
) -> Tensor:  # fmt: skip
    """One document by plain products, for scores that PyTorch's kernel can't bend."""
    groups, n = q.shape[1] // k.shape[1], q.shape[2]
    if groups > 1:
        k, v = (x.repeat_interleave(groups, 1) for x in (k, v))
    scores = (q @ k.transpose(2, 3)).float() * scale
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores.masked_fill(~_seen(n, window, q.device), float("-inf"))
    if sinks is not None:
        scores = torch.cat([scores, sinks.float().view(1, -1, 1, 1).expand(1, -1, n, 1)], 3)
    weights = scores.softmax(-1)[..., :n].to(q.dtype)
    return F.dropout(weights, dropout) @ v


def _seen(n: int, window: int | None, device: torch.device) -> Tensor:
    """``[n, n]`` which tokens each sees: itself and those before it, as far as the window goes."""
    at = torch.arange(n, device=device)
    back = at[:, None] - at[None, :]
    seen: Tensor = (back >= 0) & (back < (n if window is None else window))
    return seen


def runs(lengths: Sequence[int]) -> list[tuple[int, int, int]]:
    """Neighbouring documents of one length: (first token, how many documents, their length)."""
    found: list[tuple[int, int, int]] = []
    at = 0
    for length in lengths:
        if found and found[-1][2] == length:
            start, count, _ = found[-1]
            found[-1] = (start, count + 1, length)
        else:
            found.append((at, 1, length))
        at += length
    return found
