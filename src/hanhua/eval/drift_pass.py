"""One pass of base and new model over the same texts: what they find at every position.

Shape legend: B batch, S positions, N rows, D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from hanhua.core.errors import ModelError
from hanhua.core.progress import Bar
from hanhua.eval.bits_per_byte import Window, batch_tensors, batches, windows
from hanhua.eval.forward import CausalModel
from hanhua.model.generate import TokenBytes

PEAKS = 3
"""Positions of a text of which it is kept what both models would say."""

Floats = np.ndarray[Any, Any]


@dataclass(slots=True)
class Positions:
    """What a pass finds at the positions of one text, each ``[S]``."""

    nats: Floats
    added: Floats
    says: Floats = field(repr=False)
    """likeliest id by base and by new ``[S, 2]``"""
    sure: Floats = field(repr=False)
    """and their probabilities ``[S, 2]``"""

    @classmethod
    def empty(cls, n: int) -> Positions:
        """Of a text with n positions."""
        return cls(np.zeros(n), np.zeros(n), np.zeros((n, 2), np.int64), np.zeros((n, 2)))


class Pieces:
    """Ids as text; bytes that are no whole character by their hexadecimal number."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        try:
            self.bytes: TokenBytes | None = TokenBytes(tokenizer)
        except ModelError:  # of another kind: its pieces as they are written
            self.bytes = None

    def __call__(self, token: int) -> str:
        """The piece of one id."""
        raw = self.bytes[token] if self.bytes else b""
        if not raw:
            return str(self.tokenizer.convert_ids_to_tokens(int(token)))
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return "".join(f"<{byte:02X}>" for byte in raw)


def peaks(found: Positions, ours: Pieces, theirs: Pieces) -> list[dict[str, Any]]:
    """Where a text moved most and what both models find likeliest there, largest first."""
    places = np.argsort(-found.nats, kind="stable")[:PEAKS]
    return [
        {
            "at": int(i), "base": ours(int(found.says[i, 0])), "new": theirs(int(found.says[i, 1])),
            "base_p": round(float(found.sure[i, 0]), 4),
            "new_p": round(float(found.sure[i, 1]), 4),
        }
        for i in places if found.nats[i] > 0
    ]  # fmt: skip


@torch.inference_mode()
def divergences(
    base: CausalModel, new: CausalModel, sequences: Sequence[Sequence[int]], bar: Bar
) -> list[Positions]:
    """KL in nats, probability of added pieces and likeliest pieces at every position."""
    found = [Positions.empty(len(s) - 1) for s in sequences]
    context = min(base.context_tokens, new.context_tokens)
    for batch in batches(windows([len(s) for s in sequences], context), base.batch_tokens):
        ids_BS, rows_N, _, owners = batch_tensors(base, batch, sequences)
        base_ND = base.hidden(ids_BS).flatten(0, 1)[rows_N]
        new_ND = new.hidden(ids_BS.to(new.device)).flatten(0, 1)[rows_N.to(new.device)]
        made = _of_rows(base, new, base_ND, new_ND)
        _hand_out(made, found, batch)
        bar.advance(len(owners))
    return found


def _of_rows(
    base: CausalModel, new: CausalModel, base_ND: torch.Tensor, new_ND: torch.Tensor
) -> Positions:
    """What hidden states of both models at the same positions say."""
    made = Positions.empty(len(base_ND))
    for chunk in new.chunks(len(base_ND)):
        # The base's padding rows are no text: its distribution is taken over its ids alone.
        p_NV = torch.log_softmax(base.logits(base_ND[chunk])[:, : base.n_ids], dim=-1)
        q_NV = torch.log_softmax(new.logits(new_ND[chunk]), dim=-1).to(p_NV.device)
        kl_N = (p_NV.exp() * (p_NV - q_NV[:, : base.n_ids])).sum(dim=-1)
        mass_N = q_NV[:, base.n_ids : new.n_ids].exp().sum(dim=-1)
        made.nats[chunk] = kl_N.double().cpu().numpy()
        made.added[chunk] = mass_N.double().cpu().numpy()
        for side, logs_NV in enumerate((p_NV, q_NV[:, : new.n_ids])):
            best = logs_NV.max(dim=-1)
            made.says[chunk, side] = best.indices.cpu().numpy()
            made.sure[chunk, side] = best.values.exp().double().cpu().numpy()
    return made


def _hand_out(made: Positions, found: Sequence[Positions], batch: Sequence[Window]) -> None:
    """Put the positions of a batch's windows into their texts."""
    start = 0
    for window in batch:
        stop = start + window.end - window.first + 1
        for name in ("nats", "added", "says", "sure"):
            to = getattr(found[window.sequence], name)
            to[window.first - 1 : window.end] = getattr(made, name)[start:stop]
        start = stop
