"""Master weights in fp32, the model's own weights in the precision of the arithmetic.

Where the module computes in bf16, gradients are added up in fp32 (so any number of micro-batches
adds up exactly as well), AdamW steps the fp32 masters, and the module gets the rounded result.
With fp32 arithmetic the module's weights are the masters. So are they where many processes share
the model: each then has masters, gradients and averages of its own part alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from hanhua.core.errors import TrainingError
from hanhua.model.lora import keeps_fp32, trained_names
from hanhua.train import parallel
from hanhua.train.balance import Counts
from hanhua.train.config import OptimConfig, PhaseConfig
from hanhua.train.forgetting import Average, Pull
from hanhua.train.precision import choose_precision
from hanhua.train.shard import first_row, gathered, like, local

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


class Masters:
    """The trained weights of a model, and the optimiser on them.

    With LoRA these are the adapters' (and, where asked for, both ends'); a frozen weight has no
    master, no gradient and no optimiser state.

    Args:
        model: a causal LM; its parameters are cast to the section's precision.
        config: the section.
        old_rows: embedding rows that the base had, for what is set for new ones; None: unknown.

    Raises:
        TrainingError: where something is set for new rows and nobody said which they are.
    """

    def __init__(self, model: Any, config: OptimConfig, old_rows: int | None = None) -> None:
        if config.new_rows_lr_scale != 1.0 and old_rows is None:
            raise no_new_rows("new_rows_lr_scale", config.new_rows_lr_scale)
        self.config = config
        self.old_rows = old_rows
        self.only_new_rows = False
        self.routed: Counts | None = None
        """Where the last step's tokens went, of a mixture of experts."""
        dtype = DTYPES[choose_precision(config.precision, str(model.device))]
        self.working: dict[str, nn.Parameter] = dict(model.named_parameters())
        if config.lora is not None:
            names = trained_names(model, config.lora)
            self.working = {n: p for n, p in self.working.items() if n in names}
        self.weights: dict[str, Tensor] = {}
        for name, parameter in self.working.items():
            if parallel.size() > 1:
                self.weights[name] = local(parameter.detach())
                continue
            self.weights[name] = parameter.detach().to(torch.float32, copy=True)
            # the same tensor where dtype is fp32
            parameter.data = self.weights[name].to(torch.float32 if keeps_fp32(name) else dtype)
            _hand_over(parameter, partial(self._take, name))
        self.embeddings = _embedding_names(model, self.working)
        self.optimizer = torch.optim.AdamW(
            self._groups(_decaying(model)),
            lr=config.learning_rate,
            betas=config.betas,
            eps=config.eps,
            fused=True,
        )
        old = {name: self._old_rows(name) for name in self.embeddings if old_rows is not None}
        pull = config.pull_to_base
        self.pull = Pull(self.weights, pull, old) if pull else None
        self.average = None if config.average is None else Average(config.average, self.weights)

    def _old_rows(self, name: str) -> int:
        """Rows of this process's part of an end that the base had; they come first."""
        assert self.old_rows is not None
        return max(self.old_rows - first_row(self.working[name]), 0)

    def _groups(self, decaying: set[str]) -> list[dict[str, Any]]:
        body = [(n, w) for n, w in self.weights.items() if n not in self.embeddings]
        groups = {
            "matrices": [w for n, w in body if n in decaying],
            "others": [w for n, w in body if n not in decaying],
            "embeddings": [self.weights[n] for n in self.embeddings],
        }
        decay = {"matrices": self.config.weight_decay}
        scale = {"embeddings": self.config.embedding_lr_scale}
        return [
            {
                "params": list(weights),
                "weight_decay": decay.get(name, 0.0),
                "lr_scale": scale.get(name, 1.0),
            }
            for name, weights in groups.items()
            if weights
        ]

    def begin(self, phase: PhaseConfig) -> None:
        """Let only a phase's weights learn.

        Raises:
            TrainingError: for ``new_rows`` where nobody said which rows are new.
        """
        if phase.train == "new_rows" and self.old_rows is None:
            raise no_new_rows("phases", "train: new_rows")
        self.only_new_rows = phase.train == "new_rows"
        if self.only_new_rows:
            self._still_old_rows()
        for name, parameter in self.working.items():
            parameter.requires_grad_(phase.train == "all" or name in self.embeddings)
            self.weights[name].grad = None

    def collect(self) -> None:
        """Add what gradients the module has to the masters', and clear them.

        One process has none left: each was taken as soon as the backward pass had made it, so that
        the gradients of a micro-batch never stand beside those of the micro-batches before.
        """
        for name, parameter in self.working.items():
            self._take(name, parameter)

    def _take(self, name: str, parameter: Tensor) -> None:
        """Add a weight's gradient to its master's, and clear it."""
        if parameter.grad is None:
            return
        master, grad = self.weights[name], local(parameter.grad)
        parameter.grad = None
        if master.grad is None:
            master.grad = grad.to(torch.float32)
        else:
            master.grad.add_(grad)

    def step(self, learning_rate: float) -> float:
        """One optimiser step; returns the length of the gradient before clipping.

        Nothing is changed when that length is not a number.
        """
        if self.only_new_rows:
            self._spare_old_rows()
        length = self._clip()
        if math.isfinite(length):
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate * group["lr_scale"]
            if self.pull and not self.only_new_rows:
                self.pull.apply(self.optimizer.param_groups)
            with self._scaled_new_rows():
                self.optimizer.step()
            self.copy_down()
        self.optimizer.zero_grad(set_to_none=True)
        return length

    @contextmanager
    def _scaled_new_rows(self) -> Iterator[None]:
        """Let new rows move so many times as far as AdamW moves them: a learning rate of theirs.

        (They have no decay, so the move is the learning rate times something.)
        """
        scale = self.config.new_rows_lr_scale
        if scale == 1.0:
            yield
            return
        rows = [self.weights[name][self._old_rows(name) :] for name in self.embeddings]
        before = [part.clone() for part in rows]
        yield
        for start, part in zip(before, rows, strict=True):
            part.copy_(torch.lerp(start, part, scale))

    def _still_old_rows(self) -> None:
        """No momentum of an earlier phase in rows that the base had: it would move them on."""
        for name in self.embeddings:
            state = self.optimizer.state.get(self.weights[name])
            if state:
                state["exp_avg"][: self._old_rows(name)].zero_()

    def _spare_old_rows(self) -> None:
        """No gradient for rows that the base had."""
        for name in self.embeddings:
            grad = self.weights[name].grad
            if grad is not None:
                grad[: self._old_rows(name)].zero_()

    def _clip(self) -> float:
        """Shorten the gradient to the section's limit; returns its length before."""
        grads = {n: w.grad for n, w in self.weights.items() if w.grad is not None and w.numel()}
        length = get_total_norm(grads.values(), foreach=True)
        if parallel.size() > 1:
            length = _length_over_ranks(grads)
        limit = self.config.clip or math.inf
        clip_grads_with_norm_(self.weights.values(), limit, length, foreach=True)
        return float(length)

    def take_average(self, step: int, steps: int) -> None:
        """Take the weights behind a step, counted from 1, into the average, if there is one."""
        if self.average is not None:
            self.average.take(self.weights, step, steps)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The module with the average's values, for the time of the with block."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        """Weights and average change places, one tensor at a time."""
        assert self.average is not None
        for name, value in self.average.values.items():
            weight = self.weights[name].clone()
            self.weights[name].copy_(value)
            value.copy_(weight)
        self.copy_down()

    def facts(self) -> dict[str, Any]:
        """What a record should know: the steps averaged over, where that was asked for."""
        return {} if self.average is None else {"averaged_steps": int(self.average.count)}

    def whole(self) -> dict[str, Tensor]:
        """What training gives: the weights, or their average where there is one.

        Of many processes the first has all of them, the others none.
        """
        kept = self.weights
        if self.average is not None and self.average.count:
            kept = self.average.values
        if parallel.size() == 1:
            return kept
        found = {name: gathered(like(part, self.working[name])) for name, part in kept.items()}
        return {name: weight for name, weight in found.items() if weight is not None}

    def copy_down(self) -> None:
        """Give the module the masters' values."""
        if parallel.size() > 1:  # the module has no others
            return
        for name, parameter in self.working.items():
            if parameter.data_ptr() != self.weights[name].data_ptr():
                parameter.data.copy_(self.weights[name])


