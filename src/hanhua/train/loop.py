"""The one training loop: rows in, weights out, for every model, objective and phase.

A step reads its rows, adds up the gradients of its micro-batches, and moves the weights once.
Everything that decides the next step (weights, optimiser, random state, place in the data) is in
a checkpoint; the log holds nothing that depends on the clock. So a run that was killed and
started again is the run that was not.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from hanhua.core.config import Machine
from hanhua.core.errors import TrainingError
from hanhua.core.files import canonical_json, sha256_text
from hanhua.core.progress import Bar, Progress
from hanhua.tokens.loader import Batch, LoaderState, read_batch
from hanhua.tokens.rows import PackedRows
from hanhua.train.attention import enable
from hanhua.train.checkpoint import kept_precision, load_checkpoint, save_checkpoint
from hanhua.train.config import OptimConfig
from hanhua.train.memory import keep_freed_memory
from hanhua.train.objective import check_head, check_rows, flatten, next_token_loss
from hanhua.train.optim import Masters
from hanhua.train.precision import Precision, choose_precision
from hanhua.train.schedule import Phase, lay_out, learning_rate, phase_at


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What came out.

    Args:
        weights: fp32 masters by parameter name.
        log: the file with one JSON line a step.
        steps: optimiser steps taken in all.
        tokens: tokens trained on in all, padding not counted.
        loss: the mean loss of the last tenth of the steps.
        precision: of the arithmetic.
    """

    weights: dict[str, torch.Tensor]
    log: Path
    steps: int
    tokens: int
    loss: float
    precision: Precision


@dataclass(slots=True)
class State:
    """Where training stands; goes into every checkpoint."""

    step: int = 0
    tokens: int = 0
    data: LoaderState = field(default_factory=LoaderState)


@dataclass(frozen=True, slots=True)
class Plan:
    """How many rows go into a step, and how many steps there are."""

    rows_a_step: int
    total_rows: int
    steps: int
    phases: list[Phase]

    def rows_in(self, step: int) -> int:
        """Rows of a step (from 0); the last may have fewer."""
        return min(self.rows_a_step, self.total_rows - step * self.rows_a_step)


def make_plan(config: OptimConfig, n_rows: int, seq_len_tokens: int) -> Plan:
    """Lay out the steps.

    Raises:
        TrainingError: when a row is longer than a step.
    """
    rows_a_step = config.batch_tokens // seq_len_tokens
    if rows_a_step < 1:
        raise TrainingError(
            "A row is longer than an optimiser step.", where="batch_tokens",
            found=f"{config.batch_tokens}, rows have {seq_len_tokens} tokens",
            fix=f"set batch_tokens to a multiple of {seq_len_tokens}",
        )  # fmt: skip
    total = config.steps * rows_a_step if config.steps else max(round(config.epochs * n_rows), 1)
    steps = math.ceil(total / rows_a_step)
    return Plan(rows_a_step, total, steps, lay_out(config, steps))


def train(
    model: Any, rows: PackedRows, config: OptimConfig, *, work: Path, seed: int, machine: Machine,
    progress: Progress, old_rows: int | None = None, title: str = "training",
) -> TrainResult:  # fmt: skip
    """Train a model on packed rows, going on from the newest checkpoint if there is one.

    Args:
        model: a causal LM; its parameters are cast to the section's precision.
        rows: what to train on.
        config: the section.
        work: folder for checkpoints and the log; survives a kill.
        seed: of the data's order and of any randomness in the model.
        machine: threads, micro-batch, how often to checkpoint; changes no result but for the
            order of fp32 additions.
        progress: where to show tokens, rate, loss and learning rate.
        old_rows: embedding rows the base had, needed for a phase ``new_rows``.
        title: of the bar.

    Raises:
        TrainingError: when the loss stops being a number (with a checkpoint from before), or a
            checkpoint doesn't fit.
        ModelError: when the model can't be trained on packed documents.
    """
    torch.set_num_threads(machine.threads or os.cpu_count() or 1)
    keep_freed_memory()
    work.mkdir(parents=True, exist_ok=True)
    check_head(model)
    check_rows(model, rows)
    enable(model)
    model.to(device_of(machine)).train()
    torch.manual_seed(seed)
    plan = make_plan(config, len(rows), rows.seq_len_tokens)
    identity = run_identity(config, rows, seed)
    precision = choose_precision(config.precision, device_of(machine), kept_precision(work))
    config = config.model_copy(update={"precision": precision})
    masters = Masters(model, config, old_rows)
    state, log = _resume(work, masters, identity)
    if state.step:
        progress.say(f"  {title}: going on behind step {state.step} of {plan.steps}")
    total = plan.total_rows * rows.n_tokens / len(rows)
    with (
        progress.bar(title, total, "tok", done=state.tokens) as bar,
        log.open("a", encoding="utf-8") as file,
    ):
        saved = time.monotonic()
        phase = None
        while state.step < plan.steps:
            now = phase_at(plan.phases, state.step)
            if now is not phase:
                phase = now
                masters.begin(phase.config)
            lr = learning_rate(config, phase, state.step)
            batch, data = read_batch(rows, state.data, plan.rows_in(state.step), seed)
            line = _step(model, masters, batch, rows.languages, lr, machine.micro_batch_tokens)
            _check(line, state, masters, work, identity, lr)
            state = State(state.step + 1, state.tokens + batch.n_tokens, data)
            _log(file, bar, batch, {"step": state.step, "tokens": state.tokens, **line})
            late = time.monotonic() - saved > 60 * machine.checkpoint_minutes
            if late or state.step == phase.stop:
                _save(work, masters, state, identity, file)
                saved = time.monotonic()
    return TrainResult(masters.weights, log, state.step, state.tokens, _last_loss(log), precision)


