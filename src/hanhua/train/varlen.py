"""Attention inside each document of a flat batch on a GPU: one kernel for all of them.

PyTorch's variable-length attention takes the places where documents begin instead of a mask
(https://docs.pytorch.org/docs/stable/nn.attention.varlen.html; FlashAttention-2,
https://arxiv.org/abs/2307.08691). It is for bf16 on Ampere GPUs and newer; elsewhere documents go
one by one through the ordinary kernel. Long documents of one length, as full rows are, are a batch
like any other, for which cuDNN's kernel uses a Hopper GPU better (benchmarks/attention.py).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from hanhua.train.memory import onto

WIDEST_HEAD = 256
LONG = 512
"""Tokens from which documents of one length go through PyTorch's ordinary attention."""
KERNELS = [
    SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]  # fmt: skip


class Documents(Sequence[int]):
    """Lengths of the documents in the flat batch at hand.

    One object for all batches of a model, so that compiled code, which is bound to the objects it
    has seen, is made once.
    """

    def __init__(self, lengths: Sequence[int] = ()) -> None:
        self.set(lengths)

    def set(self, lengths: Sequence[int]) -> Documents:
        """Take the lengths of the next batch; they sum to its tokens."""
        self.lengths = list(lengths)
        self._starts: Tensor | None = None
        return self

    def starts(self, device: torch.device) -> Tensor:
        """Where documents begin, and where the last ends, int32 ``[n + 1]``; made once a batch."""
        if self._starts is None or self._starts.device != device:
            ends = torch.tensor([0, *self.lengths], dtype=torch.int64).cumsum(0)
            self._starts = onto(ends.to(torch.int32), device)
        return self._starts

    def __len__(self) -> int:
        """How many documents."""
        return len(self.lengths)

    def __getitem__(self, i: Any) -> Any:
        """The length of one."""
        return self.lengths[i]

    def __iter__(self) -> Iterator[int]:
        """All lengths, in order."""
        return iter(self.lengths)


def can_attend(query: Tensor, value: Tensor) -> bool:
    """Whether the kernel takes these."""
    return (
        query.device.type == "cuda"
        and query.dtype in (torch.bfloat16, torch.float16)
        and query.shape[-1] == value.shape[-1] <= WIDEST_HEAD
        and torch.cuda.get_device_capability(query.device) >= (8, 0)
        and "window_size" in _arguments()
    )


@lru_cache(maxsize=1)
def _arguments() -> frozenset[str]:
    """What this PyTorch's kernel can be told; empty where it has none."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return frozenset()
    return frozenset(inspect.signature(varlen_attn).parameters)


def attend(
    query: Tensor, key: Tensor, value: Tensor, documents: Documents, scale: float,
    window: int | None,
) -> Tensor:  # fmt: skip
    """Causal attention in each document.

    Args:
        query: ``[H, T, E]``.
        key: ``[K, T, E]``; H is a multiple of K.
        value: ``[K, T, E]``.
        documents: of the batch.
        scale: factor of the scores.
        window: how far back a token sees, itself included; None: to the start.

    Returns:
        ``[T, H, E]``.
    """
    if window is None and len(set(documents)) == 1 and documents[0] >= LONG:
        return attend_equal(query, key, value, len(documents), scale)
    return attend_varied(query, key, value, documents, scale, window)


def attend_varied(
    query: Tensor, key: Tensor, value: Tensor, documents: Documents, scale: float,
    window: int | None,
) -> Tensor:  # fmt: skip
    """The same by the variable-length kernel, whatever the lengths are."""
    from torch.nn.attention import varlen

    kernel: Any = varlen.varlen_attn
    more: dict[str, Any] = {}
    if query.shape[0] != key.shape[0]:
        if "enable_gqa" in _arguments():
            more["enable_gqa"] = True
        else:
            groups = query.shape[0] // key.shape[0]
            key, value = (x.repeat_interleave(groups, 0) for x in (key, value))
    starts, longest = documents.starts(query.device), max(documents)
    # the kernel asks of memory only that a head's numbers lie side by side
    flat = [x.transpose(0, 1) for x in (query, key, value)]
    flat = [x if x.stride(-1) == 1 else x.contiguous() for x in flat]
    back = -1 if window is None else window - 1
    out: Tensor = kernel(
        *flat, starts, starts, longest, longest, scale=scale, window_size=(back, 0), **more
    )
    return out


def attend_equal(
    query: Tensor, key: Tensor, value: Tensor, n: int, scale: float,
    kernels: list[SDPBackend] = KERNELS,
) -> Tensor:  # fmt: skip
    """The same for n documents of one length, by the first of PyTorch's kernels that can."""
    q, k, v = (torch.unflatten(x, 1, (n, -1)).transpose(0, 1) for x in (query, key, value))
    with sdpa_kernel(kernels, set_priority=True):
        out = F.scaled_dot_product_attention(
            q, k, v, is_causal=True, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
        )
    return out.transpose(1, 2).flatten(0, 1).contiguous()
