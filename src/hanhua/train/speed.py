"""How much of what the machine can multiply the training uses: a number for the bar.

The limit is measured, not looked up: the rate of one large product of the shapes and precision of
this model, on this machine, as busy as it is now. What counts is what the model needs (no
recomputation, no padding), so the share is what others call model FLOPs utilisation, held against
a limit that can be reached. Nothing of it goes into the log, which knows no clock.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from hanhua.model.lora import adapters
from hanhua.model.lora_experts import ExpertAdapter, expert_modules, expert_weights, top_k_of
from hanhua.tokens.rows import PackedRows
from hanhua.train import parallel
from hanhua.train.optim import DTYPES
from hanhua.train.precision import Precision

MEASURE_S = 0.2
LOOK_AT = 1_000_000
"""Documents whose lengths give the mean cost of attention."""


@dataclass(slots=True)
class Speed:
    """Counts FLOPs against a limit.

    Args:
        body_flops: of a token, without the head.
        head_flops: of a predicted token.
        limit_flops: a second, of all processes together.
    """

    body_flops: float
    head_flops: float
    limit_flops: float
    last: float = field(default_factory=time.monotonic)

    def share(self, tokens: int, targets: int) -> float:
        """The share of the limit that the time since the last call has used.

        Args:
            tokens: learnt from since.
            targets: predicted among them.
        """
        now = time.monotonic()
        seconds, self.last = max(now - self.last, 1e-9), now
        flops = tokens * self.body_flops + targets * self.head_flops
        return flops / seconds / self.limit_flops


def speed_of(model: Any, rows: PackedRows, precision: Precision, device: str) -> Speed:
    """What training a model on rows costs, and what this machine can do; takes a moment."""
    body, head = weight_flops(model)
    body += attention_flops(model.config, rows)
    limit = matmul_limit(model.config, DTYPES[precision], device) * parallel.size()
    return Speed(body, head, limit)


def weight_flops(model: Any) -> tuple[float, float]:
    """FLOPs of a token in the products with weights, forward and backward: body, and head.

    Two for each number of a weight forward, two for the gradient that goes on down, and two for
    the weight's own where it learns.
    """
    head = model.get_output_embeddings()
    body = 0.0
    for module in model.modules():
        if isinstance(module, (nn.Linear, Conv1D)) and module is not head:
            shape = getattr(module, "in_features", 0) * getattr(module, "out_features", 0)
            numbers = shape or module.weight.numel()
            body += numbers * (6 if module.weight.requires_grad else 4)
    for _, module, adapter in adapters(model):
        met = met_share(module) if isinstance(adapter, ExpertAdapter) else 1.0
        body += 6 * met * (adapter.A.numel() + adapter.B.numel())
    for _, module in expert_modules(model):
        for name in expert_weights(module):
            weight = getattr(module, name)
            body += met_share(module) * weight.numel() * (6 if weight.requires_grad else 4)
    learns = head.weight.requires_grad
    return body, float(head.weight.numel() * (6 if learns else 4))


def met_share(experts: Any) -> float:
    """The part of a layer's experts that a token goes to."""
    return top_k_of(experts.config) / int(experts.num_experts)


def attention_flops(config: Any, rows: PackedRows) -> float:
    """FLOPs of a token in attention, forward and backward, at the mean length that it sees."""
    lengths = rows.segments[:LOOK_AT].astype("float64")
    seen = float((lengths * (lengths + 1)).sum() / 2 / max(lengths.sum(), 1))
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return float(12 * config.num_hidden_layers * heads * width * seen)


@torch.no_grad()
def matmul_limit(config: Any, dtype: torch.dtype, device: str) -> float:
    """FLOP/s of one product ``[2048, D] x [D, F]`` of this model's width, the best of a few."""
    wide = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    wide = wide[0] if isinstance(wide, list) else wide
    a = torch.randn(2048, config.hidden_size, device=device).to(dtype)
    b = torch.randn(wide, config.hidden_size, device=device).to(dtype)
    flops, best, end = 2.0 * a.shape[0] * b.numel(), 0.0, time.monotonic() + MEASURE_S
    while time.monotonic() < end:
        start = time.monotonic()
        torch.mm(a, b.t())
        if device != "cpu":
            torch.cuda.synchronize()
        best = max(best, flops / (time.monotonic() - start))
    return best
