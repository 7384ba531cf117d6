"""Master weights in fp32, the model's own weights in the precision of the arithmetic.

Where the module computes in bf16, gradients are added up in fp32 (so any number of micro-batches
adds up exactly as well), AdamW steps the fp32 masters, and the module gets the rounded result.
With fp32 arithmetic the module's weights are the masters.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hanhua.core.errors import TrainingError
from hanhua.model.lora import keeps_fp32, trained_names
from hanhua.train.config import OptimConfig, PhaseConfig
from hanhua.train.precision import choose_precision

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


class Masters:
    """The trained weights of a model, and the optimiser on them.

    With LoRA these are the adapters' (and, where asked for, both ends'); a frozen weight has no
    master, no gradient and no optimiser state.

    Args:
        model: a causal LM; its parameters are cast to the section's precision.
        config: the section.
        old_rows: embedding rows that the base had, for the phase ``new_rows``; None: unknown.
    """

    def __init__(self, model: Any, config: OptimConfig, old_rows: int | None = None) -> None:
        self.config = config
        self.old_rows = old_rows
        self.only_new_rows = False
        dtype = DTYPES[choose_precision(config.precision, str(model.device))]
        self.working: dict[str, nn.Parameter] = dict(model.named_parameters())
        if config.lora is not None:
            names = trained_names(model, config.lora)
            self.working = {n: p for n, p in self.working.items() if n in names}
        self.weights: dict[str, Tensor] = {}
        for name, parameter in self.working.items():
            self.weights[name] = parameter.detach().to(torch.float32, copy=True)
            # the same tensor where dtype is fp32
            parameter.data = self.weights[name].to(torch.float32 if keeps_fp32(name) else dtype)
        self.embeddings = _embedding_names(model, self.working)
        self.optimizer = torch.optim.AdamW(
            self._groups(), lr=config.learning_rate, betas=config.betas, eps=config.eps, fused=True
        )

    def _groups(self) -> list[dict[str, Any]]:
        body = [(n, w) for n, w in self.weights.items() if n not in self.embeddings]
        groups = {
            "matrices": [w for _, w in body if w.ndim >= 2],
            "vectors": [w for _, w in body if w.ndim < 2],
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
            raise TrainingError(
                "A phase trains only new rows, but this model has none.",
                where="pretrain.phases", found="train: new_rows, without an expand stage",
                fix="take the phase out, or give the recipe a vocab section",
            )  # fmt: skip
        self.only_new_rows = phase.train == "new_rows"
        for name, parameter in self.working.items():
            parameter.requires_grad_(phase.train == "all" or name in self.embeddings)
            self.weights[name].grad = None

    def collect(self) -> None:
        """Add the module's gradients to the masters', and clear them."""
        for name, parameter in self.working.items():
            if parameter.grad is None:
                continue
            master = self.weights[name]
            if master.grad is None:
                master.grad = parameter.grad.to(torch.float32)
            else:
                master.grad.add_(parameter.grad)
            parameter.grad = None

    def step(self, learning_rate: float) -> float:
        """One optimiser step; returns the length of the gradient before clipping.

        Nothing is changed when that length is not a number.
        """
        if self.only_new_rows:
            for name in self.embeddings:
                grad = self.weights[name].grad
                if grad is not None:
                    grad[: self.old_rows].zero_()
        active = [w for w in self.weights.values() if w.grad is not None]
        limit = self.config.clip or float("inf")
        length = float(torch.nn.utils.clip_grad_norm_(active, limit, foreach=True))
        if length == length and length != float("inf"):
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate * group["lr_scale"]
            self.optimizer.step()
            self.copy_down()
        self.optimizer.zero_grad(set_to_none=True)
        return length

    def copy_down(self) -> None:
        """Give the module the masters' values."""
        for name, parameter in self.working.items():
            if parameter.data_ptr() != self.weights[name].data_ptr():
                parameter.data.copy_(self.weights[name])


def _embedding_names(model: Any, parameters: dict[str, nn.Parameter]) -> list[str]:
    """Names of the input embedding and the head's matrix (one name where they are tied)."""
    head = model.get_output_embeddings()
    ends = [model.get_input_embeddings().weight] + ([] if head is None else [head.weight])
    return [name for name, p in parameters.items() if any(p is end for end in ends)]
