"""Attention inside each document of a flat batch, for any Hugging Face model.

Packed documents lie end to end in one row of T tokens. A dense mask that keeps them apart costs
T x T work and memory for what is mostly nothing; here each document attends to itself alone.
Documents of one length go through together, so that full rows cost one call a layer. It is
registered with transformers' own attention table, hence any model that uses the table has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

from hanhua.core.errors import ModelError
from hanhua.train.causal import PackedCausal

NAME = "hanhua_packed"


def enable(model: Any) -> None:
    """Let a model run flat batches: ``model(ids, position_ids=…, document_lengths=[…])``.

    Raises:
        ModelError: when the model doesn't take its attention from transformers' table.
    """
    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, no_mask)
    if not getattr(model, "_supports_attention_backend", False):
        raise ModelError(
            "This model's attention cannot be replaced, so packed documents would see each other.",
            where="base.model", found=type(model).__name__,
            fix="use a model of a family that supports attention backends (Llama, Mistral, Qwen)",
        )  # fmt: skip
    model.set_attn_implementation(NAME)


def no_mask(*args: Any, **kwargs: Any) -> None:
    """Document borders come as lengths, so there is no mask to make."""


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
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Causal attention in each document of a flat batch.

    Args:
        module: the attention layer that calls.
        query: ``[1, H, T, E]``.
        key: ``[1, K, T, E]``; H is a multiple of K.
        value: ``[1, K, T, E]``.
        attention_mask: unused.
        document_lengths: lengths of the documents; they sum to T. None: one document.
        scaling: factor of the scores, default 1/sqrt(E).
        dropout: of the attention weights.
        sliding_window: how far back a token sees, itself included; None: to the start.
        softcap: not supported.
        kwargs: what else a model hands to attention.

    Returns:
        ``[1, T, H, E]`` and None (no weights).

    Raises:
        ModelError: for models that cap their attention scores.
    """
    if softcap is not None:
        raise ModelError(
            "This model caps its attention scores, which packed attention cannot do yet.",
            where=type(module).__name__, found=f"softcap {softcap}", fix="use another base",
        )  # fmt: skip
    lengths = list(document_lengths or [query.shape[2]])
    plain = dropout == 0.0 and (sliding_window is None or sliding_window >= max(lengths))
    if query.device.type == "cpu" and plain:
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        groups = query.shape[1] // key.shape[1]
        if groups > 1:
            key, value = (x.repeat_interleave(groups, 1) for x in (key, value))
        out = PackedCausal.apply(query[0], key[0], value[0], runs(lengths), scale)  # type: ignore[no-untyped-call]
        return out.unsqueeze(0), None
    window = None if plain else sliding_window
    split = [torch.split(x, lengths, 2) for x in (query, key, value)]
    parts = [_attend(q, k, v, window, dropout, scaling) for q, k, v in zip(*split, strict=True)]
    return torch.cat(parts, 2).transpose(1, 2), None


def _attend(
    q: Tensor, k: Tensor, v: Tensor, window: int | None, dropout: float, scaling: float | None
) -> Tensor:
    """One document by PyTorch's own kernel."""
    n = q.shape[2]
    mask = None
    if window is not None and window < n:
        at = torch.arange(n, device=q.device)
        back = at[:, None] - at[None, :]
        mask = (back >= 0) & (back < window)
    return F.scaled_dot_product_attention(
        q, k, v, mask, dropout, is_causal=mask is None, scale=scaling,
        enable_gqa=q.shape[1] != k.shape[1],
    )  # fmt: skip


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
