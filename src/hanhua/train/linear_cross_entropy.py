"""The last linear layer and cross-entropy in one, never holding all logits.

After a vocabulary grows, the logits are by far the largest tensor of training (8,192 tokens of
55,296 logits in fp32 are 1.8 GB, and the same again for their gradient). Here a chunk of tokens
at a time gets its logits, its softmax *in the same memory*, and both gradients, still in the
forward pass: the gradient of cross-entropy is softmax minus one-hot, so nothing has to be kept
for the backward pass but the two results. Tokens that are not predicted never meet the matrix.

On a CPU that multiplies tiles of bf16 (AMX) :mod:`hanhua.model.head_tiles` does the same without
ever leaving the cache.

Letters for shapes: N predicted tokens, D hidden size, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from hanhua.model.head_tiles import can_tile, tiled_gradients, tiled_losses
from hanhua.model.kernels import can_run, surprise_
from hanhua.train.chunks import chunk_and_tile, shortfall
from hanhua.train.memory import onto

IGNORE = -100
CACHEFUL = 256 * 1024
"""Values in fp32 that a processor core's cache holds."""
Bend = tuple[float, float | None]
"""Factor of the logits, and their softcap."""
PLAIN: Bend = (1.0, None)


def linear_cross_entropy(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    labels_N: Tensor,
    bias_V: Tensor | None = None,
    *,
    scale: float = 1.0,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    weights_N: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of ``hidden @ weight.T + bias`` against labels, summed, times a scale.

    With a softcap c and a factor f of the logits, z' = c tanh(f z / c) takes their place.

    Args:
        hidden_ND: ``[N, D]``.
        weight_VD: ``[V, D]``, same dtype as hidden.
        labels_N: ``[N]`` ids; ``IGNORE`` (-100) where nothing is predicted. On the CPU even if the
            others are not: a GPU would have to be waited for until it has counted them.
        bias_V: ``[V]`` or None.
        scale: factor of the loss and its gradients, e.g. 1 / predicted tokens of the whole step.
        logit_scale: factor of the logits (Cohere, Granite).
        softcap: what no logit exceeds (Gemma 2); None: no cap.
        weights_N: ``[N]`` fp32, a factor of each token's loss in the sum; None: 1 for all.

    Returns:
        The scaled loss (a scalar with a gradient) and the loss of every token, ``[N]`` fp32,
        unscaled, 0 where ignored, without a gradient.
    """
    loss, losses = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden_ND, weight_VD, labels_N, bias_V, scale, (logit_scale, softcap), weights_N
    )
    return loss, losses


@torch.no_grad()
def token_losses(
    hidden_ND: Tensor, weight_VD: Tensor, labels_N: Tensor, bias_V: Tensor | None = None, *,
    logit_scale: float = 1.0, softcap: float | None = None,
) -> Tensor:  # fmt: skip
    """Every token's cross-entropy alone, without a gradient, a chunk of logits at a time.

    The logarithm is taken in fp32 of the logits themselves: sums over an answer are wanted to more
    digits than a bf16 softmax has.

    The arguments are those of :func:`linear_cross_entropy`.

    Returns:
        ``[N]`` fp32, 0 where ignored.
    """
    at = (labels_N != IGNORE).nonzero().squeeze(1)
    kept_labels, at = (onto(x, hidden_ND.device) for x in (labels_N[at], at))
    kept, bend = hidden_ND.detach().index_select(0, at), (logit_scale, softcap)
    losses = torch.zeros(len(labels_N), dtype=torch.float32, device=hidden_ND.device)
    if bias_V is None and bend == PLAIN and can_tile(kept, weight_VD):
        losses[at] = tiled_losses(kept, weight_VD.detach(), kept_labels)
        return losses
    n, vocab = kept.shape[0], weight_VD.shape[0]
    _, tile = chunk_and_tile(n, vocab, 4, cuda=hidden_ND.device.type == "cuda")
    for start in range(0, n, tile):
        logits = torch.mm(kept[start : start + tile], weight_VD.detach().t())
        if bias_V is not None:
            logits.add_(bias_V.detach())
        _bend(logits, bend)
        part = kept_labels[start : start + tile]
        losses[at[start : start + tile]] = cross_entropy(logits.float(), part, reduction="none")
    return losses


class _LinearCrossEntropy(torch.autograd.Function):
    """Loss and gradients in the forward; the backward only hands them out."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, bias: Tensor | None,
        scale: float, bend: Bend, weights: Tensor | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        at = (labels != IGNORE).nonzero().squeeze(1)
        whole = at.numel() == labels.numel()
        kept_labels, at = (onto(x, hidden.device) for x in (labels[at], at))
        kept = hidden.detach() if whole else hidden.detach().index_select(0, at)
        need_weight = ctx.needs_input_grad[1]
        if weights is not None:
            weights = weights if whole else weights.index_select(0, at)
        losses, d_kept, d_weight, d_bias = _chunks(
            kept, weight.detach(), kept_labels, None if bias is None else bias.detach(),
            scale, need_weight, bend, weights,
        )  # fmt: skip
        d_hidden = d_kept if whole else torch.zeros_like(hidden).index_copy_(0, at, d_kept)
        if d_bias is not None and bias is not None:
            d_bias = d_bias.to(bias.dtype)
        all_losses = losses if whole else losses.new_zeros(len(labels)).index_copy_(0, at, losses)
        ctx.gradients = (d_hidden, d_weight, d_bias)
        ctx.mark_non_differentiable(all_losses)
        total = losses.sum() if weights is None else losses @ weights
        return total * scale, all_losses

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, d_weight, d_bias = ctx.gradients
        ctx.gradients = None
        # a factor behind us; loops that use ``scale`` have none (a GPU is not asked: it would wait)
        if grads[0].device.type == "cuda" or bool(grads[0] != 1.0):
            for g in (d_hidden, d_weight, d_bias):
                if g is not None:
                    g.mul_(grads[0])
        return d_hidden, d_weight, None, d_bias, None, None, None


def _chunks(
    hidden: Tensor, weight: Tensor, labels: Tensor, bias: Tensor | None, scale: float,
    need_weight: bool, bend: Bend, weights: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:  # fmt: skip
    """Losses and gradients (of the weighted losses, scaled), a chunk of tokens at a time."""
    if bias is None and bend == PLAIN and can_tile(hidden, weight):
        return *tiled_gradients(
            hidden, weight, labels, weights, scale, need_weight=need_weight
        ), None  # fmt: skip
    real, cuda = len(labels), hidden.device.type == "cuda"
    if not cuda and (fill := shortfall(real)):
        hidden, labels = pad(hidden, (0, 0, 0, fill)), pad(labels, (0, fill))
        weights = None if weights is None else pad(weights, (0, fill))
    n, vocab = hidden.shape[0], weight.shape[0]
    chunk, tile = chunk_and_tile(n, vocab, hidden.element_size(), cuda=cuda)
    buffer = hidden.new_empty(min(chunk, n), vocab)
    losses = torch.empty(n, dtype=torch.float32, device=hidden.device)
    d_hidden = torch.empty_like(hidden)
    d_weight = _Products() if need_weight else None
    d_bias = None if bias is None else torch.zeros_like(bias, dtype=torch.float32)
    for start in range(0, n, chunk):
        stop = min(start + chunk, n)
        d_logits = buffer[: stop - start]
        for lo in range(start, stop, tile):
            hi = min(lo + tile, stop)
            part = d_logits[lo - start : hi - start]
            factors = None if weights is None else weights[lo:hi]
            losses[lo:hi] = _tile(hidden[lo:hi], weight, labels[lo:hi], bias, part, bend, factors)
            part[max(real - lo, 0) :].zero_()
            torch.mm(part, weight, out=d_hidden[lo:hi])
        if d_weight is not None:
            d_weight.add(d_logits.t(), hidden[start:stop])
        if d_bias is not None:
            d_bias += d_logits.sum(0, dtype=torch.float32)
    found = None if d_weight is None else d_weight.sum_like(weight, scale)
    d_hidden = d_hidden[:real].mul_(scale)
    return losses[:real], d_hidden, found, None if d_bias is None else d_bias.mul_(scale)


class _Products:
    """Products that are added up in fp32, scaled, and rounded once."""

    def __init__(self) -> None:
        self.parts: list[Tensor] = []

    def add(self, a: Tensor, b: Tensor) -> None:
        """One more; two wait as they are, so that few have no fp32 sum that leaves the cache."""
        if self.parts and a.dtype == torch.float32:
            self.parts[0].addmm_(a, b)
            return
        self.parts.append(torch.mm(a, b))
        if len(self.parts) > 2:
            total = self.parts[0].float()
            for part in self.parts[1:]:
                total.add_(part)
            self.parts = [total]

    def sum_like(self, weight: Tensor, scale: float) -> Tensor:
        """The sum times ``scale``, in the weight's dtype, computed a cacheful of rows at a time."""
        if not self.parts:
            return torch.zeros_like(weight)
        out = self.parts[0]
        if out.dtype != weight.dtype:
            out = torch.empty_like(weight)
        rows = len(out) if out.is_cuda else max(CACHEFUL // max(out.shape[1], 1), 1)
        parts = (torch.split(part, rows) for part in self.parts)
        for to, first, *others in zip(torch.split(out, rows), *parts, strict=True):
            total = first.float()
            for part in others:
                total.add_(part)
            to.copy_(total.mul_(scale))
        return out


def _tile(
    hidden: Tensor, weight: Tensor, labels: Tensor, bias: Tensor | None, out: Tensor, bend: Bend,
    factors: Tensor | None,
) -> Tensor:  # fmt: skip
    """Fill ``out`` with the gradient of the logits, softmax minus one-hot, times factors ``[N]``.

    Returns the losses, without the factors.

    The softmax is computed in fp32 inside and rounded once. Without the compiled part the loss is
    read off it, so in bf16 a token's loss carries a rounding of at most 2^-9, to either side, which
    a step's mean over thousands of tokens evens out; and a probability under 1e-37 counts as that.
    """
    torch.mm(hidden, weight.t(), out=out)
    if bias is not None:
        out.add_(bias)
    slope = _bend(out, bend)
    if slope is None and can_run(out):
        return surprise_(out, labels, factors)
    torch._softmax(out, -1, False, out=out)
    at = torch.arange(len(labels), device=labels.device)
    p = out[at, labels]
    out[at, labels] = p - 1  # not scatter_add_, which copies all of a bf16 tensor on CPU
    if slope is not None:
        out.mul_(slope)
    if factors is not None:
        out.mul_(factors[:, None])
    return p.float().clamp_min(1e-37).log().neg()


def _bend(logits: Tensor, bend: Bend) -> Tensor | float | None:
    """Scale and cap logits in place; returns by what the gradient grows, None for nothing."""
    factor, cap = bend
    if factor != 1.0:
        logits.mul_(factor)
    if cap is None:
        return None if factor == 1.0 else factor
    logits.div_(cap).tanh_()
    slope = logits.square().neg_().add_(1).mul_(factor)
    logits.mul_(cap)
    return slope
