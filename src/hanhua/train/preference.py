"""Learning from pairs of answers: DPO, SimPO and ORPO as objectives of the one loop.

A pair's loss is a function of two sums, the log-probabilities of its answers, so a token's part in
the gradient is known only behind the whole pair. The body runs once; the head runs twice, first
for the losses alone, then with each token weighted by the slope of its pair's loss in its answer's
sum. The gradient is exact and no logits are held; what it costs is one more product with the head.

DPO's reference, the log-probabilities by the model as it was, is computed once before the first
step and kept beside the rows: no second model is in memory, and a resumed run reads the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hanhua.core.progress import Progress
from hanhua.model.head import head_form
from hanhua.tokens.loader import Batch
from hanhua.tokens.pairs import PairRow, PairRows
from hanhua.tokens.rows import PackedRows
from hanhua.train import parallel
from hanhua.train.balance import Balance
from hanhua.train.linear_cross_entropy import linear_cross_entropy, token_losses
from hanhua.train.memory import onto
from hanhua.train.objective import Flat, flatten, hidden_states, run_body
from hanhua.train.optim import Masters
from hanhua.train.pair_losses import pair_losses
from hanhua.train.prefer_config import PreferConfig
from hanhua.train.shard import Root
from hanhua.train.step import Counted, balance_in, by_language_of, my_batches, nothing

AT_ONCE = 64
"""Rows of a process that are measured together."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs laid end to end.

    Args:
        flat: their documents, better and worse in turn.
        documents: ``[T]`` the number of each token's document.
        answer_tokens: ``[P, 2]`` targets of each answer.
        reference: ``[P, 2]`` log-probabilities by the start; zeros where they are not known.
        languages: ``[P]`` index of each pair's language.
    """

    flat: Flat
    documents: Tensor
    answer_tokens: Tensor
    reference: Tensor
    languages: Tensor


def lay_out(batch: Batch | None, languages: list[str]) -> Pairs:
    """Rows of pairs end to end; None gives a batch without pairs."""
    if batch is None:
        none = torch.zeros(0, 2, dtype=torch.float64)
        flat = nothing()
        return Pairs(flat, flat.labels * 0, none, none, torch.zeros(0, dtype=torch.int64))
    flat = flatten(batch, languages)
    documents = torch.repeat_interleave(torch.tensor(flat.lengths))
    counts = torch.zeros(len(flat.lengths), dtype=torch.float64)
    counts.index_add_(0, documents, (flat.labels >= 0).double())
    known = [row.reference if isinstance(row, PairRow) else None for row in batch.rows]
    return Pairs(
        flat, documents, counts.view(-1, 2),
        torch.tensor([found or (0.0, 0.0) for found in known], dtype=torch.float64),
        torch.tensor([languages.index(row.language) for row in batch.rows]),
    )  # fmt: skip


def pair_loss(
    model: Any, pairs: Pairs, config: PreferConfig, scale: float, balance: Balance | None = None
) -> tuple[Tensor, Tensor]:
    """A scalar whose gradient is that of the pairs' summed losses times a scale.

    Args:
        model: a causal LM with packed attention enabled.
        pairs: the micro-batch.
        config: the section.
        scale: 1 / pairs of the whole optimiser step.
        balance: what keeps experts at work; None: nothing.

    Returns:
        The scalar (its value is not the loss), and ``[P, 3]``: losses, margins, 1 where the margin
        is above nothing.
    """
    (hidden, added), (head, form) = run_body(model, pairs.flat, None, balance), _head(model)
    sums = _answer_sums(model, hidden, pairs).requires_grad_()
    device = hidden.device
    with torch.enable_grad():
        losses, margins = pair_losses(
            config, sums, onto(pairs.answer_tokens, device), onto(pairs.reference, device)
        )
        (slopes,) = torch.autograd.grad(losses.sum(), sums)
    weights = None
    if len(losses):
        weights = -slopes.flatten().float()[onto(pairs.documents, device)]
    total, _ = linear_cross_entropy(
        hidden, head.weight, pairs.flat.labels, getattr(head, "bias", None), scale=scale,
        logit_scale=form.scale, softcap=form.softcap, weights_N=weights,
    )  # fmt: skip
    total = total if added is None else total + added
    return total, torch.stack([losses, margins, (margins > 0).double()], 1).detach()


def answer_sums(model: Any, pairs: Pairs) -> Tensor:
    """``[P, 2]`` fp64, the log-probabilities of better and worse answers, without a gradient."""
    with torch.no_grad():
        return _answer_sums(model, hidden_states(model, pairs.flat), pairs)


def _answer_sums(model: Any, hidden: Tensor, pairs: Pairs) -> Tensor:
    head, form = _head(model)
    losses = token_losses(
        hidden, head.weight, pairs.flat.labels, getattr(head, "bias", None),
        logit_scale=form.scale, softcap=form.softcap,
    )  # fmt: skip
    sums = losses.new_zeros(pairs.answer_tokens.numel(), dtype=torch.float64)
    if len(sums):
        sums.index_add_(0, onto(pairs.documents, hidden.device), losses.double())
    return -sums.view(-1, 2)


def _head(model: Any) -> tuple[Any, Any]:
    return model.get_output_embeddings(), head_form(model)


def measure_pairs(root: Root, rows: PairRows, micro: int, progress: Progress) -> Tensor:
    """The log-probabilities of all answers by a model at rest, ``[n_rows, 2]`` on every process.

    Args:
        root: of a causal LM with packed attention enabled; its mode is what it was afterwards.
        rows: the pairs.
        micro: most tokens at once.
        progress: where to show it.
    """
    was_training = root.model.training
    root.model.eval()
    n, each = len(rows), AT_ONCE * parallel.size()
    found = torch.zeros(n, 2, dtype=torch.float64)
    with progress.bar("measuring pairs", n, "pair") as bar:
        for start in range(0, n, each):
            batch = Batch(tuple(rows.row(i) for i in range(start, min(start + each, n))))
            at = start + len(batch.rows) * parallel.rank() // parallel.size()
            for part in _mine(batch, rows.languages, micro):
                with torch.no_grad():
                    sums = root(answer_sums, part).cpu()
                found[at : at + len(sums)] = sums
                at += len(sums)
            bar.advance(len(batch.rows))
    root.model.train(was_training)
    return parallel.total(found)


def _mine(batch: Batch, languages: list[str], micro: int) -> list[Pairs]:
    """The micro-batches of this process, as many as every process has."""
    parts = my_batches(batch, micro)
    empty = [None] * (parallel.most(len(parts)) - len(parts))
    return [lay_out(part, languages) for part in (*parts, *empty)]


class Preference:
    """The objective of the loop.

    Args:
        config: the section.
        progress: where to show what is measured before the first step.
        held_out: pairs whose log-probabilities by the start are kept too, if there are any.
    """

    def __init__(self, config: PreferConfig, progress: Progress, held_out: PairRows | None) -> None:
        self.config, self.progress, self.held_out = config, progress, held_out

    def prepare(self, root: Root, rows: PackedRows, micro: int) -> PairRows:
        """Measure the start, where that was not done before: the rows with their reference."""
        assert isinstance(rows, PairRows)
        if self.held_out is not None:
            self._measured(root, self.held_out, micro)
        return self._measured(root, rows, micro) if self.config.method == "dpo" else rows

    def _measured(self, root: Root, rows: PairRows, micro: int) -> PairRows:
        if parallel.share(rows.with_reference().reference is None):
            sums = measure_pairs(root, rows, micro, self.progress)
            if parallel.first():
                rows.keep_reference(sums.numpy().astype(np.float64))
            parallel.wait()
        return rows.with_reference()

    def gradients(
        self, root: Root, masters: Masters, batch: Batch, languages: list[str], micro: int
    ) -> Counted:
        """See :class:`hanhua.train.step.Objective`; what is counted are pairs."""
        parts = _mine(batch, languages, micro)
        targets = torch.tensor([sum(part.flat.n_targets for part in parts)])
        n, balance = len(batch.rows), balance_in(root, masters, [part.flat for part in parts])
        sums = torch.zeros(len(languages), 4, dtype=torch.float64)
        found = []
        for part in parts:
            loss, told = root(pair_loss, part, self.config, 1 / n, balance)
            torch.autograd.backward(loss)
            masters.collect()
            found.append(told)
        for part, told in zip(parts, found, strict=True):
            ones = torch.ones(len(told), 1, dtype=torch.float64)
            sums.index_add_(0, part.languages, torch.cat([told.cpu(), ones], 1))
        sums = parallel.total(sums)
        told, routed = ({}, None) if balance is None else balance.end()
        facts = _facts(languages, sums) | told
        return Counted(sums[:, [0, 3]], int(parallel.total(targets)), facts, routed)


def _facts(languages: Sequence[str], sums: Tensor) -> dict[str, Any]:
    """Pairs, accuracy and margin, whole and by language, for the log."""
    whole = sums.sum(0) / sums[:, 3].sum().clamp_min(1)
    return {
        "pairs": int(sums[:, 3].sum()),
        "margin": round(float(whole[1]), 6), "accuracy": round(float(whole[2]), 6),
        "margins": by_language_of(languages, sums[:, [1, 3]]),
        "accuracies": by_language_of(languages, sums[:, [2, 3]]),
    }  # fmt: skip
