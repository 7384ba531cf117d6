"""Attention of one new token a row, each over as many keys as its own row has.

PyTorch's reads every row up to the longest one's length and masks the rest. Eight answers of very
different lengths, as a server has them, are read two or three times over then. It is also called
by every model of transformers that asks for ``sdpa``, so this is put in its place there, and hands
everything back that is not a step of single tokens over a :class:`hanhua.serve.slots.SlotPool`.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from hanhua.model.kernels import attend, can_attend
from hanhua.model.native import NATIVE

STEP = "_hanhua_step"
"""Under which name keys of the pool hold the step that they were made for."""


def attend_by_row() -> None:
    """Let models of transformers attend to the pool by row, where the compiled part is there."""
    theirs: Any = ALL_ATTENTION_FUNCTIONS["sdpa"]
    if NATIVE is None or hasattr(theirs, STEP):
        return

    def ours(
        module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
        attention_mask: torch.Tensor | None, dropout: float = 0.0, scaling: float | None = None,
        **more: Any,
    ) -> tuple[torch.Tensor, None]:  # fmt: skip
        step: Any = getattr(key, STEP, None)
        plain = not dropout and all(more.get(name) is None for name in _SHAPING)
        if step and plain and step.masks(attention_mask) and can_attend(query, key, value):
            scale = query.shape[-1] ** -0.5 if scaling is None else scaling
            found = attend(query[:, :, 0], key, value, step.order_B, step.positions_BT, scale)
            return found[:, None], None
        found, _ = theirs(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **more
        )
        return found, None

    setattr(ours, STEP, None)
    ALL_ATTENTION_FUNCTIONS["sdpa"] = ours


_SHAPING = ("position_bias", "softcap")
"""What else changes the scores; the rest of the names that models hand over does not."""
