"""hanhua's own training loop in turns; see train_turns.py.

The loop is the one that ``hanhua run`` uses, with its guard and its log. It reports every
step to its progress bar, so that is where it waits. Modes: ``microN`` (rows at once), ``compile``,
``selective`` or ``full`` (activation checkpointing).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from train_turns import JOB, MODE, Turns, documents, keep_first, load_model, rows_at_once, set_up

from hanhua.core.config import Machine
from hanhua.model.config import LoraConfig
from hanhua.tokens.pack import pack
from hanhua.tokens.rows import PackedRows, Row, RowsWriter
from hanhua.train.config import TrainConfig
from hanhua.train.loop import train

FOREVER = 1_000_000
NEVER = 1e6
"""No engine writes checkpoints here; by the clock hanhua would, and the clock runs while others
train."""
LANGUAGE = "zh"
AGAIN: Any = next((mode for mode in MODE if mode in ("selective", "full")), "none")


class InTurns:
    """Progress that waits for its turn after each step."""

    def __init__(self, rows: PackedRows, log: Path) -> None:
        self.rows, self.log, self.rows_a_step = rows, log, JOB["batch_tokens"] // JOB["row_tokens"]
        self.turns = Turns(torch=torch.__version__, transformers=transformers.__version__)
        self.profile = Profile(JOB.get("profile", ""))

    @contextmanager
    def bar(
        self, title: str, total: float | None, unit: str, *, done: float = 0
    ) -> Iterator[InTurns]:
        """The bar of the training loop."""
        self.turns.begin()
        yield self

    def advance(self, amount: float = 1, **notes: Any) -> None:
        """A step is over; its line is the last in the log."""
        keep_first(self._first)
        self.profile.step()
        line = json.loads(self.log.read_text(encoding="utf-8").splitlines()[-1])
        self.turns.step(line["targets"], line["loss"])

    def say(self, text: str) -> None:
        """To the log of this process."""
        print(text)

    def _first(self) -> list[list[int]]:
        rows = [self.rows.row(i) for i in range(self.rows_a_step)]
        return [
            part.tolist()
            for row in rows
            for part in np.split(row.tokens, np.cumsum(row.lengths)[:-1])
        ]


class Profile:
    """Writes down where the device's time goes in the third step, which warms up.

    Args:
        path: of the table; "": none is made.
    """

    def __init__(self, path: str) -> None:
        self.path, self.steps = path, 0

    def step(self) -> None:
        """A step is over."""
        self.steps += 1
        if not self.path or self.steps not in (2, 3):
            return
        if self.steps == 2:
            kinds = torch.profiler.ProfilerActivity
            activities = [kinds.CPU] if JOB["device"] == "cpu" else [kinds.CPU, kinds.CUDA]
            self.profiler = torch.profiler.profile(activities=activities)
            self.profiler.start()
            return
        self.profiler.stop()
        found = self.profiler.key_averages()
        table = found.table(
            sort_by=f"self_{JOB['device']}_time_total", row_limit=40, max_name_column_width=60
        )
        name = f"{JOB['mode']}{'+lora' if JOB['lora'] else ''} {JOB['shape']}"
        with open(self.path, "a", encoding="utf-8") as out:
            out.write(f"{name}\n{table}\n")


def make_rows(folder: Path) -> PackedRows:
    """Packed rows in random order, as the ``tokens`` stage writes them."""
    found = documents()
    writer = RowsWriter(folder, JOB["row_tokens"], JOB["shape"]["vocab_size"], [LANGUAGE])
    packed = pack(np.array([len(ids) for ids in found]), JOB["row_tokens"])
    for i in np.random.default_rng(0).permutation(len(packed)):
        parts = [found[p.document][p.start : p.start + p.length] for p in packed[i]]
        lengths = np.array([len(part) for part in parts], np.int32)
        writer.add(Row(np.concatenate(parts), None, lengths, LANGUAGE))
    writer.close()
    return PackedRows.open(folder)


def main() -> None:
    set_up()
    work = Path(JOB["work"])
    rows = make_rows(work / "rows")
    config = TrainConfig(
        learning_rate=JOB["learning_rate"], schedule="constant", warmup_share=0.0,
        batch_tokens=JOB["batch_tokens"], steps=FOREVER, precision=JOB["precision"],
        lora=LoraConfig(**JOB["lora"]) if JOB["lora"] else None,
    )  # fmt: skip
    cpu = JOB["device"] == "cpu"
    machine = Machine(
        device=JOB["device"], threads=1 if cpu else 0, compile="compile" in MODE,
        activation_checkpointing=AGAIN,
        micro_batch_tokens=rows_at_once(JOB["micro_tokens"] // JOB["row_tokens"])
        * JOB["row_tokens"], checkpoint_minutes=NEVER,
    )  # fmt: skip
    model = load_model(None if cpu else torch.bfloat16)
    progress = InTurns(rows, work / "train" / "log.jsonl")
    train(model, rows, config, work=work / "train", seed=0, machine=machine, progress=progress)


if __name__ == "__main__":
    main()
