"""Head rows for padding: ids that no token has must never be foretold.

A head without a bias has no row that says never, whatever the hidden state. Three things come
near, and generation suppresses the ids besides:

- Every tokenizer that can write all bytes has thirteen tokens that no text ever holds: the bytes
  C0, C1 and F5 to FF are no part of any UTF-8. Training has pushed their rows to where the model
  says never. Their mean is the default, and for every hidden state, trained on or not,

      p(padding row) <= q,

  with q what the model gives one of those bytes on average: the logit of a mean of rows is the
  mean of their logits, and a geometric mean is at most the arithmetic. Where a tokenizer has no
  such bytes, the mean of all V old rows is taken, and p(padding row) <= 1 / V for the same reason.
- Where the base may be run on the user's text, `fit_row` looks for the row, no longer than the
  longest old one, that its hidden states like least. No bound holds for other states, but what
  comes of it is measured on text held out (hanhua.model.measure_rows).
- A head with a bias gets `NEVER_BIAS` there, and so exactly nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hanhua.model.init_combine import Statistics
from hanhua.model.tensor_rows import Rows
from hanhua.vocab.family import byte_letters

IMPOSSIBLE = (0xC0, 0xC1, *range(0xF5, 0x100))
"""Bytes that occur in no UTF-8 text (https://www.rfc-editor.org/rfc/rfc3629#section-1)."""
NEVER_BIAS = -1e4
_EMPHASIS = 2.0
"""Powers of the probability that are summed: above 1, the worst states count most."""
_ITERATIONS = 60


def impossible_ids(backend: Any) -> list[int]:
    """Ids of the tokens for bytes that no text holds; empty where the tokenizer has none.

    Args:
        backend: of the tokenizers library, with byte fallback or byte-level.
    """
    pieces = [f"<0x{byte:02X}>" for byte in IMPOSSIBLE]
    if backend.token_to_id(pieces[0]) is None:
        if "ByteLevel" not in str(backend.pre_tokenizer):
            return []
        letters = byte_letters()
        pieces = [letters[byte] for byte in IMPOSSIBLE]
    return [i for piece in pieces if (i := backend.token_to_id(piece)) is not None]


def padding_row(rows: Rows, known: Statistics, impossible: list[int]) -> Tensor:
    """``[D]`` the mean row of impossible tokens, or of all where there is none."""
    if not impossible:
        return known.centre
    return rows.gather(torch.tensor(sorted(impossible))).float().mean(0)


def fit_row(hidden_ND: Tensor, total_N: Tensor, start_D: Tensor, longest: float) -> Tensor:
    """The row that hidden states like least, no longer than a given norm.

    Minimises the sum of (exp(h . r) / Z) ** 2 over positions, which is convex in r.

    Args:
        hidden_ND: last hidden states of the base on text.
        total_N: log of Z, the sum of all old rows' exponentials at each position.
        start_D: where to start.
        longest: largest norm.

    Returns:
        ``[D]`` float32.
    """
    row = start_D.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS([row], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def short() -> Tensor:
        found: Tensor = row * (longest / row.norm().clamp_min(1e-12)).clamp(max=1.0)
        return found

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = (_EMPHASIS * (hidden_ND @ short() - total_N)).logsumexp(0)
        torch.autograd.backward(value)
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    found = short().detach()
    return found if bool(torch.isfinite(found).all()) else start_D
