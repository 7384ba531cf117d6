"""LoRA on a layer's experts, whose weights are one tensor for all of them.

transformers keeps experts as parameters ``[E, O, I]`` (``[E, I, O]`` in GPT-OSS) of one module, so
there is no linear layer to put an adapter beside. Here each expert has thin matrices of its own.
The module computes as transformers' grouped products do, tokens sorted by expert, and adds what
the adapters say; peft adds ``B A`` to the whole weight instead, in every pass.

A token meets k experts of a layer at once, so a rank that is spread over them (rank / k each) gives
it as many adapter numbers as a dense layer would. That also keeps E adapters small.

Letters for shapes: E experts, O outputs, I inputs, R rank, S tokens times experts of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanhua.model.config import LoraConfig
from hanhua.model.experts import expert_rank

WEIGHTS = ("gate_up_proj", "up_proj", "down_proj")
"""Names of the weights in the module of a layer's experts."""
_classes: dict[type, type] = {}


def expert_modules(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Name and module of each layer's experts, where they are computed as grouped products."""
    for name, module in model.named_modules():
        if is_experts(module):
            yield name, module


def is_experts(module: Any) -> bool:
    """Whether a module is a layer's experts, computed as grouped products."""
    return hasattr(module, "is_transposed") and hasattr(module, "_apply_gate")


def expert_weights(module: Any) -> list[str]:
    """Names of a module's weights that can have adapters."""
    own = dict(module.named_parameters(recurse=False))
    return [name for name in WEIGHTS if name in own and own[name].ndim == 3]


def top_k_of(config: Any) -> int:
    """To how many experts of a layer a token goes."""
    names = ("num_experts_per_tok", "moe_top_k", "moe_topk", "num_experts_per_token")
    found = next((getattr(config, name) for name in names if getattr(config, name, None)), 1)
    return int(max(found) if isinstance(found, (list, tuple)) else found)


class ExpertAdapter(nn.Module):
    """The adapters of one weight of a layer's experts.

    Starts with B = 0 and A uniform in ±1/sqrt(I), as other adapters do.

    Args:
        module: the experts.
        weight: the name of their weight.
        config: rank, factor, dropout.
        generator: where A is drawn from.
    """

    magnitude = None

    def __init__(
        self, module: Any, weight: str, config: LoraConfig, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.weight, self.transposed = weight, bool(module.is_transposed)
        held = getattr(module, weight)
        experts, outputs, inputs = self.matrices(module).shape
        self.rank = expert_rank(config.rank, top_k_of(module.config))
        start = torch.empty(experts, self.rank, inputs)
        start.uniform_(-(inputs**-0.5), inputs**-0.5, generator=generator)
        self.A = nn.Parameter(start.to("cpu" if held.is_meta else held.device))
        self.B = nn.Parameter(self.A.new_zeros(experts, outputs, self.rank))
        self.scale, self.dropout = config.scale, config.dropout

    def matrices(self, module: Any) -> Tensor:
        """A view of the weight as ``[E, O, I]``."""
        held: Tensor = getattr(module, self.weight).detach()
        return held.transpose(1, 2) if self.transposed else held

    def low(self, inputs_SI: Tensor, ends_E: Tensor) -> Tensor:
        """What the adapters add, ``[S, O]``."""
        x = F.dropout(inputs_SI, self.dropout, self.training)
        inner = grouped(x, self.A.transpose(1, 2), ends_E) * self.scale
        return grouped(inner, self.B.transpose(1, 2), ends_E)

    @torch.no_grad()
    def merge(self, module: Any) -> None:
        """Put ``W + scale B A`` into the weight, computed in fp32 and rounded once, and go."""
        for weight_OI, a, b in zip(self.matrices(module), self.A, self.B, strict=True):
            weight_OI.copy_(weight_OI.float() + self.scale * (b.float() @ a.float()))
        left = module.lora
        del left[self.weight]
        if not left:
            del module.lora
            module.__class__ = type(module).__mro__[1]


def adapt(module: Any, weights: list[str], config: LoraConfig, generator: torch.Generator) -> None:
    """Give a layer's experts adapters that don't change what they compute yet.

    Args:
        module: of :func:`expert_modules`.
        weights: of :func:`expert_weights`.
        config: the ``lora`` part of a section.
        generator: where the adapters are drawn from.
    """
    adapters = {name: ExpertAdapter(module, name, config, generator) for name in weights}
    module.add_module("lora", nn.ModuleDict(adapters))
    kind = type(module)
    if kind not in _classes:
        members = {"forward": _forward, "__module__": kind.__module__}
        _classes[kind] = type(kind.__name__, (kind,), members)
    module.__class__ = _classes[kind]


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _forward(self: Any, hidden_TI: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
    """Each token through its experts, summed with the router's weights."""
    tokens, top_k = top_k_index.shape
    experts_S, order = top_k_index.flatten().sort(stable=True)
    counts = torch.zeros(self.num_experts, dtype=torch.int32, device=hidden_TI.device)
    counts.index_add_(0, experts_S, torch.ones_like(experts_S, dtype=torch.int32))
    ends_E = counts.cumsum(0, dtype=torch.int32)
    first = "gate_up_proj" if self.has_gate else "up_proj"
    inner = _linear(self, first, hidden_TI[order // top_k], experts_S, ends_E)
    inner = self._apply_gate(inner) if self.has_gate else self.act_fn(inner)
    out = _linear(self, "down_proj", inner, experts_S, ends_E)
    if getattr(self, "has_post_expert_norm", False):
        out = self.post_expert_norm(out)
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)
    weighted = (out * top_k_weights.flatten()[order, None])[back]
    return weighted.view(tokens, top_k, -1).sum(1).to(hidden_TI.dtype)


def _linear(self: Any, name: str, x: Tensor, experts_S: Tensor, ends_E: Tensor) -> Tensor:
    weight = getattr(self, name)
    out = grouped(x, weight if self.is_transposed else weight.transpose(1, 2), ends_E)
    if name in self.lora:
        out = out + self.lora[name].low(x, ends_E)
    return out + getattr(self, f"{name}_bias")[experts_S] if self.has_bias else out


def grouped(x_SI: Tensor, weight_EIO: Tensor, ends_E: Tensor) -> Tensor:
    """Rows times the matrix of their group, ``[S, O]``.

    Args:
        x_SI: ``[S, I]``, group after group.
        weight_EIO: ``[E, I, O]``.
        ends_E: int32, where each group ends.
    """
    x_SI = x_SI.to(weight_EIO.dtype)
    sizes = (weight_EIO.shape[1], weight_EIO.shape[2])
    if not any(size * weight_EIO.element_size() % 16 for size in sizes):
        found: Tensor = F.grouped_mm(x_SI, weight_EIO, offs=ends_E)
        return found
    ends = ends_E.tolist()
    sizes_E = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    parts = torch.split(x_SI, sizes_E)
    return torch.cat([x @ w for x, w in zip(parts, weight_EIO.unbind(), strict=True)])
