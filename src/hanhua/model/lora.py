"""LoRA: a frozen weight learns through two thin matrices beside it, and is one weight again after.

A layer keeps its class, its names and its weight; a hook on its output adds what its adapter says.
So a model with adapters is the model it was plus a few parameters named ``….lora.A`` and
``….lora.B``, every family works alike, and taking the adapters off leaves nothing behind. The
factor, DoRA and rsLoRA are computed as peft computes them (tests hold both against each other).

A mixture's experts, whose weights are no linear layers, are :mod:`hanhua.model.lora_experts`.

Letters for shapes: I inputs of a layer, O outputs, R rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from hanhua.core.errors import TrainingError
from hanhua.model.config import LoraConfig
from hanhua.model.lora_experts import ExpertAdapter, adapt, expert_modules, expert_weights
from hanhua.model.nf4 import dequantised, is_quantised, quantise
from hanhua.model.routing import routers

NAME = "lora"
"""Of the adapter inside the layer that it belongs to."""


class Adapter(nn.Module):
    """The adapter of one linear layer (``nn.Linear``, or GPT-2's ``Conv1D``).

    Starts with B = 0 and A uniform in ±1/sqrt(I), so the layer's output is what it was.
    Source: https://arxiv.org/abs/2106.09685 (LoRA), https://arxiv.org/abs/2402.09353 (DoRA).

    Args:
        layer: gets the adapter as its child ``lora`` and a hook on its output.
        config: rank, factor, dropout, DoRA.
        generator: where A is drawn from.
    """

    def __init__(self, layer: Any, config: LoraConfig, generator: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = matrix(layer).shape
        bound = inputs**-0.5
        start = torch.empty(config.rank, inputs).uniform_(-bound, bound, generator=generator)
        here = "cpu" if layer.weight.is_meta else layer.weight.device
        self.A = nn.Parameter(start.to(here))
        self.B = nn.Parameter(self.A.new_zeros(outputs, config.rank))
        self.scale, self.dropout = config.scale, config.dropout
        self.magnitude: nn.Parameter | None = None
        if config.dora:
            # a weight on the meta device has no lengths yet: who fills it sets these
            unknown = layer.weight.is_meta
            self.magnitude = nn.Parameter(
                self.A.new_ones(outputs) if unknown else self.norms(layer)
            )
        layer.add_module(NAME, self)
        self._hook = layer.register_forward_hook(self._add)

    def _add(self, layer: Any, inputs: tuple[Tensor, ...], out: Tensor) -> Tensor:
        """The layer's output with the adapter's part."""
        x = F.dropout(inputs[0], self.dropout, self.training)
        low = F.linear(F.linear(x, self.A) * self.scale, self.B)
        total = out + low
        if self.magnitude is None:
            return total
        bare = total if layer.bias is None else total - layer.bias
        # the same as (magnitude / norms) * bare + bias, but exactly ``out`` at the start
        return (total + (self.magnitude / self.norms(layer) - 1) * bare).to(out.dtype)

    def summed(self, layer: Any) -> Tensor:
        """``W + scale B A`` in fp32, ``[O, I]``, without DoRA's lengths."""
        return matrix(layer).float() + self.scale * (self.B.float() @ self.A.float())

    @torch.no_grad()
    def norms(self, layer: Any) -> Tensor:
        """Lengths of the rows of the sum, ``[O]``; to the gradient a constant, as in the paper."""
        return lengths(self.summed(layer))

    @torch.no_grad()
    def merge(self, layer: Any) -> None:
        """Put ``W + scale B A`` (with DoRA's lengths) into the weight, and go.

        Computed in fp32 and rounded once, to the weight's dtype.
        """
        merged = self.summed(layer)
        if self.magnitude is not None:
            merged *= (self.magnitude.float() / self.norms(layer))[:, None]
        matrix(layer).copy_(merged)
        self._hook.remove()
        delattr(layer, NAME)


def lengths(weight_OI: Tensor) -> Tensor:
    """Lengths of a matrix's rows in fp32, ``[O]``.

    A row of zeros counts as of length 1: it has no direction, and must not divide by 0.
    """
    found = torch.linalg.vector_norm(weight_OI.float(), dim=1)
    return torch.where(found == 0, torch.ones_like(found), found)


def matrix(layer: Any) -> Tensor:
    """A view of a layer's weight as ``[O, I]``; GPT-2's ``Conv1D`` holds the transposed.

    Of a weight in 4 bits it is no view.
    """
    if is_quantised(layer):
        return dequantised(layer)
    weight: Tensor = layer.weight.detach()
    return weight.t() if isinstance(layer, Conv1D) else weight


def add_adapters(model: Any, config: LoraConfig, seed: int, dtype: torch.dtype) -> None:
    """Freeze a model, and give its linear layers adapters that don't change its output yet.

    Args:
        model: a causal LM of any family; what doesn't learn is cast to ``dtype``, for good.
        config: the ``lora`` part of a section.
        seed: of the adapters' start; nobody else's random numbers are touched.
        dtype: of the arithmetic.

    Raises:
        TrainingError: a target that the model doesn't have, or no linear layer under its name;
            experts and what they can't have.
        DependencyError: for a base in 4 bits, without the library for it.
    """
    targets, experts = find_targets(model, config), find_experts(model, config)
    _check_experts(model, config, bool(experts))
    learning = {id(end.weight) for _, end in end_modules(model)} if config.embeddings else set()
    for parameter in model.parameters():
        if id(parameter) not in learning:
            parameter.requires_grad_(False)
            parameter.data = parameter.data.to(dtype)
    if config.base_bits == 4:
        quantise(model, dtype)
        targets = find_targets(model, config)
    generator = torch.Generator().manual_seed(seed)
    for _, layer in targets:
        Adapter(layer, config, generator)
    for module, weights in experts:
        adapt(module, weights, config, generator)


def find_experts(model: Any, config: LoraConfig) -> list[tuple[Any, list[str]]]:
    """The modules of experts that adapters go to, with the names of their weights."""
    found = []
    for name, module in expert_modules(model):
        weights = expert_weights(module)
        if config.targets != "auto":
            weights = [w for w in weights if any(_fits(f"{name}.{w}", t) for t in config.targets)]
        if weights:
            found.append((module, weights))
    return found


def _check_experts(model: Any, config: LoraConfig, adapted: bool) -> None:
    """Refuse what experts can't have, before anything is changed."""
    if adapted and config.dora:
        raise TrainingError(
            "DoRA is for linear layers, and this model's experts are none.", where="lora.dora",
            found=type(model).__name__,
            fix="set dora: false, or name other targets, such as [q_proj, k_proj, v_proj, o_proj]",
        )  # fmt: skip
    if config.base_bits == 4 and any(True for _ in expert_modules(model)):
        raise TrainingError(
            "Experts can't be held in 4 bits, and they are most of this model.",
            where="lora.base_bits", found=type(model).__name__,
            fix="leave base_bits out",
        )  # fmt: skip


def find_targets(model: Any, config: LoraConfig) -> list[tuple[str, Any]]:
    """The linear layers that adapters go to, with their names; the head and routers never are.

    Raises:
        TrainingError: naming the target and what there is.
    """
    head = model.get_output_embeddings()
    choosing = {id(router) for _, router in routers(model)}  # of which some are linear layers too
    linear = {
        name: module for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, Conv1D)) and module is not head
        and id(module) not in choosing
    }  # fmt: skip
    if config.targets == "auto":  # a gate of one number has nothing thinner than itself
        return [pair for pair in linear.items() if 1 not in pair[1].weight.shape]
    experts = [f"{n}.{weight}" for n, m in expert_modules(model) for weight in expert_weights(m)]
    for target in config.targets:
        if not any(_fits(name, target) for name in (*linear, *experts)):
            there = sorted({name.rsplit(".", 1)[-1] for name in (*linear, *experts)})
            raise TrainingError(
                "LoRA has a target that is no linear layer of this model's body.",
                where="lora.targets", found=f"{target}; there are {', '.join(there)}",
                fix="name layers of this model, set targets: auto, or (for embeddings and head) "
                "embeddings: true",
            )  # fmt: skip
    return [pair for pair in linear.items() if any(_fits(pair[0], t) for t in config.targets)]


