"""Frozen weights in 4 bits (QLoRA): a base beneath adapters, in a quarter of the memory of bf16.

Weights are NormalFloat-4 in blocks of 64, by bitsandbytes, and are computed with in the precision
of the arithmetic. Source: https://arxiv.org/abs/2305.14314.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hanhua.core.errors import DependencyError, ModelError


def bitsandbytes() -> Any:
    """The library.

    Raises:
        DependencyError: when it isn't installed.
    """
    try:
        import bitsandbytes as found
    except ImportError as error:
        raise DependencyError(
            "A base in 4 bits needs bitsandbytes.", where="lora.base_bits: 4", found=error,
            fix="pip install 'hanhua[gpu]', or leave base_bits out",
        ) from error  # fmt: skip
    return found


def quantise(model: Any, dtype: torch.dtype) -> None:
    """Put every linear layer's weight but the head's into 4 bits.

    Args:
        model: a causal LM with its weights; on any device.
        dtype: of the arithmetic.

    Raises:
        DependencyError: without bitsandbytes.
        ModelError: for a model whose linear layers are none of ``nn.Linear``.
    """
    library, head = bitsandbytes(), model.get_output_embeddings()
    modules = model.named_modules()
    layers = [(name, m) for name, m in modules if type(m) is nn.Linear and m is not head]
    if not layers:
        raise ModelError(
            "This model has no linear layers to put into 4 bits.", where="lora.base_bits: 4",
            found=type(model).__name__, fix="leave base_bits out",
        )  # fmt: skip
    for name, layer in layers:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, _quantised(library, layer, dtype))


def _quantised(library: Any, layer: nn.Linear, dtype: torch.dtype) -> Any:
    has_bias = layer.bias is not None
    found = library.nn.Linear4bit(
        layer.in_features, layer.out_features, bias=has_bias, compute_dtype=dtype,
        quant_type="nf4", device="meta",
    )  # fmt: skip
    found.weight = library.nn.Params4bit(
        layer.weight.data.to(dtype), requires_grad=False, quant_type="nf4"
    ).to(layer.weight.device)
    found.bias = layer.bias
    # on a CPU with AVX-512 BF16 the first look at held-out text would put the weight in another
    # order, which has no gradients and can't be dequantised
    found.support_avx512bf16_for_cpu = False
    return found


def is_quantised(layer: Any) -> bool:
    """Whether a layer's weight is in 4 bits."""
    return getattr(layer.weight, "quant_state", None) is not None


def dequantised(layer: Any) -> Tensor:
    """The weight of a layer in 4 bits as it is computed with, ``[O, I]``."""
    weight: Tensor = bitsandbytes().functional.dequantize_4bit(
        layer.weight.data, layer.weight.quant_state
    )
    return weight.detach()


@torch.no_grad()
def dequantise(model: Any) -> None:
    """Make layers in 4 bits plain ones in fp32 again, with the weights that were computed with.

    Adapters stay on: they were trained beside these weights, not beside the original ones.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and is_quantised(layer):
            weight = dequantised(layer).float()
            layer.__class__ = nn.Linear  # the same module, so that its hooks and children stay
            layer.weight = nn.Parameter(weight, requires_grad=False)
