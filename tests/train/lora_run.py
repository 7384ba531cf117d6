"""A small LoRA run in a process of its own, slow enough to be killed on the way."""

from __future__ import annotations

from pathlib import Path

from resumed_run import Slow
from safetensors.torch import save_file
from tiny_models import make_llama, make_rows

from hanhua.core.config import Machine
from hanhua.model.config import LoraConfig
from hanhua.train.config import PhaseConfig, TrainConfig
from hanhua.train.loop import train


def run(folder: Path, precision: str, pause_s: float) -> None:
    """Train 20 steps in two phases, with dropout; a checkpoint at every step of a slow run."""
    rows = make_rows(folder / "rows", n_rows=40)
    config = TrainConfig(
        precision=precision, learning_rate=1e-2, batch_tokens=128, steps=20,
        lora=LoraConfig(rank=4, dropout=0.1, dora=True, embeddings=True),
        phases=[PhaseConfig(train="embeddings", share=0.3), PhaseConfig()],
    )  # fmt: skip
    often = Machine(device="cpu", threads=1, checkpoint_minutes=1e-9 if pause_s else 60.0)
    result = train(
        make_llama(num_hidden_layers=1), rows, config, work=folder / "work", seed=3, machine=often,
        progress=Slow(pause_s),
    )  # fmt: skip
    save_file(result.weights, folder / "weights.safetensors")
