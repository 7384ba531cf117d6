"""TRL's SFTTrainer in turns; see train_turns.py.

Modes: ``bfd`` (its best packing), ``padded``, with ``+microN``, ``+recompute`` (gradient
checkpointing, which TRL turns on by default), ``+compile``.
"""

from __future__ import annotations

import trl
from train_hf import InTurns, dataset, settings
from train_turns import JOB, MODE, load_model, set_up
from transformers import PreTrainedTokenizerFast


def main() -> None:
    set_up()
    packed = "bfd" in MODE
    size = JOB["batch_tokens"] // JOB["row_tokens"] if packed else JOB["documents_a_step"]
    arguments = trl.SFTConfig(
        **settings(size), seed=0, max_length=JOB["row_tokens"], packing=packed,
        packing_strategy="bfd",
    )  # fmt: skip
    trainer = trl.SFTTrainer(
        model=load_model(), args=arguments, train_dataset=dataset(), callbacks=[
            InTurns(trl=trl.__version__)
        ],
        processing_class=PreTrainedTokenizerFast.from_pretrained(JOB["model"]),
    )  # fmt: skip
    trainer.train()


if __name__ == "__main__":
    main()
