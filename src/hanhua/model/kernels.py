"""What lies between a decoder's products, each in one pass over memory, on a CPU.

PyTorch makes a norm of six operations, a rotary embedding of seven and a gate of two, and each
reads and writes all of its values; their gradients make twice as many. Here each is one loop
(``model/native``), computed in fp32 and rounded once, and so is its gradient. Nothing but what the
gradient needs is kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hanhua.model.native import NATIVE

DTYPES = (torch.float32, torch.bfloat16)


def can_run(*tensors: Tensor) -> bool:
    """Whether the compiled part is there and takes these: on a CPU, of one dtype it knows."""
    dtype = tensors[0].dtype
    return (
        NATIVE is not None
        and dtype in DTYPES
        and all(t.dtype == dtype and t.device.type == "cpu" for t in tensors)
        and not torch.compiler.is_compiling()
    )


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """``weight * x / sqrt(mean(x^2) + eps)``, the quotient rounded before it is multiplied.

    Source: https://arxiv.org/abs/1910.07467; rounded as Hugging Face's Llama is.

    Args:
        x: ``[..., D]``, which :func:`can_run`.
        weight: ``[D]``.
        eps: keeps a row of zeros finite.
    """
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        found: Tensor = _Norm.apply(x, weight, eps)  # type: ignore[no-untyped-call]
        return found
    return _norm(x.contiguous(), weight, eps, None)


def silu_gate(gate: Tensor, up: Tensor) -> Tensor:
    """``silu(gate) * up``, of one shape. Source: https://arxiv.org/abs/2002.05202."""
    if torch.is_grad_enabled() and (gate.requires_grad or up.requires_grad):
        found: Tensor = _Gate.apply(gate, up)  # type: ignore[no-untyped-call]
        return found
    return _gate(gate.contiguous(), up.contiguous())


def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """``x * cos + turned(x) * sin``, the halves of each head turned against each other.

    Source: https://arxiv.org/abs/2104.09864, halves as in Hugging Face's Llama.

    Args:
        x: ``[B, H, T, E]``; it may lie as ``[B, T, H, E]``, as behind a product, and comes out so.
        cos: ``[B or 1, T, E]``.
        sin: ``[B or 1, T, E]``.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        found: Tensor = _Rotary.apply(x, cos, sin)  # type: ignore[no-untyped-call]
        return found
    return _rotate(x, cos, sin, back=False)


def surprise_(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of each row; the logits become its gradient, times the row's weight.

    Args:
        logits: ``[N, V]``, contiguous, which :func:`can_run`.
        labels: ``[N]`` int64, from 0 to V - 1.
        weights: ``[N]`` fp32; None: 1.

    Returns:
        ``[N]`` fp32, not weighted.

    Raises:
        IndexError: for a label that is none of the logits'.
    """
    n, vocab = logits.shape
    check_labels(labels, vocab)
    losses = torch.empty(n, dtype=torch.float32)
    labels = labels.contiguous()
    weights = None if weights is None else weights.float().contiguous()
    NATIVE.surprise(
        logits.data_ptr(), labels.data_ptr(), 0 if weights is None else weights.data_ptr(),
        losses.data_ptr(), n, vocab, _half(logits), torch.get_num_threads(),
    )  # fmt: skip
    return losses


def check_labels(labels: Tensor, vocab: int) -> None:
    """Refuse labels that are none of so many pieces: the compiled part would read elsewhere."""
    if len(labels) and not (0 <= int(labels.min()) and int(labels.max()) < vocab):
        raise IndexError(f"labels from {int(labels.min())} to {int(labels.max())} of {vocab}")


def place(states: Tensor, kept: Tensor, at: Tensor) -> None:
    """Copy states to their places among those that are kept.

    Args:
        states: ``[B, H, T, E]``.
        kept: ``[B, H, L, E]``, of which tokens lie one behind the other; written to.
        at: ``[B, T]`` int64, contiguous, under L.
    """
    batch, heads, tokens, width = states.shape
    if states.stride(3) != 1:
        states = states.contiguous()
    size = states.element_size()
    of_batch, of_head, of_token = (size * states.stride(i) for i in range(3))
    NATIVE.place(
        states.data_ptr(), kept.data_ptr(), at.data_ptr(), batch, heads, tokens, size * width,
        of_batch, of_head, of_token, size * kept.stride(0), size * kept.stride(1),
    )  # fmt: skip


def can_attend(q: Tensor, keys: Tensor, values: Tensor) -> bool:
    """Whether :func:`attend` takes these: fp32, widths of whole sixteens, kept alike."""
    return (
        can_run(q, keys, values)
        and q.dtype == torch.float32
        and q.shape[-1] == keys.shape[-1]
        and q.shape[-1] % 16 == 0
        and keys.shape == values.shape
        and keys.stride() == values.stride()
        and keys.stride(2) == keys.shape[-1]
        and q.shape[1] % keys.shape[1] == 0
    )


