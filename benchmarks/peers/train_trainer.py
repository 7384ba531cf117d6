"""Transformers' Trainer in turns; see train_turns.py.

Modes: ``grouped`` (documents of like length together), ``padded`` (as they come), ``flat`` (laid
end to end, kept apart by a mask), with ``+microN``, ``+recompute``, ``+compile``.
"""

from __future__ import annotations

from typing import Any

import torch
from train_hf import IGNORE, InTurns, dataset, settings, with_adapters
from train_turns import JOB, MODE, load_model, set_up
from transformers import DataCollatorWithFlattening, Trainer, TrainingArguments


def pad(examples: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """A padded batch, as DataCollatorForSeq2Seq makes it, without a tokenizer."""
    width = max(len(example["input_ids"]) for example in examples)
    shape = (len(examples), width)
    ids, mask = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORE)
    for i, example in enumerate(examples):
        n = len(example["input_ids"])
        ids[i, :n] = torch.tensor(example["input_ids"])
        labels[i, :n] = torch.tensor(example["labels"])
        mask[i, :n] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


class Ordered(Trainer):
    """Passes over the first batch of its sampler: the longest of all, put there to fail early."""

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        sampler = super()._get_train_sampler(*args, **kwargs)
        step = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return list(sampler)[step:] if MODE[0] == "grouped" else sampler


def main() -> None:
    set_up()
    strategy = {"grouped": "group_by_length"}.get(MODE[0], "random")
    arguments = TrainingArguments(
        **settings(JOB["documents_a_step"]), train_sampling_strategy=strategy, seed=0
    )
    dtype = torch.bfloat16 if "pure" in MODE else None
    trainer = Ordered(
        model=with_adapters(load_model(dtype)), args=arguments, train_dataset=dataset(),
        data_collator=DataCollatorWithFlattening() if MODE[0] == "flat" else pad,
        callbacks=[InTurns()],
    )  # fmt: skip
    trainer.train()


if __name__ == "__main__":
    main()
