"""A small training run in a process of its own, slow enough to be killed on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from safetensors.torch import save_file
from tiny_models import make_llama, make_rows

from hanhua.core.config import Machine
from hanhua.train.checkpoint import checkpoints
from hanhua.train.config import PhaseConfig, TrainConfig
from hanhua.train.loop import train


class Slow:
    """Progress that takes its time at every step."""

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s

    @contextmanager
    def bar(self, title: str, total: float | None, unit: str, *, done: float = 0) -> Iterator[Slow]:
        yield self

    def advance(self, amount: float = 1, **notes: object) -> None:
        time.sleep(self.pause_s)

    def say(self, text: str) -> None:
        pass


def finish(process: BaseProcess) -> None:
    """Wait for a run that must end well."""
    process.join(240)
    assert process.exitcode == 0


def kill_at(folder: Path, step: int, process: BaseProcess, work: str = "work") -> None:
    """Kill -9 once a checkpoint of that step or a later one is there."""
    while process.is_alive():
        found = checkpoints(folder / work)
        if found and int(found[-1].name.split("-")[1]) >= step:
            process.kill()
            process.join()
            return
        time.sleep(0.01)
    raise AssertionError(f"it ended before step {step}, with exit code {process.exitcode}")


def run(folder: Path, precision: str, pause_s: float) -> None:
    """Train 25 steps in two phases, with dropout; a checkpoint at every step of a slow run."""
    rows = make_rows(folder / "rows", n_rows=40)
    config = TrainConfig(
        precision=precision, learning_rate=1e-2, batch_tokens=128, epochs=2.5,
        phases=[PhaseConfig(train="embeddings", share=0.3), PhaseConfig()],
    )  # fmt: skip
    often = Machine(device="cpu", threads=1, checkpoint_minutes=1e-9 if pause_s else 60.0)
    model = make_llama(num_hidden_layers=1, attention_dropout=0.1)
    result = train(
        model, rows, config, work=folder / "work", seed=3, machine=often, progress=Slow(pause_s)
    )
    save_file(result.weights, folder / "weights.safetensors")
