"""LLaMA-Factory's supervised fine-tuning in turns; see train_turns.py.

Modes: ``neat`` (its packing that keeps documents apart), ``padded``, with ``+microN`` and
``+recompute``. Its own packer lays the documents out, before any time is counted.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from datasets import Dataset, DatasetDict
from llamafactory.data.processor import PackedSupervisedDatasetProcessor
from llamafactory.train.tuner import run_exp
from train_hf import IGNORE, InTurns, dataset, settings
from train_turns import JOB, MODE, documents, set_up

PACKED = MODE[0] == "neat"
ROOM = JOB["row_tokens"] - 1
"""Its packer adds one, and its collator then pads ids, but not positions, to a multiple of 8."""


class Packer(PackedSupervisedDatasetProcessor):
    """The packer for documents that are token ids already."""

    def _encode_data_example(self, prompt: Any, *args: Any, **kwargs: Any) -> Any:
        return prompt[0], [IGNORE, *prompt[0][1:]]


def packed() -> Dataset:
    """The documents as LLaMA-Factory packs them."""
    found = [ids[:ROOM] for ids in documents()]
    packer = Packer(
        template=None, tokenizer=SimpleNamespace(pad_token_id=0), processor=None,
        data_args=SimpleNamespace(cutoff_len=ROOM, neat_packing=True),
    )  # fmt: skip
    nothing = [None] * len(found)
    columns = ("_system", "_tools", "_images", "_videos", "_audios")
    examples = dict.fromkeys(columns, nothing)
    examples |= {"_prompt": [[ids] for ids in found], "_response": [[""] for _ in found]}
    return Dataset.from_dict(dict(packer.preprocess_dataset(examples)))


def main() -> None:
    set_up()
    rows = packed() if PACKED else dataset()
    path = Path(JOB["work"]) / "tokenized"
    DatasetDict({"train": rows}).save_to_disk(str(path))
    size = JOB["batch_tokens"] // JOB["row_tokens"] if PACKED else JOB["documents_a_step"]
    arguments = settings(size) | {
        "stage": "sft", "finetuning_type": "full", "do_train": True, "template": "empty",
        "model_name_or_path": JOB["model"], "tokenized_path": str(path), "neat_packing": PACKED,
        "dataset": "tokenized", "cutoff_len": ROOM, "overwrite_output_dir": True, "seed": 0,
        "disable_gradient_checkpointing": "recompute" not in MODE,
    }  # fmt: skip
    run_exp(arguments, [InTurns(llamafactory=version("llamafactory"))])


if __name__ == "__main__":
    main()
