"""Made-up pairs, and small runs that learn from them, here or in processes of their own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from resumed_run import Slow
from safetensors.torch import save_file
from tiny_models import VOCAB, make_llama

from hanhua.core.config import Machine
from hanhua.core.progress import Silent
from hanhua.tokens.pairs import PairRows
from hanhua.tokens.rows import Row, RowsWriter
from hanhua.train.loop import train
from hanhua.train.packed import enable
from hanhua.train.prefer_config import PreferConfig
from hanhua.train.preference import Preference, measure_pairs
from hanhua.train.shard import Root

VALUES: dict[str, Any] = {
    "sources": [{"path": str(Path(__file__).resolve())}], "precision": "fp32",
    "learning_rate": 1e-2, "batch_tokens": 8 * 48, "epochs": 1.0, "seq_len_tokens": 24,
}  # fmt: skip
PROMPT = 5


def section(**values: Any) -> PreferConfig:
    return PreferConfig(**{**VALUES, **values})


def make_pair_rows(path: Path, n: int, seed: int = 0) -> PairRows:
    """Random questions; the better answer counts upwards from any number, the worse downwards."""
    rng = np.random.default_rng(seed)
    writer = RowsWriter(path, 48, VOCAB, ["en", "zh"], has_targets=True)
    for i in range(n):
        prompt = rng.integers(0, VOCAB, PROMPT)
        sides = []
        for step in (1, -1):
            answer = (rng.integers(0, VOCAB) + step * np.arange(rng.integers(6, 20))) % VOCAB
            sides.append(np.concatenate([prompt, answer]))
        masks = [np.arange(len(side)) >= PROMPT for side in sides]
        lengths = np.array([len(side) for side in sides], np.int32)
        row = Row(np.concatenate(sides), np.concatenate(masks), lengths, "zh" if i % 2 else "en")
        writer.add(row)
    writer.close(longest_document=24)
    return PairRows.open(path)


def tune(folder: Path, **values: Any):
    """Learn from 160 pairs: the log, and 40 held-out pairs before and after."""
    config = section(**values)
    rows = make_pair_rows(folder / "rows", 160)
    held_out = make_pair_rows(folder / "held_out", 40, seed=1)
    model = make_llama()
    result = train(
        model, rows, config, work=folder / "work", seed=3, machine=Machine(device="cpu", threads=1),
        progress=Silent(), objective=Preference(config, Silent(), held_out),
    )  # fmt: skip
    enable(model)
    after = measure_pairs(Root(model), held_out, 2048, Silent()).numpy()
    log = [json.loads(line) for line in result.log.read_text().splitlines()]
    return log, held_out.with_reference().reference, after, held_out


def run(folder: Path, pause_s: float) -> None:
    """10 steps; a checkpoint at every step of a slow run."""
    folder.mkdir(exist_ok=True)
    rows = make_pair_rows(folder / "rows", 80)
    config = section()
    often = Machine(device="cpu", threads=1, checkpoint_minutes=1e-9 if pause_s else 60.0)
    model = make_llama(num_hidden_layers=1, attention_dropout=0.1)
    result = train(
        model, rows, config, work=folder / "work", seed=3, machine=often, progress=Slow(pause_s),
        objective=Preference(config, Silent(), None),
    )  # fmt: skip
    save_file(result.weights, folder / "weights.safetensors")


def run_rank(folder: Path, rank: int, size: int, port: int) -> None:
    """One process's part of 6 steps; parts and micro-batches are not even."""
    from hanhua.train import parallel
    from hanhua.train.save import load_to_train

    config = section(batch_tokens=7 * 48, epochs=2.0)
    machine = Machine(device="cpu", threads=1, micro_batch_tokens=90)
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip

    def work() -> None:
        base = folder / "base"
        result = train(
            load_to_train(base, config), PairRows.open(folder / f"rows-{size}"), config,
            work=folder / f"work-{size}", seed=3, machine=machine, progress=Slow(0.0), source=base,
            objective=Preference(config, Silent(), None),
        )  # fmt: skip
        if parallel.first():
            weights = {name: w.contiguous() for name, w in result.weights.items()}
            save_file(weights, folder / f"{size}.safetensors")

    if size == 1:
        work()
        return
    with parallel.joined(machine):
        work()