def attend(
    q: Tensor, keys: Tensor, values: Tensor, rows: Tensor, last: Tensor, scale: float
) -> Tensor:
    """Attention of single tokens, each over the keys of its own row up to its own last place.

    Nothing beyond that place is read, so what a token gets does not depend on other rows.

    Args:
        q: ``[N, H, E]`` fp32, which :func:`can_attend`.
        keys: ``[R, G, L, E]``, of which tokens lie one behind the other; H is a multiple of G.
        values: as the keys, in shape and strides.
        rows: N int64, contiguous, under R.
        last: N int64, contiguous, under L.
        scale: what products of queries and keys are multiplied by.

    Returns:
        ``[N, H, E]``, contiguous.
    """
    tokens, heads, width = q.shape
    if q.stride(2) != 1:
        q = q.contiguous()
    out = q.new_empty(tokens, heads, width)
    NATIVE.attend(
        q.data_ptr(), keys.data_ptr(), values.data_ptr(), rows.data_ptr(), last.data_ptr(),
        out.data_ptr(), tokens, heads, heads // keys.shape[1], width, q.stride(0), q.stride(1),
        keys.stride(0), keys.stride(1), keys.shape[2], scale, torch.get_num_threads(),
    )  # fmt: skip
    return out


_PART_BYTES = 2**18
"""Of a weight, from which a further thread is worth being woken."""


def few_rows(x: Tensor, weight: Tensor) -> Tensor | None:
    """``x @ weight.T`` with the weight read once; None where that is not for us.

    A row's result does not depend on how many rows there are. No gradients.

    Args:
        x: ``[N, K]``, K a multiple of 16, both fp32 and N some ten or less to be worth it.
        weight: ``[M, K]``.
    """
    if not can_run(x, weight) or x.dtype != torch.float32 or not weight.is_contiguous():
        return None
    (n, k), m = x.shape, len(weight)
    x = x.contiguous()
    out = x.new_empty(n, m)
    threads = max(1, min(torch.get_num_threads(), 4 * m * k // _PART_BYTES))
    done = NATIVE.meet(x.data_ptr(), weight.data_ptr(), out.data_ptr(), n, k, m, threads)
    return out if done else None


def _half(x: Tensor) -> bool:
    return x.dtype == torch.bfloat16


def _norm(x: Tensor, weight: Tensor, eps: float, inverse: Tensor | None) -> Tensor:
    out, width = torch.empty_like(x), x.shape[-1]
    NATIVE.norm(
        x.data_ptr(), weight.data_ptr(), out.data_ptr(),
        0 if inverse is None else inverse.data_ptr(), x.numel() // width, width, eps, _half(x),
        torch.get_num_threads(),
    )  # fmt: skip
    return out


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        x = x.contiguous()
        inverse = torch.empty(x.numel() // x.shape[-1], dtype=torch.float32)
        ctx.save_for_backward(x, weight, inverse)
        return _norm(x, weight, eps, inverse)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, inverse = ctx.saved_tensors
        grad, out, width = grads[0].contiguous(), torch.empty_like(x), x.shape[-1]
        total = torch.empty(width, dtype=torch.float32)
        NATIVE.norm_back(
            x.data_ptr(), weight.data_ptr(), grad.data_ptr(), inverse.data_ptr(), out.data_ptr(),
            total.data_ptr(), len(inverse), width, _half(x), torch.get_num_threads(),
        )  # fmt: skip
        return out, total.to(weight.dtype) if ctx.needs_input_grad[1] else None, None


def _gate(gate: Tensor, up: Tensor) -> Tensor:
    out = torch.empty_like(gate)
    NATIVE.gate(
        gate.data_ptr(), up.data_ptr(), out.data_ptr(), gate.numel(), _half(gate),
        torch.get_num_threads(),
    )  # fmt: skip
    return out


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        gate, up = gate.contiguous(), up.contiguous()
        ctx.save_for_backward(gate, up)
        return _gate(gate, up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        grad, d_gate, d_up = grads[0].contiguous(), torch.empty_like(gate), torch.empty_like(up)
        NATIVE.gate_back(
            gate.data_ptr(), up.data_ptr(), grad.data_ptr(), d_gate.data_ptr(), d_up.data_ptr(),
            gate.numel(), _half(gate), torch.get_num_threads(),
        )  # fmt: skip
        return d_gate, d_up


def _rotate(x: Tensor, cos: Tensor, sin: Tensor, *, back: bool) -> Tensor:
    """All of a batch; it comes out lying as ``[B, T, H, E]``."""
    batch, heads, tokens, width = x.shape
    to_token, to_head = x.stride(2) if tokens > 1 else x.stride(0), x.stride(1)
    if x.stride(3) != 1 or (batch > 1 and x.stride(0) != tokens * to_token):
        x, to_token, to_head = x.transpose(1, 2).contiguous(), heads * width, width
    cos, sin = (t.expand(batch, tokens, width).contiguous() for t in (cos, sin))
    out = x.new_empty(batch, tokens, heads, width)
    NATIVE.rotate(
        x.data_ptr(), cos.data_ptr(), sin.data_ptr(), out.data_ptr(), batch * tokens, heads, width,
        to_token, to_head, back, _half(x), torch.get_num_threads(),
    )  # fmt: skip
    return out.transpose(1, 2)


class _Rotary(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _rotate(x, cos, sin, back=False)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        return _rotate(grads[0], cos, sin, back=True), None, None
