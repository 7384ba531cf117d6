"""What the engines built on Transformers' Trainer share: settings, counting, turns."""

from __future__ import annotations

from typing import Any

import accelerate
import torch
import transformers
from torch import Tensor
from train_turns import IGNORE, JOB, MODE, Turns, keep_first, rows_at_once
from transformers import TrainerCallback

VERSIONS = {
    "torch": torch.__version__, "transformers": transformers.__version__,
    "accelerate": accelerate.__version__,
}  # fmt: skip


def settings(documents_a_step: int) -> dict[str, Any]:
    """Arguments of the trainer: hanhua's optimiser settings, and nothing written or shown.

    Args:
        documents_a_step: of the optimiser; ``+microN`` in the mode makes parts of N of it.
    """
    micro = rows_at_once(documents_a_step)
    return {
        "output_dir": JOB["work"], "max_steps": 1_000_000, "use_cpu": JOB["device"] == "cpu",
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": max(round(documents_a_step / micro), 1),
        "learning_rate": JOB["learning_rate"], "lr_scheduler_type": "constant",
        "adam_beta1": 0.9, "adam_beta2": 0.95, "adam_epsilon": 1e-8, "weight_decay": 0.1,
        "max_grad_norm": 1.0, "optim": "adamw_torch_fused", "bf16": JOB["precision"] == "bf16",
        "gradient_checkpointing": "recompute" in MODE,
        "torch_compile": "compile" in MODE,
        "logging_strategy": "no", "save_strategy": "no", "report_to": [], "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }  # fmt: skip


class InTurns(TrainerCallback):
    """Hooks into the model to count, and into the loop to wait.

    Args:
        versions: of more libraries.
    """

    def __init__(self, **versions: str) -> None:
        self.turns = Turns(**VERSIONS, **versions)
        self.tokens, self.loss, self.sum = 0, 0.0, 0.0
        self.first: list[list[int]] | None = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Hook in, and wait."""
        model = kwargs["model"]
        model.register_forward_pre_hook(self.count, with_kwargs=True)
        model.register_forward_hook(self.note)
        self.turns.begin()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Tell; the next step comes when it is our turn again."""
        if self.first is not None:
            keep_first(lambda: self.first or [])
            self.first = None
        tokens, loss = self.tokens, self.loss + self.sum / self.tokens
        self.tokens, self.loss, self.sum = 0, 0.0, 0.0
        self.turns.step(tokens, loss)

    def count(self, model: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """Tokens that are predicted: labels, shifted by one."""
        self.tokens += int((kwargs["labels"][..., 1:] != IGNORE).sum())
        if self.first is not None:
            self.first += split(kwargs)

    def note(self, model: Any, args: Any, output: Any) -> None:
        """The loss of a part of the step; the trainer divides it by the step's tokens."""
        if getattr(output, "log_probs", None) is not None:  # TRL's own head: not divided yet
            self.sum -= float(output.log_probs.detach().sum())
        else:
            self.loss += float(output.loss.detach())


def split(batch: dict[str, Any]) -> list[list[int]]:
    """The documents of a batch, padded or packed."""
    ids: Tensor = batch["input_ids"]
    positions, mask = batch.get("position_ids"), batch.get("attention_mask")
    found: list[list[int]] = []
    for i, row in enumerate(ids.cpu()):
        n = len(row)
        if mask is not None and mask.ndim == 2:
            n = int((mask[i] > 0).sum())
        starts = [0]
        if positions is not None:
            starts = (positions[i][:n] == 0).nonzero().flatten().tolist()
        ends = [*starts[1:], n]
        found += [row[a:b].tolist() for a, b in zip(starts, ends, strict=True)]
    return [document for document in found if len(document) > 1]


def dataset() -> Any:
    """The documents with labels on every token but the first of each.

    A dataset, as TRL wants it; a list, which is enough for Trainer, where the library is not there.
    """
    from train_turns import documents

    ids = documents()
    columns = {"input_ids": ids, "labels": [[IGNORE, *document[1:]] for document in ids]}
    try:
        from datasets import Dataset
    except ImportError:
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return Dataset.from_dict(columns)


def with_adapters(model: Any) -> Any:
    """The model with LoRA on all linear layers, where the job asks for it."""
    if not JOB["lora"]:
        return model
    from peft import LoraConfig, get_peft_model

    return get_peft_model(model, LoraConfig(
        r=JOB["lora"]["rank"], lora_alpha=JOB["lora"]["alpha"], target_modules="all-linear",
    ))  # fmt: skip
