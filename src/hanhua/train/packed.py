"""Attention inside documents put into a model, and tried out.

It is registered with transformers' own attention table, hence any model that uses the table has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface

from hanhua.core.errors import ModelError
from hanhua.model.fuse import fuse
from hanhua.model.routing import Routes, taken_again, written_down
from hanhua.model.supported import context_tokens, plain_attention
from hanhua.train.attention import HEARD, LENGTHS, NAME, no_mask, packed_attention

PROBE_LENGTHS = (7, 5)
"""Tokens of the documents that a model is tried out on."""


def enable(model: Any) -> None:
    """Let a model run flat batches: ``model(ids, position_ids=…, document_lengths=[…])``.

    What lies between its products is fused too. All is tried out: two documents packed must come
    out as each alone did before. That finds models
    whose layers mix them by another way than attention, or ask attention for what it can't do here.
    A model without weights is tried out when it has got them, see :func:`try_out`.

    Raises:
        ModelError: when the model doesn't take its attention from transformers' table, or that is
            not all that lies between its documents.
    """
    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, no_mask)
    if not getattr(model, "_supports_attention_backend", False):
        raise ModelError(
            "This model's attention cannot be replaced, so packed documents would see each other.",
            where="base.model", found=type(model).__name__,
            fix="use a model of a family that supports attention backends (Llama, Mistral, Qwen)",
        )  # fmt: skip
    _listen(model)
    if model.config._attn_implementation == NAME or any(p.is_meta for p in model.parameters()):
        model.set_attn_implementation(NAME)
        fuse(model)
        return
    was_training = model.training
    model.eval()
    model.set_attn_implementation(plain_attention(model))
    alone, routes = _alone(model)
    model.set_attn_implementation(NAME)
    fuse(model)
    _check_packed(model, alone, routes)
    model.train(was_training)


def try_out(model: Any) -> None:
    """Try out a model that had no weights when packed attention was enabled.

    Raises:
        ModelError: when packed documents don't come out as each alone.
    """
    was_training = model.training
    model.eval()
    model.set_attn_implementation(plain_attention(model))
    alone, routes = _alone(model)
    model.set_attn_implementation(NAME)
    _check_packed(model, alone, routes)
    model.train(was_training)


def _listen(model: Any) -> None:
    """Let every module know the documents of the batch at hand.

    Most blocks hand the argument on to their attention; some (Nemotron's) don't.
    """
    if hasattr(model, HEARD):
        return
    heard: dict[str, Any] = {}
    for module in model.modules():
        setattr(module, HEARD, heard)
    for body in {model, model.base_model}:  # OPT calls what is inside its body
        body.register_forward_pre_hook(_hear, with_kwargs=True)


def _hear(body: Any, args: Any, arguments: dict[str, Any]) -> None:
    getattr(body, HEARD)[LENGTHS] = arguments.get(LENGTHS)


def _probe(model: Any) -> list[Tensor]:
    """Two documents of some ids, ``[1, S]`` each."""
    embedding = model.get_input_embeddings().weight
    places = torch.arange(1, sum(PROBE_LENGTHS) + 1, device=embedding.device)
    ids = places * 7919 % embedding.shape[0]
    return [part[None] for part in ids.split(PROBE_LENGTHS)]


@torch.no_grad()
def _states(model: Any, ids: Tensor, arguments: dict[str, Any]) -> Tensor:
    """Last hidden states in fp32, ``[1, S, D]``."""
    states: Tensor = model.base_model(input_ids=ids, use_cache=False, **arguments).last_hidden_state
    return states.float()


def _alone(model: Any) -> tuple[Tensor, Routes]:
    """Last hidden states of the probe's documents, each by itself, and which experts made them."""
    with written_down(model) as routes:
        states = torch.cat([_states(model, ids, {}) for ids in _probe(model)], 1)
    return states, routes


def _check_packed(model: Any, alone: Tensor, routes: Routes) -> None:
    if not bool(torch.isfinite(alone).all()):  # the weights are broken, which training will say
        return
    places = torch.cat([torch.arange(n, device=alone.device) for n in PROBE_LENGTHS])
    arguments = {"position_ids": places[None], "document_lengths": list(PROBE_LENGTHS)}
    try:
        with _windows() as (masked, told), taken_again(model, routes):
            packed = _states(model, torch.cat(_probe(model), 1), arguments)
        off = float((packed - alone).norm(dim=-1).max() / alone.norm(dim=-1).mean())
    except (TypeError, ValueError, RuntimeError) as error:  # it takes no such arguments
        off, why = float("inf"), str(error)
    else:
        why = f"hidden states differ by {off:.2g} of their length"
    if not off <= (1e-3 if model.dtype == torch.float32 else 0.2):
        raise ModelError(
            "Packed documents don't come out as each alone in this model.",
            where=type(model).__name__, found=why, fix="use another base",
        )  # fmt: skip
    # a window of 0 tokens is none: Qwen2-MoE's config says so, and makes a mask that no layer uses
    lost = {n for n in masked - told if 0 < n < (context_tokens(model.config) or n + 1)}
    if lost:  # documents of the probe are shorter, so it can't show there
        raise ModelError(
            "This model looks back through a window that its attention is not told of.",
            where=type(model).__name__, found=f"a window of {min(lost)} tokens, in masks alone",
            fix="use another base, or one of this kind without sliding_window in its config.json",
        )  # fmt: skip


@contextmanager
def _windows() -> Iterator[tuple[set[int], set[int]]]:
    """The windows that a model's masks are made with, and those that its attention is told of."""
    masked: set[int] = set()
    told: set[int] = set()

    def mask(*args: Any, local_size: int | None = None, **kwargs: Any) -> None:
        masked.update([] if local_size is None else [local_size])

    def attention(*args: Any, sliding_window: int | None = None, **kwargs: Any) -> Any:
        told.update([] if sliding_window is None else [sliding_window])
        return packed_attention(*args, sliding_window=sliding_window, **kwargs)

    AttentionMaskInterface.register(NAME, mask)
    AttentionInterface.register(NAME, attention)
    try:
        yield masked, told
    finally:
        AttentionMaskInterface.register(NAME, no_mask)
        AttentionInterface.register(NAME, packed_attention)
