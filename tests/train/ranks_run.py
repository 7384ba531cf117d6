"""A small training run in two processes that share the model, each started as torchrun would."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from resumed_run import Slow
from safetensors.torch import save_file
from tiny_models import make_experts, make_llama, make_rows
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from hanhua.core.config import Machine
from hanhua.core.errors import HanhuaError
from hanhua.model.config import LoraConfig
from hanhua.text.document import Document
from hanhua.train.config import PhaseConfig, TrainConfig
from hanhua.train.loop import train
from hanhua.train.watch import HeldOut

PHASES = [
    PhaseConfig(train="new_rows", share=0.2), PhaseConfig(train="embeddings", share=0.2),
    PhaseConfig(),
]  # fmt: skip


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def make_base(folder: Path, model=None, kind: str = "llama", **values) -> None:
    """A model folder and rows that all processes read."""
    if model is None:
        model = make_llama(**values) if kind == "llama" else make_experts(kind, **values)
    model.save_pretrained(folder / "base")
    make_rows(folder / "rows", n_rows=21)


def held_out() -> HeldOut:
    """Text of a few words, each of them a token."""
    words = {f"w{i}": i for i in range(60)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="w0")), unk_token="w0",
        bos_token="w1",
    )  # fmt: skip
    tokenizer.backend_tokenizer.pre_tokenizer = WhitespaceSplit()
    texts = {name: " ".join(f"w{i * step % 60}" for i in range(30)) for name, step in
             (("en", 7), ("zh", 11))}  # fmt: skip
    return HeldOut(tokenizer, {
        name: [Document(name, text, name, "made", "CC0")] for name, text in texts.items()
    })  # fmt: skip


def run(
    folder: Path, out: str, rank: int, size: int, port: int, values: dict, pause_s: float = 0.0
) -> None:
    """One process's part; 11 rows a step of 2, so that parts and micro-batches are not even."""
    from hanhua.tokens.rows import PackedRows
    from hanhua.train import parallel
    from hanhua.train.save import load_to_train

    if "lora" in values:
        values["lora"] = LoraConfig(**values["lora"])
    config = TrainConfig(**{
        "precision": "fp32", "learning_rate": 1e-2, "batch_tokens": 96, "epochs": 2.0,
        "phases": PHASES, "new_rows_lr_scale": 2.0, **values,
    })  # fmt: skip
    machine = Machine(
        device="cpu", threads=1, micro_batch_tokens=40, background_checkpoints=size == 2,
        checkpoint_minutes=1e-9 if pause_s else 60.0,
    )  # fmt: skip
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip

    def work() -> None:
        base = folder / "base"
        result = train(
            load_to_train(base, config), PackedRows.open(folder / "rows"), config,
            work=folder / out, seed=3, machine=machine, progress=Slow(pause_s), old_rows=60,
            source=base, held_out=held_out() if config.watch else None,
        )  # fmt: skip
        assert parallel.first() or not result.weights
        if parallel.first():
            weights = {name: w.contiguous() for name, w in result.weights.items()}
            save_file(weights, folder / out / "weights.safetensors")
            (folder / out / "facts.json").write_text(json.dumps(dict(result.facts)))

    if size == 1:
        work()
        return
    with parallel.joined(machine):
        try:
            work()
        except HanhuaError as error:
            (folder / out / f"error-{rank}.txt").write_text(error.message)
            raise