def _hand_over(parameter: Any, take: Callable[[Tensor], None]) -> None:
    """Call a function when a weight's gradient has been made, and none that earlier masters had."""
    earlier = getattr(parameter, "_hanhua_take", None)
    if earlier is not None:
        earlier.remove()
    parameter._hanhua_take = parameter.register_post_accumulate_grad_hook(take)


def no_new_rows(key: str, found: object) -> TrainingError:
    """The error of a section that speaks of new rows, where nobody knows of any."""
    return TrainingError(
        "The section sets something for new rows only, but this model has none.",
        where=key, found=f"{found}, without an expand stage",
        fix="take it out; in pretrain, or give the recipe a vocab section",
    )  # fmt: skip


def _embedding_names(model: Any, parameters: dict[str, nn.Parameter]) -> list[str]:
    """Names of the input embedding and the head's matrix (one name where they are tied)."""
    head = model.get_output_embeddings()
    ends = [model.get_input_embeddings().weight] + ([] if head is None else [head.weight])
    return [name for name, p in parameters.items() if any(p is end for end in ends)]


def _decaying(model: Any) -> set[str]:
    """Names of the matrices that are multiplied with.

    Tables of positions (GPT-2), norms of each head (Cohere) and biases of each expert have two
    sides too.
    """
    return {
        f"{path}.{name}" for path, module in model.named_modules()
        if not isinstance(module, nn.Embedding) and "norm" not in type(module).__name__.lower()
        for name, weight in module.named_parameters(recurse=False)
        if weight.ndim >= 2 and not name.endswith("bias")
    }  # fmt: skip


def _length_over_ranks(grads: dict[str, Tensor]) -> Tensor:
    """The length of a gradient of which every process has a part, the same bits on each.

    What is not cut (see ``keeps_fp32``) has a gradient of its own on each process; these are
    added up first.
    """
    whole = [parallel.total(grad) for name, grad in grads.items() if keeps_fp32(name)]
    parts = [grad for name, grad in grads.items() if not keeps_fp32(name)]
    square = get_total_norm(parts).double().cpu() ** 2
    return (parallel.total(square) + get_total_norm(whole).double().cpu() ** 2).sqrt().float()
