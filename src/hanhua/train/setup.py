"""What stands before the first step: the model made ready, and where its numbers go."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import torch

from hanhua.core.config import Machine
from hanhua.core.errors import TrainingError
from hanhua.core.progress import Progress
from hanhua.model.lora import add_adapters
from hanhua.tokens.rows import PackedRows
from hanhua.train import parallel
from hanhua.train.blocks import prepare_blocks
from hanhua.train.config import OptimConfig
from hanhua.train.fill import fill
from hanhua.train.keep import State
from hanhua.train.log import NoLog, TrainLog
from hanhua.train.objective import check_head
from hanhua.train.optim import DTYPES
from hanhua.train.packed import enable, try_out
from hanhua.train.parallel import device_of
from hanhua.train.precision import Precision
from hanhua.train.schedule import Plan
from hanhua.train.shard import Root, let_go, settle, shard
from hanhua.train.speed import speed_of
from hanhua.train.trackers import Trackers


def set_up(
    model: Any, config: OptimConfig, precision: Precision, machine: Machine, seed: int,
    source: Path | None,
) -> Root:  # fmt: skip
    """A model ready for steps: adapters, packed attention, on its device or cut over many.

    Args:
        model: a causal LM, in a run of many processes one without weights.
        config: the section.
        precision: of the arithmetic.
        machine: device, blocks computed again or compiled.
        seed: of adapters.
        source: the folder that the model came from.

    Raises:
        TrainingError: for what one process can do and many can't.
        ModelError: when the model can't be trained on packed documents.
    """
    if parallel.size() > 1 and config.lora is not None and config.lora.base_bits:
        raise TrainingError(
            "A base in 4 bits is trained by one process only.", where="lora.base_bits",
            found=f"{parallel.size()} processes", fix="start one, or leave base_bits out",
        )  # fmt: skip
    device, dtype = device_of(machine), DTYPES[precision]
    enable(model)
    torch.manual_seed(seed)
    if config.lora is not None:
        add_adapters(model, config.lora, seed, dtype)
    prepare_blocks(model, machine)
    model.train()
    if parallel.size() == 1:
        return Root(model.to(device))
    assert source is not None, "a shared model is read from its folder"
    root = shard(model, dtype, device)
    fill(root, source, device)
    settle(root)
    for check in (try_out, check_head):
        root(check)
    let_go(root)
    return root


def in_background(machine: Machine) -> bool:
    """Whether checkpoints are written while training goes on."""
    asked = machine.background_checkpoints
    return device_of(machine) != "cpu" if asked is None else asked


def open_log(
    stack: ExitStack, root: Root, config: OptimConfig, plan: Plan, rows: PackedRows, state: State,
    work: Path, machine: Machine, progress: Progress, title: str, identity: str,
    precision: Precision,
) -> TrainLog | NoLog:  # fmt: skip
    """The log with bar and trackers, closed with the stack; only the first process has one."""
    if not parallel.first():
        return NoLog()
    speed = speed_of(root.model, rows, precision, device_of(machine))
    trackers = Trackers(
        machine.trackers, Path(machine.tracker_folder), f"{title}-{identity[:12]}",
        config.model_dump(mode="json"), state.step,
    )  # fmt: skip
    stack.enter_context(closing(trackers))
    total = plan.total_rows * rows.n_tokens / len(rows)
    bar = stack.enter_context(progress.bar(title, total, "tok", done=state.tokens))
    return stack.enter_context(
        TrainLog(work / "log.jsonl", state.step, bar, trackers, progress.say, speed)
    )
