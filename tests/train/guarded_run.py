"""A run that goes astray on the way, in a process of its own."""

from __future__ import annotations

from pathlib import Path

from resumed_run import Slow
from safetensors.torch import save_file
from tiny_models import make_llama, make_text_rows

from hanhua.core.config import Machine
from hanhua.train.config import GuardConfig, TrainConfig
from hanhua.train.loop import train

STEPS = 26
BAD_STEPS = range(19, 22)
GUARD = GuardConfig(window_steps=8, threshold=4.0, max_in_a_row=3, keep_every_steps=8)


def run(folder: Path, pause_s: float) -> None:
    """Train 26 steps with dropout; three of them are nonsense. A slow run saves at every step."""
    bad = [row for step in BAD_STEPS for row in (2 * step - 2, 2 * step - 1)]
    rows = make_text_rows(folder / "rows", bad, n_rows=2 * STEPS)
    config = TrainConfig(precision="fp32", learning_rate=2e-2, batch_tokens=64, guard=GUARD)
    often = Machine(device="cpu", threads=1, checkpoint_minutes=1e-9 if pause_s else 60.0)
    model = make_llama(num_hidden_layers=1, attention_dropout=0.1)
    result = train(
        model, rows, config, work=folder / "work", seed=3, machine=often, progress=Slow(pause_s)
    )
    save_file(result.weights, folder / "weights.safetensors")
