"""hanhua's own path for benchmarks/chatdata.py: what ``hanhua run`` does up to the rows, or trains.

In a process of its own, as the peers are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from chat_job import JOB, Parts, padding, tell

from hanhua.chat.config import ChatDataConfig
from hanhua.chat.template import get_template
from hanhua.core.config import Machine
from hanhua.core.progress import Silent
from hanhua.model.load import load_tokenizer
from hanhua.stages.chatdata import make_chatdata
from hanhua.tokens.conversations import build_chat_rows
from hanhua.tokens.rows import PackedRows
from hanhua.train.finetune_config import FinetuneConfig
from hanhua.train.loop import train

WORK = Path(JOB["work"])
VERSIONS = {"torch": torch.__version__, "transformers": transformers.__version__}


def main() -> None:
    torch.set_num_threads(1)
    {"prepare": prepare, "train": tune}[JOB["do"]]()


def prepare() -> None:
    """Files to packed rows."""
    parts = Parts()
    gather(JOB["warm"], "warm")
    make_rows("warm")
    with parts.part("read, clean, dedup"):
        report = gather(JOB["files"], "chatdata")
    with parts.part("tokenise, pack"):
        meta = make_rows("chatdata")
    counts = meta["counts_by_language"].values()
    tell(
        parts=parts.seconds, records=report["records_in"], used=report["conversations_kept"],
        dropped=report["dropped"], fates=dict(meta["conversations"]), versions=VERSIONS,
        targets=sum(count["targets"] for count in counts),
        **padding(meta["n_rows"], sum(count["tokens"] for count in counts), JOB["row_tokens"]),
    )  # fmt: skip


def gather(files: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The stage ``chatdata``."""
    config = ChatDataConfig.model_validate({
        "sources": [{"path": file["path"]} for file in files], "dedup": JOB["dedup"],
        "model_name": "Hanhua", "model_maker": "hanhua", "held_out": JOB["held_out"],
    })  # fmt: skip
    return make_chatdata(config, WORK / name, Silent())


def make_rows(name: str) -> Mapping[str, Any]:
    """What ``finetune`` does before its first step."""
    tokenizer = load_tokenizer(Path(JOB["model"]))
    return build_chat_rows(
        tokenizer, len(tokenizer), WORK / name / "train.parquet", get_template(JOB["template"]),
        WORK / f"{name}-rows", seq_len_tokens=JOB["row_tokens"], seed=JOB.get("seed", 0),
        progress=Silent(),
    )  # fmt: skip


def tune() -> None:
    """Train on packed rows, and save."""
    parts = Parts()
    gather(JOB["files"], "chatdata")
    make_rows("chatdata")
    rows = PackedRows.open(WORK / "chatdata-rows")
    model = transformers.AutoModelForCausalLM.from_pretrained(JOB["model"], dtype=torch.float32)
    settings = FinetuneConfig(
        learning_rate=JOB["learning_rate"], schedule=JOB["schedule"], warmup_share=0.0,
        weight_decay=JOB["weight_decay"], betas=(0.9, JOB["beta2"]), steps=JOB["steps"],
        batch_tokens=JOB["rows_a_step"] * JOB["row_tokens"], seq_len_tokens=JOB["row_tokens"],
        precision="fp32",
    )  # fmt: skip
    machine = Machine(device="cpu", threads=1, micro_batch_tokens=JOB["row_tokens"])
    with parts.part("train"):
        train(model, rows, settings, work=WORK / "train", seed=JOB["seed"], machine=machine,
              progress=Silent())  # fmt: skip
    model.save_pretrained(JOB["out"])
    log = (WORK / "train" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    lines = [line for line in map(json.loads, log) if "targets" in line]  # tokens: up to there
    tell(
        parts=parts.seconds, versions=VERSIONS, tokens=lines[-1]["tokens"],
        targets=sum(line["targets"] for line in lines),
    )  # fmt: skip


if __name__ == "__main__":
    main()
