"""One step: gradients of a batch, and one move of the weights.

The gradient is that of the mean loss over all targets of the step, however it is cut: each part
counts its summed loss divided by the targets of all micro-batches of all processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hanhua.tokens.loader import Batch
from hanhua.train import parallel
from hanhua.train.linear_cross_entropy import IGNORE
from hanhua.train.objective import Flat, flatten, next_token_loss
from hanhua.train.optim import Masters
from hanhua.train.shard import Root


def seed_step(seed: int, step: int) -> None:
    """Set all random numbers of a step, so that none depends on the steps before.

    Args:
        seed: the recipe's.
        step: from 0.
    """
    torch.manual_seed((seed * 1_000_003 + step) * 1_009 + parallel.rank())


def learn(
    root: Root, masters: Masters, batch: Batch, languages: list[str], lr: float, micro: int,
    find_fault: Callable[[float, Mapping[str, float]], str | None],
) -> tuple[dict[str, Any], str | None]:  # fmt: skip
    """Gradients of all micro-batches, then one move of the weights, or why there was none.

    Args:
        root: of the model.
        masters: its trained weights.
        batch: all rows of the step; this process takes its part of them.
        languages: of the rows.
        lr: the learning rate.
        micro: most tokens in a micro-batch.
        find_fault: of a loss, and of each language's; a step with a fault is not taken.

    Returns:
        The log's line of the step, and the fault.
    """
    parts = my_parts(batch, languages, micro)
    targets = int(parallel.total(torch.tensor([sum(part.n_targets for part in parts)])))
    found = []
    for flat in parts:
        loss, losses = root(next_token_loss, flat, 1 / max(targets, 1))
        torch.autograd.backward(loss)
        masters.collect()
        found.append(losses)  # looked at in the end, as a GPU would have to be waited for
    sums = parallel.total(_sums(parts, found, len(languages)))
    mean = float(sums[:, 0].sum()) / max(targets, 1)
    by_language = _by_language(languages, sums)
    fault, grad_norm = find_fault(mean, by_language), math.nan
    if fault is None:
        grad_norm = masters.step(lr)
        fault = None if math.isfinite(grad_norm) else "the gradient is not a number"
    else:
        masters.optimizer.zero_grad(set_to_none=True)
    line = {
        "loss": round(mean, 6), "lr": float(f"{lr:.6g}"), "grad_norm": float(f"{grad_norm:.6g}"),
        "targets": targets, "losses": by_language,
    }  # fmt: skip
    return line, fault


def _sums(parts: list[Flat], losses: list[Tensor], n: int) -> Tensor:
    """Sum of the losses and number of the targets of each language, ``[n, 2]``."""
    sums = torch.zeros(n, 2, dtype=torch.float64)
    for flat, each in zip(parts, losses, strict=True):
        counted = (flat.labels >= 0).double()
        sums.index_add_(0, flat.languages, torch.stack([each.double().cpu(), counted], 1))
    return sums


def _by_language(languages: Sequence[str], sums: Tensor) -> dict[str, float]:
    return {
        name: round(float(loss / n), 6)
        for name, (loss, n) in zip(languages, sums.tolist(), strict=True)
        if n
    }


def my_parts(batch: Batch, languages: list[str], micro: int) -> list[Flat]:
    """The rows of a step that are this process's, flat, in as many micro-batches as all have.

    All processes gather weights together, so one that has fewer computes empty ones.
    """
    n, rank, size = len(batch.rows), parallel.rank(), parallel.size()
    mine = Batch(batch.rows[n * rank // size : n * (rank + 1) // size])
    parts = [flatten(part, languages) for part in mine.micro_batches(micro)]
    return parts + [_nothing()] * (parallel.most(len(parts)) - len(parts))


def _nothing() -> Flat:
    """A document of two tokens of which none is a target."""
    two = torch.arange(2)
    return Flat(two[None] * 0, two[None], two * 0 + IGNORE, two * 0, [2], 0)