def device_of(machine: Machine) -> str:
    """Where to compute."""
    if machine.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return machine.device


def _step(
    model: Any, masters: Masters, batch: Batch, languages: list[str], lr: float, micro: int
) -> dict[str, Any]:
    """Gradients of all micro-batches, then one move of the weights."""
    parts = [flatten(part, languages) for part in batch.micro_batches(micro)]
    targets = max(sum(part.n_targets for part in parts), 1)
    sums = torch.zeros(len(languages), 2, dtype=torch.float64)
    for flat in parts:
        loss, losses = next_token_loss(model, flat, 1 / targets)
        torch.autograd.backward(loss)
        masters.collect()
        counted = (flat.labels >= 0).double()
        both = torch.stack([losses.double().cpu(), counted], 1)
        sums.index_add_(0, flat.languages, both)
    total = float(sums[:, 0].sum()) / targets
    grad_norm = masters.step(lr) if math.isfinite(total) else math.nan
    by_language = {
        name: round(float(loss / n), 6)
        for name, (loss, n) in zip(languages, sums.tolist(), strict=True)
        if n
    }
    return {
        "loss": round(total, 6), "lr": float(f"{lr:.6g}"), "grad_norm": float(f"{grad_norm:.6g}"),
        "targets": targets, "losses": by_language,
    }  # fmt: skip


def _check(
    line: dict[str, Any], state: State, masters: Masters, work: Path, identity: str, lr: float
) -> None:
    """Stop before a number that isn't one reaches the weights.

    Raises:
        TrainingError: with the step, the learning rate and what to do; the weights from before
            the step are in a checkpoint.
    """
    if math.isfinite(line["loss"]) and math.isfinite(line["grad_norm"]):
        return
    kept = _save(work, masters, state, identity, None)
    raise TrainingError(
        f"The loss or its gradient is not a number at step {state.step + 1}.", where=kept,
        found=f"loss {line['loss']}, gradient {line['grad_norm']}, learning rate {lr:.3g}",
        fix="lower learning_rate, raise warmup_share or set precision: fp32; the weights from "
        "before this step are kept in the folder above",
    )  # fmt: skip


def run_identity(config: OptimConfig, rows: PackedRows, seed: int) -> str:
    """What a checkpoint must have in common with the run that takes it up."""
    return sha256_text(canonical_json([config.model_dump(mode="json"), dict(rows.meta), seed]))


def _save(work: Path, masters: Masters, state: State, identity: str, log: Any) -> Path:
    if log is not None:
        log.flush()
        os.fsync(log.fileno())
    facts = {
        "identity": identity, "tokens": state.tokens, "data": asdict(state.data),
        "precision": masters.config.precision,
    }  # fmt: skip
    return save_checkpoint(work, state.step, masters, facts)


def _resume(work: Path, masters: Masters, identity: str) -> tuple[State, Path]:
    """The newest checkpoint's state, and a log that ends where it does."""
    found = load_checkpoint(work, masters, identity)
    log = work / "log.jsonl"
    if found is None:
        log.write_text("", encoding="utf-8")
        return State(), log
    state = State(found["step"], found["tokens"], LoaderState(**found["data"]))
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)[: state.step]
    log.write_text("".join(lines), encoding="utf-8")
    return state, log


def _log(file: Any, bar: Bar, batch: Batch, line: dict[str, Any]) -> None:
    file.write(json.dumps(line, sort_keys=True) + "\n")
    file.flush()
    bar.advance(batch.n_tokens, loss=line["loss"], lr=line["lr"])


def _last_loss(log: Path) -> float:
    losses: list[float] = [
        json.loads(line)["loss"] for line in log.read_text(encoding="utf-8").splitlines()
    ]
    tail = losses[-max(len(losses) // 10, 1) :]
    return round(sum(tail) / len(tail), 6)
