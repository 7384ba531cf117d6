"""Cross-entropy behind a last linear layer on a CPU that multiplies tiles of bf16 (AMX).

As products of PyTorch with a softmax between them the head took half of a small model's training
step, as logits went through memory three times. Here a block of them is made, used for both
gradients, and forgotten while it is in the cache (``model/native/head_amx.c``); for that logits are
made twice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hanhua.model.head_room import SIDE, parts_of, room_bytes
from hanhua.model.kernels import can_run, check_labels
from hanhua.model.native import NATIVE


def can_tile(hidden: Tensor, weight: Tensor) -> bool:
    """Whether :func:`tiled_losses` takes these: bf16, widths of whole 32, a processor for it."""
    return (
        can_run(hidden, weight)
        and hidden.dtype == torch.bfloat16
        and len(hidden) > 0
        and hidden.shape[1] % SIDE == 0
        and bool(NATIVE.tiles())
    )


def tiled_losses(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of ``hidden @ weight.T``, without gradients.

    Args:
        hidden: ``[N, D]``, which :func:`can_tile`.
        weight: ``[V, D]``.
        labels: ``[N]`` int64, from 0 to V - 1.

    Returns:
        ``[N]`` fp32, of logits in fp32.

    Raises:
        IndexError: for a label that is none of the weight's.
    """
    losses, _, _ = _run(hidden, weight, labels, None, 1.0, gradients=False, need_weight=False)
    return losses


def tiled_gradients(
    hidden: Tensor, weight: Tensor, labels: Tensor, weights: Tensor | None, scale: float,
    *, need_weight: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    """Losses as :func:`tiled_losses`, and gradients of their weighted sum times a scale.

    The gradient of the logits is rounded to bf16; what is summed of it is summed in fp32 and
    rounded once. The hidden states' is summed by as many parts as there are threads.

    Args:
        hidden: ``[N, D]``, which :func:`can_tile`.
        weight: ``[V, D]``.
        labels: ``[N]`` int64, from 0 to V - 1.
        weights: ``[N]`` factor of each loss in the gradients; None: 1.
        scale: factor of the gradients.
        need_weight: whether the weight's gradient is wanted.

    Returns:
        Losses ``[N]`` fp32, neither weighted nor scaled; gradients ``[N, D]`` and ``[V, D]``, None
        where not wanted.

    Raises:
        IndexError: for a label that is none of the weight's.
    """
    return _run(hidden, weight, labels, weights, scale, gradients=True, need_weight=need_weight)


def _run(
    hidden: Tensor, weight: Tensor, labels: Tensor, weights: Tensor | None, scale: float, *,
    gradients: bool, need_weight: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    (n, width), vocab, threads = hidden.shape, len(weight), torch.get_num_threads()
    check_labels(labels, vocab)
    hidden, weight, labels = hidden.contiguous(), weight.contiguous(), labels.contiguous()
    weights = None if weights is None else weights.float().contiguous()
    losses = torch.empty(n, dtype=torch.float32)
    d_hidden = torch.empty_like(hidden) if gradients else hidden[:0]
    d_weight = torch.empty_like(weight) if need_weight else None
    parts = parts_of(n, width, threads) if gradients else 0
    room = torch.empty(room_bytes(n, width, parts, need_weight=need_weight), dtype=torch.uint8)
    NATIVE.head(
        hidden.data_ptr(), weight.data_ptr(), labels.data_ptr(),
        0 if weights is None else weights.data_ptr(), losses.data_ptr(), d_hidden.data_ptr(),
        0 if d_weight is None else d_weight.data_ptr(), room.data_ptr(),
        n, vocab, width, scale, parts, threads,
    )  # fmt: skip
    return losses, d_hidden, d_weight
