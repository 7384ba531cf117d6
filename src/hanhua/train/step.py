"""One step: gradients of a batch, and one move of the weights.

The gradient is that of the mean loss over all targets of the step, however it is cut: each part
counts its summed loss divided by the targets of all micro-batches of all processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from hanhua.tokens.loader import Batch
from hanhua.tokens.rows import PackedRows
from hanhua.train import parallel
from hanhua.train.balance import Balance, Counts, balance_of
from hanhua.train.linear_cross_entropy import IGNORE
from hanhua.train.noise import embedding_noise
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


def shared_seed() -> int:
    """The seed of the step at hand that is the same on all processes."""
    return torch.initial_seed() - parallel.rank()


@dataclass(frozen=True, slots=True)
class Counted:
    """What the gradients of a step were of.

    Args:
        sums: ``[languages, 2]`` sum of the losses and number of what they were summed over, of all
            processes.
        targets: predicted tokens, of all processes.
        facts: more for the log's line.
        routed: tokens that went to each expert of each layer; None of a dense model.
    """

    sums: Tensor
    targets: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    routed: Counts | None = None


class Objective(Protocol):
    """What a step makes smaller."""

    def prepare(self, root: Root, rows: PackedRows, micro: int) -> PackedRows:
        """The rows as steps want them, from the model as training finds it."""
        ...

    def gradients(
        self, root: Root, masters: Masters, batch: Batch, languages: list[str], micro: int
    ) -> Counted:
        """Collect the gradients of all micro-batches, divided by what all of them count."""
        ...


class NextToken:
    """The mean cross-entropy of the tokens that are targets.

    Args:
        noise_alpha: strength of the noise on conversations' embeddings, see
            :mod:`hanhua.train.noise`; 0: none.
    """

    def __init__(self, noise_alpha: float = 0.0) -> None:
        self.noise_alpha = noise_alpha

    def prepare(self, root: Root, rows: PackedRows, micro: int) -> PackedRows:
        """Nothing is to be done."""
        return rows

    def gradients(
        self, root: Root, masters: Masters, batch: Batch, languages: list[str], micro: int
    ) -> Counted:
        """See :class:`Objective`."""
        parts = my_parts(batch, languages, micro)
        targets = int(parallel.total(torch.tensor([sum(part.n_targets for part in parts)])))
        noise = self._noise if self.noise_alpha else None
        balance = balance_in(root, masters, parts)
        found = []
        for flat in parts:
            loss, losses = root(next_token_loss, flat, 1 / max(targets, 1), noise, balance)
            torch.autograd.backward(loss)
            masters.collect()
            found.append(losses)  # looked at in the end, as a GPU would have to be waited for
        facts, routed = ({}, None) if balance is None else balance.end()
        sums = parallel.total(_sums(parts, found, len(languages)))
        return Counted(sums, targets, facts, routed)

    def _noise(self, flat: Flat, width: int, device: torch.device) -> Tensor:
        return embedding_noise(flat, width, self.noise_alpha, shared_seed(), device)


def balance_in(root: Root, masters: Masters, parts: Sequence[Flat]) -> Balance | None:
    """What keeps experts at work in a step; None for a dense model.

    Args:
        root: of the model.
        masters: with the section's coefficient.
        parts: this process's micro-batches.
    """
    asked = masters.config.router_aux_loss_coef
    return balance_of(root.model, asked, sum(part.n_real for part in parts), masters.routed)


def learn(
    root: Root, masters: Masters, batch: Batch, languages: list[str], lr: float, micro: int,
    find_fault: Callable[[float, Mapping[str, float]], str | None],
    objective: Objective | None = None,
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
        objective: what is made smaller; None: the next token's cross-entropy.

    Returns:
        The log's line of the step, and the fault.
    """
    counted = (objective or NextToken()).gradients(root, masters, batch, languages, micro)
    sums = counted.sums
    mean = float(sums[:, 0].sum()) / max(float(sums[:, 1].sum()), 1)
    by_language = by_language_of(languages, sums)
    fault, grad_norm = find_fault(mean, by_language), math.nan
    if fault is None:
        grad_norm = masters.step(lr)
        masters.routed = counted.routed
        fault = None if math.isfinite(grad_norm) else "the gradient is not a number"
    else:
        masters.optimizer.zero_grad(set_to_none=True)
    line = {
        "loss": round(mean, 6), "lr": float(f"{lr:.6g}"), "grad_norm": float(f"{grad_norm:.6g}"),
        "targets": counted.targets, "losses": by_language, **counted.facts,
    }  # fmt: skip
    return line, fault


def _sums(parts: list[Flat], losses: list[Tensor], n: int) -> Tensor:
    """Sum of the losses and number of the targets of each language, ``[n, 2]``."""
    sums = torch.zeros(n, 2, dtype=torch.float64)
    for flat, each in zip(parts, losses, strict=True):
        counted = (flat.labels >= 0).double()
        sums.index_add_(0, flat.languages, torch.stack([each.double().cpu(), counted], 1))
    return sums


def by_language_of(languages: Sequence[str], sums: Tensor) -> dict[str, float]:
    """Means from ``[languages, 2]`` sums and counts; a language without any is left out."""
    return {
        name: round(float(loss / n), 6)
        for name, (loss, n) in zip(languages, sums.tolist(), strict=True)
        if n
    }


def my_parts(batch: Batch, languages: list[str], micro: int) -> list[Flat]:
    """The rows of a step that are this process's, flat, in as many micro-batches as all have.

    All processes gather weights together, so one that has fewer computes empty ones.
    """
    parts = [flatten(part, languages) for part in my_batches(batch, micro)]
    return parts + [nothing()] * (parallel.most(len(parts)) - len(parts))


def my_batches(batch: Batch, micro: int) -> list[Batch]:
    """The micro-batches of a step that are this process's."""
    n, rank, size = len(batch.rows), parallel.rank(), parallel.size()
    mine = Batch(batch.rows[n * rank // size : n * (rank + 1) // size])
    return list(mine.micro_batches(micro))


def nothing() -> Flat:
    """A document of two tokens of which none is a target."""
    two = torch.arange(2)
    return Flat(two[None] * 0, two[None], two * 0 + IGNORE, two * 0, [2], 0)