def _fits(name: str, target: str) -> bool:
    """Whether a layer's name ends in a target, by whole parts (peft's rule)."""
    return name == target or name.endswith(f".{target}")


def adapters(model: Any) -> Iterator[tuple[str, Any, Adapter | ExpertAdapter]]:
    """Name, layer and adapter of each layer that has one; of experts, each weight's."""
    for name, module in list(model.named_modules()):
        found = getattr(module, NAME, None)
        if isinstance(found, Adapter):
            yield name, module, found
        elif isinstance(found, nn.ModuleDict):
            for weight, adapter in list(found.items()):
                assert isinstance(adapter, ExpertAdapter)
                yield f"{name}.{weight}", module, adapter


def trained_names(model: Any, config: LoraConfig) -> set[str]:
    """Names of the parameters that learn: the adapters', and both ends where they are asked for."""
    ends = [id(end.weight) for _, end in end_modules(model)] if config.embeddings else []
    inside = {id(p) for _, _, adapter in adapters(model) for p in adapter.parameters()}
    return {n for n, p in model.named_parameters() if id(p) in inside or id(p) in ends}


def end_modules(model: Any) -> list[tuple[str, Any]]:
    """Input embedding and head with their module names; both, even where they share a weight."""
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    names = {id(module): name for name, module in model.named_modules()}
    return [(names[id(end)], end) for end in ends if end is not None]


def keeps_fp32(name: str) -> bool:
    """Whether a parameter stays in fp32 whatever the arithmetic.

    DoRA's lengths move by less than bf16 can show, and a rounded length would no longer be that
    of the frozen weight at the start.
    """
    return name.endswith(f".{NAME}.magnitude")


def merge_adapters(model: Any) -> None:
    """Make every weight with an adapter one weight again, in its own dtype."""
    for _, layer, adapter in adapters(model):
        adapter.merge(layer)
