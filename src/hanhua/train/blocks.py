"""A model's decoder blocks: what is sharded, computed again, or compiled as one piece."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)

from hanhua.core.config import Machine
from hanhua.core.errors import ModelError, RecipeError
from hanhua.model.lora_experts import expert_modules

_PRODUCTS = frozenset({torch.ops.aten.mm.default, torch.ops.aten.addmm.default})
"""What is dear to compute again and cheap to keep: products with weights."""
_GROUPED = torch.ops.aten._grouped_mm.default
"""The product of experts with their tokens."""


def blocks_of(model: Any) -> list[nn.Module]:
    """The decoder blocks, first to last.

    Raises:
        ModelError: for a model that doesn't say which they are.
    """
    names = set(getattr(model, "_no_split_modules", None) or ())
    found = [m for m in model.modules() if type(m).__name__ in names]
    if not found:
        raise ModelError(
            "This model doesn't name its decoder blocks.", where="base.model",
            found=type(model).__name__, fix="train it on one device, with "
            "machine.activation_checkpointing: none and machine.compile: false",
        )  # fmt: skip
    return found


def prepare_blocks(model: Any, machine: Machine) -> None:
    """Let blocks be computed again in the backward pass, or compiled, as the machine section says.

    Neither changes what is computed but for rounding.

    Raises:
        RecipeError: when compiled blocks are to be computed again in part.
    """
    how = machine.activation_checkpointing
    if how == "selective" and machine.compile:
        raise RecipeError(
            "What lies inside a compiled block can't be chosen.",
            where="machine.activation_checkpointing", found="selective, with compile: true",
            fix="set it to full or none, or compile: false",
        )  # fmt: skip
    if how == "none" and not machine.compile:
        return
    if machine.compile:
        model.get_input_embeddings().register_forward_hook(_ask_for_gradient)
    # experts' biases are added in place, so what they are added to can't be kept
    biased = any(module.has_bias for _, module in expert_modules(model))
    products = _PRODUCTS if biased else _PRODUCTS | {_GROUPED}
    for block in blocks_of(model):
        if machine.compile:  # inside what is computed again, which compiled code can't hold
            block.forward = torch.compile(block.forward, dynamic=True)
        if how != "none":
            block.forward = again(block.forward, products if how == "selective" else None)


def _ask_for_gradient(embedding: nn.Module, inputs: Any, out: Tensor) -> None:
    """Let frozen embeddings have a gradient too, as what enters every later block has.

    Compiled code is made anew where an input has none, so the first block would be compiled apart
    from the others; its inputs' gradient, which nobody uses, is the cheaper of the two.
    """
    if torch.is_grad_enabled() and out.is_leaf:
        out.requires_grad_()


def again(
    forward: Callable[..., Any], products: frozenset[Any] | None = None
) -> Callable[..., Any]:
    """A forward pass that keeps only its inputs, and is computed again in the backward pass.

    Selective: what some products give is kept too, so that only what lies between them (norms,
    activations, attention) is computed again. Source: https://arxiv.org/abs/1604.06174 (full),
    https://arxiv.org/abs/2205.05198 (selective).
    """
    options: dict[str, Any] = {"use_reentrant": False}
    if products is not None:
        keep = partial(_keep_products, products)
        options["context_fn"] = partial(create_selective_checkpoint_contexts, keep)
    return partial(_again, forward, options)


def _again(forward: Callable[..., Any], options: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
    return checkpoint(forward, *args, **options, **kwargs)


def _keep_products(
    products: frozenset[Any], context: Any, operation: Any, *args: Any, **kwargs: Any
) -> CheckpointPolicy:
    keep = operation in products
    return CheckpointPolicy.MUST_SAVE if keep else CheckpointPolicy.PREFER_RECOMPUTE
