"""TRL's SFTTrainer for benchmarks/chatdata.py: prepare files, show its labels, or train.

Files are loaded with ``datasets``, brought into TRL's conversational form by a plain ``map`` (that
is the user's to write; records that its template refuses are left out there), and prepared by the
trainer: ``assistant_only_loss``, packing ``bfd``, one process.
"""

from __future__ import annotations

from typing import Any

import datasets
import torch
import transformers
import trl
from chat_job import IGNORE, JOB, Parts, padding, tell, write_dump
from transformers import AutoModelForCausalLM, AutoTokenizer

ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
         "yayi": "assistant", "system": "system"}  # fmt: skip
VERSIONS = {"trl": trl.__version__, "transformers": transformers.__version__,
            "datasets": datasets.__version__, "torch": torch.__version__}  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    {"prepare": prepare, "dump": dump, "train": train}[JOB["do"]]()


def prepare() -> None:
    """Files to packed rows."""
    parts = Parts()
    model = load_model()
    trainer(model, load(JOB["warm"])[0], packing=True)
    with parts.part("read"):
        data, records = load(JOB["files"])
    with parts.part("tokenise, pack"):
        rows = trainer(model, data, packing=True).train_dataset
    tokens = sum(map(len, rows["input_ids"]))
    tell(
        parts=parts.seconds, records=records, used=len(data), versions=VERSIONS,
        targets=sum(label != IGNORE for labels in rows["labels"] for label in labels),
        **padding(len(rows), tokens, JOB["row_tokens"]),
    )  # fmt: skip


def dump() -> None:
    """The labels of each conversation, before anything is cut or packed."""
    data, _ = load(JOB["files"])
    found = trainer(load_model(), data, packing=False, max_length=None, shuffle_dataset=False)
    write_dump(zip(found.train_dataset["input_ids"], found.train_dataset["labels"], strict=True))
    tell(versions=VERSIONS)


def train() -> None:
    """Train on packed rows, and save."""
    parts = Parts()
    data, _ = load(JOB["files"])
    found = trainer(load_model(), data, packing=True, **{
        "max_steps": JOB["steps"], "learning_rate": JOB["learning_rate"], "seed": JOB["seed"],
        "gradient_accumulation_steps": JOB["rows_a_step"], "lr_scheduler_type": JOB["schedule"],
        "warmup_steps": JOB["warmup_steps"], "weight_decay": JOB["weight_decay"],
        "adam_beta2": JOB["beta2"], "max_grad_norm": 1.0, "optim": "adamw_torch",
        "shuffle_dataset": True,
    })  # fmt: skip
    seen = [0, 0]

    def count(model: Any, args: Any, kwargs: dict[str, Any]) -> None:
        seen[0] += int(kwargs["input_ids"].numel())
        seen[1] += int((kwargs["labels"][..., 1:] != IGNORE).sum())

    found.model.register_forward_pre_hook(count, with_kwargs=True)
    with parts.part("train"):
        found.train()
    found.save_model(JOB["out"])
    tell(parts=parts.seconds, versions=VERSIONS, tokens=seen[0], targets=seen[1])


def load(files: list[dict[str, Any]]) -> tuple[Any, int]:
    """All files as one set of ``messages``, and how many records there were."""
    found, records = [], 0
    for file in files:
        data = datasets.load_dataset("json", data_files=file["path"], split="train")
        records += len(data)
        messages = data.map(
            to_messages, fn_kwargs={"file": file}, remove_columns=data.column_names,
            features=FEATURES,
        )  # fmt: skip
        found.append(messages.filter(lambda record: len(record["messages"]) > 0))
    return datasets.concatenate_datasets(found), records


FEATURES = datasets.Features({
    "messages": [{"role": datasets.Value("string"), "content": datasets.Value("string")}]
})  # fmt: skip


def to_messages(record: dict[str, Any], file: dict[str, Any]) -> dict[str, Any]:
    """A record as messages; none where the roles do not take turns or there is no answer."""
    if file["kind"] == "turns":
        said = [(ROLES.get(turn[file["role"]], ""), turn[file["text"]] or "")
                for turn in record[file["list"]]]  # fmt: skip
    else:
        said = []
        for asked, answered in record.get("history") or []:
            said += [("user", asked), ("assistant", answered)]
        asked = [record.get(name) or "" for name in file["question"]]
        said += [("user", "\n".join(filter(None, asked))),
                 ("assistant", record.get(file["answer"]) or "")]  # fmt: skip
    if record.get("system") and said and said[0][0] != "system":
        said = [("system", record["system"]), *said]
    turns = said[1:] if said and said[0][0] == "system" else said
    wanted = [("user", "assistant")[i % 2] for i in range(len(turns))]
    sound = turns and [role for role, _ in turns] == wanted and len(turns) % 2 == 0
    return {"messages": [{"role": r, "content": c} for r, c in said] if sound else []}


def load_model() -> Any:
    return AutoModelForCausalLM.from_pretrained(JOB["model"], dtype=torch.float32)


def trainer(model: Any, data: Any, packing: bool, **settings: Any) -> Any:
    """The trainer, which prepares its data when it is made."""
    arguments = {
        "output_dir": JOB["work"], "max_length": JOB["row_tokens"], "packing": packing,
        "packing_strategy": "bfd", "assistant_only_loss": True, "use_cpu": True, "bf16": False,
        "per_device_train_batch_size": 1, "gradient_checkpointing": False, "report_to": [],
        "logging_strategy": "no", "save_strategy": "no", "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }  # fmt: skip
    return trl.SFTTrainer(
        model=model, args=trl.SFTConfig(**{**arguments, **settings}), train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(JOB["model"]),
    )  # fmt: skip


if __name__ == "__main__":
    main()
