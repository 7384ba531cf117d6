"""LLaMA-Factory for benchmarks/chatdata.py: prepare files, or show its labels.

Files are named in a ``dataset_info.json`` as its documentation says; its own loader, converter,
template and packer (``neat_packing``) do the rest, in one process. The template is hanhua's default
written in its slots: the same text.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from chat_job import IGNORE, JOB, Parts, padding, tell, write_dump
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.data.formatter import EmptyFormatter, StringFormatter
from llamafactory.data.template import register_template
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer

TOKENS = JOB["row_tokens"] - 1 if JOB["do"] == "prepare" else 10_000_000
"""Its packer makes rows of one token more."""
VERSIONS = {name: version(name) for name in ("llamafactory", "transformers", "datasets", "torch")}


def main() -> None:
    torch.set_num_threads(1)
    parts = Parts()
    register_template(
        name="hanhua",
        format_prefix=EmptyFormatter(slots=[{"bos_token"}]),
        format_system=StringFormatter(slots=["S: {{content}}", {"eos_token"}]),
        format_user=StringFormatter(slots=["Q: {{content}}", {"eos_token"}, "A:"]),
        format_assistant=StringFormatter(slots=[" {{content}}", {"eos_token"}]),
    )
    packed = JOB["do"] == "prepare"
    prepared(JOB["warm"], packed)
    with parts.part("read, tokenise, pack"):
        data = prepared(JOB["files"], packed)
    if JOB["do"] == "dump":
        write_dump(zip(data["input_ids"], data["labels"], strict=True))
        tell(versions=VERSIONS)
        return
    tokens = sum(sum(x > 0 for x in mask) for mask in data["attention_mask"])
    segments = sum(max(mask) for mask in data["attention_mask"])
    tell(
        parts=parts.seconds, records=JOB["records"], used=segments, versions=VERSIONS,
        targets=sum(label != IGNORE for labels in data["labels"] for label in labels),
        **padding(len(data), tokens, JOB["row_tokens"]),
    )  # fmt: skip


def prepared(files: list[dict[str, Any]], packed: bool) -> Any:
    """The training set as its loader makes it."""
    work = Path(JOB["work"])
    (work / "dataset_info.json").write_text(json.dumps({f["name"]: entry(f) for f in files}))
    model_args, data_args, training_args, _, _ = get_train_args({
        "stage": "sft", "do_train": True, "finetuning_type": "full", "template": "hanhua",
        "model_name_or_path": JOB["model"], "dataset_dir": str(work), "cutoff_len": TOKENS,
        "dataset": ",".join(file["name"] for file in files), "packing": packed,
        "neat_packing": packed, "output_dir": str(work / "out"), "overwrite_cache": True,
        "use_cpu": True, "report_to": "none", "preprocessing_batch_size": 1000,
        "disable_gradient_checkpointing": True,
    })  # fmt: skip
    tokenizer = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(tokenizer["tokenizer"], data_args)
    found = get_dataset(template, model_args, data_args, training_args, stage="sft", **tokenizer)
    return found["train_dataset"]


def entry(file: dict[str, Any]) -> dict[str, Any]:
    """A file in the form of ``dataset_info.json``."""
    if file["kind"] == "turns":
        return {
            "file_name": file["path"], "formatting": "sharegpt",
            "columns": {"messages": file["list"],
                        **({"system": "system"} if "system" in file["fields"] else {})},
            "tags": {"role_tag": file["role"], "content_tag": file["text"],
                     "user_tag": file["user"], "assistant_tag": file["assistant"]},
        }  # fmt: skip
    columns = {"prompt": file["question"][0], "response": file["answer"]}
    if len(file["question"]) > 1:
        columns["query"] = file["question"][1]
    columns |= {name: name for name in ("history", "system") if name in file["fields"]}
    return {"file_name": file["path"], "columns": columns}


if __name__ == "__main__":
    main()
