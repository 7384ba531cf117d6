"""The loss that spreads tokens over a layer's experts, so that none is left without work.

Of a layer with E experts of which each token goes to k, it is ``E * sum(f_e * P_e)``: f_e tokens
that went to expert e, as a part of all tokens (so all f_e sum to k), P_e the mean probability that
the router gave it (Switch Transformers, https://arxiv.org/abs/2101.03961, equations 4 to 6). It is
k where all experts have the same work. The mean over layers is added to the step's loss, times a
coefficient. transformers takes f and P over all layers at once, where one layer's idle expert is
made up for by another layer's busy one of the same number; of one layer both are the same.

How a step is cut into micro-batches and processes changes nothing. P is a sum over tokens, divided
by the real tokens of the whole step (fill and micro-batches of nothing don't count). f has no
gradient, and is that of the whole step before, so that it is known in advance and of many texts:
taken from a micro-batch of a document or two, it would ask every topic to use all experts alike
(https://arxiv.org/abs/2501.11873). A run's first step has none before it, and only counts. What is
logged is of the whole step itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hanhua.core.errors import TrainingError
from hanhua.model.routing import routers
from hanhua.train import parallel

Counts = list[list[int]]
"""``[L, E]`` how many tokens of a step went to each expert of each layer."""


class Balance:
    """The loss of one step.

    Args:
        coefficient: its weight beside the cross-entropy.
        n_experts: E of a layer.
        top_k: k, to how many of them a token goes.
        tokens: real tokens of the whole step, of all processes.
        before: the counts of the step before; None: there was none, so nothing is added.
    """

    def __init__(
        self, coefficient: float, n_experts: int, top_k: int, tokens: int,
        before: Counts | None = None,
    ) -> None:  # fmt: skip
        self.coefficient, self.n_experts, self.top_k = coefficient, n_experts, top_k
        self.tokens = max(tokens, 1)
        self.before = None if before is None else torch.tensor(before, dtype=torch.float32)
        self.counts: Tensor | None = None
        self.chances: Tensor | None = None

    def loss(self, router_logits: Sequence[Tensor], tokens: int) -> Tensor:
        """The part of a micro-batch, a scalar with a gradient.

        Args:
            router_logits: of each layer, ``[..., E]`` of all tokens, fill last.
            tokens: real ones; 0: of a micro-batch of nothing.
        """
        sums, counts = [], []
        for logits in router_logits:
            chance = logits.reshape(-1, self.n_experts)[:tokens].float().softmax(-1)
            chosen = chance.detach().topk(self.top_k).indices.flatten()
            ones = torch.ones_like(chosen, dtype=torch.float32)
            counts.append(chance.new_zeros(self.n_experts).index_add_(0, chosen, ones))
            sums.append(chance.sum(0))
        sums_LE, counts_LE = torch.stack(sums), torch.stack(counts)
        self.counts = counts_LE if self.counts is None else self.counts + counts_LE
        seen = sums_LE.detach()
        self.chances = seen if self.chances is None else self.chances + seen
        if self.before is None:
            return sums_LE.new_zeros(())
        known = self.before.to(sums_LE.device)
        return self.coefficient / self.tokens * self._value(known, sums_LE)

    def _value(self, counts_LE: Tensor, sums_LE: Tensor) -> Tensor:
        """The mean over layers, where P is a sum."""
        share = self.top_k * counts_LE / counts_LE.sum(1, keepdim=True).clamp_min(1)
        return (share * sums_LE).sum(1).mean() * self.n_experts

    def end(self) -> tuple[dict[str, float], Counts]:
        """What the step's line says of it, and the counts for the step after; all processes call.

        ``router_loss`` is without the coefficient; ``busiest_expert`` says how many times as many
        tokens as the mean expert's went to the busiest of any layer.
        """
        assert self.counts is not None
        assert self.chances is not None
        counts, chances = (parallel.total(x.cpu()) for x in (self.counts, self.chances))
        busiest = counts.amax(1) / counts.mean(1).clamp_min(1e-9)
        line = {
            "router_loss": round(float(self._value(counts, chances)) / self.tokens, 6),
            "busiest_expert": round(float(busiest.max()), 3),
        }  # fmt: skip
        return line, counts.long().tolist()


def coefficient_of(model: Any, asked: float | None) -> float:
    """The coefficient to train with; 0 for a model that has no such loss.

    Args:
        model: a causal LM.
        asked: the section's; None: the model's own.

    Raises:
        TrainingError: when a loss is asked for that the model doesn't have.
    """
    told = next(routers(model), None)  # older transformers don't tell what some routers give
    own = None if told is None else getattr(model, "router_aux_loss_coef", None)
    if own is None and asked:
        raise TrainingError(
            "This model has no loss that spreads tokens over experts.",
            where="router_aux_loss_coef", found=f"{asked:g} for a {type(model).__name__}",
            fix="take it out: only mixtures of experts that transformers gives this loss have it "
            "(Mixtral, Qwen-MoE, OLMoE, Granite-MoE, GPT-OSS)",
        )  # fmt: skip
    return float(own or 0.0) if asked is None else asked


def balance_of(
    model: Any, asked: float | None, tokens: int, before: Counts | None = None
) -> Balance | None:
    """The loss of a step, or None where there is none.

    Args:
        model: a causal LM.
        asked: see :func:`coefficient_of`.
        tokens: real ones of this process's micro-batches.
        before: the counts of the step before.
    """
    coefficient = coefficient_of(model, asked)
    if not coefficient:
        return None
    whole = int(parallel.total(torch.tensor([tokens])))
    experts, top_k = int(model.num_experts), int(model.num_experts_per_tok)
    return Balance(coefficient, experts, top_k, whole, before)
