"""Which models can be taken the whole way: told from what they are built of, not from their names.

A model must be a decoder of attention layers only, whose attention can be replaced (packed
documents must not see each other), with one table of tokens at the bottom and one matrix at the
top (both grow). What can't be seen in its parts is tried out when it is loaded to be trained, see
:func:`hanhua.train.packed.enable` and :func:`hanhua.model.head.head_form`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn
from transformers import PreTrainedConfig

from hanhua.core.errors import ModelError
from hanhua.model.ends import Ends, ends_of

LAYERS = frozenset({"full_attention", "sliding_attention"})
"""Kinds of layers that packed attention computes. Others (state spaces, linear or chunked
attention, convolutions) carry something from one document of a row to the next."""


def check_supported(model: Any, config: PreTrainedConfig, where: Path) -> Ends:
    """Refuse a model that some stage could not take.

    Args:
        model: an empty one will do.
        config: what it was built from.
        where: for the message.

    Returns:
        Its ends.

    Raises:
        ModelError: saying why.
    """
    for fault in (_attention, _layers, _direction, _tables):
        found = _parts(config) or fault(model)
        if found:
            raise ModelError(
                "This kind of model is not supported.", where=where,
                found=f"model_type {config.model_type!r}: {found}",
                fix="choose a decoder-only text model, such as a Llama, Mistral, Qwen2 or Qwen3, "
                "Gemma, Phi, GPT-2 or GPT-NeoX",
            )  # fmt: skip
    return ends_of(model)


def plain_attention(model: Any) -> str:
    """The attention to evaluate with: PyTorch's kernel, unless the model's scores need more.

    (transformers 5.17 gives capped scores to that kernel, which leaves the cap out in silence.)
    """
    capped = getattr(model.config, "attn_logit_softcapping", None) is not None
    return "sdpa" if getattr(model, "_supports_sdpa", False) and not capped else "eager"


def context_tokens(config: PreTrainedConfig) -> int | None:
    """The longest text of a model, in tokens, under whichever name its config has it."""
    found = getattr(config, "max_position_embeddings", None)
    return int(found) if found else None


def _parts(config: PreTrainedConfig) -> str | None:
    if config.get_text_config() is not config:
        return "it is made of several models (it reads more than text)"
    if getattr(config, "quantization_config", None):
        return "its weights are quantised"
    return "it has an encoder" if config.is_encoder_decoder else None


def _attention(model: Any) -> str | None:
    if getattr(model, "_supports_attention_backend", False):
        return None
    return "its attention can't be replaced, so packed documents would see each other"


def _layers(model: Any) -> str | None:
    kinds = set(getattr(model.config, "layer_types", None) or ()) - LAYERS
    if kinds:
        return f"it has layers of the kind {', '.join(sorted(kinds))}"
    return "it keeps a state between tokens" if getattr(model, "_is_stateful", False) else None


def _direction(model: Any) -> str | None:
    both = any(getattr(module, "is_causal", True) is False for module in model.modules())
    return "its layers look at both sides of a token" if both else None


def _tables(model: Any) -> str | None:
    """A second table with a row for each token would have to grow with the first."""
    embedding = model.get_input_embeddings()
    if not isinstance(embedding, nn.Embedding):
        return "it has no embedding"
    context = context_tokens(model.config) or 0
    for name, module in model.named_modules():
        rows = module.num_embeddings if isinstance(module, nn.Embedding) else 0
        of_positions = context <= rows < context + 16
        if module is not embedding and 2 * rows >= embedding.num_embeddings and not of_positions:
            return f"it has a second table of tokens, {name}"
    return None
