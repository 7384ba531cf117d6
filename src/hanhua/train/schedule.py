"""Learning rates and phases as pure functions of the step.

Every phase warms up again, because the weights that join in it have no gradient averages yet.
All phases but the last stay at their peak; the last follows the section's schedule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hanhua.core.errors import TrainingError
from hanhua.train.config import OptimConfig, PhaseConfig


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase with its place: steps [start, stop)."""

    config: PhaseConfig
    start: int
    stop: int
    last: bool


def lay_out(config: OptimConfig, steps: int) -> list[Phase]:
    """Phases with their steps; they touch and cover all steps."""
    given = sum(phase.share or 0.0 for phase in config.phases)
    n_open = sum(phase.share is None for phase in config.phases)
    shares = [
        (1.0 - given) / n_open if phase.share is None else phase.share for phase in config.phases
    ]
    ends = [round(steps * min(sum(shares[: i + 1]), 1.0)) for i in range(len(shares))]
    ends[-1] = steps
    starts = [0, *ends[:-1]]
    return [
        Phase(phase, start, stop, i == len(ends) - 1)
        for i, (phase, start, stop) in enumerate(zip(config.phases, starts, ends, strict=True))
    ]


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


def run_tokens(config: OptimConfig, packed_tokens: int) -> int:
    """About how many tokens a run reads, where so many are packed: rows may be read again."""
    if config.steps:
        return config.steps * config.batch_tokens
    return max(round(config.epochs * packed_tokens), 1)


def phase_at(phases: list[Phase], step: int) -> Phase:
    """The phase that a step (from 0) belongs to."""
    return next(phase for phase in phases if phase.start <= step < phase.stop)


def learning_rate(config: OptimConfig, phase: Phase, step: int) -> float:
    """The learning rate of a step (from 0) of the whole run.

    Args:
        config: the section.
        phase: the phase that the step belongs to.
        step: optimiser steps taken before this one.
    """
    peak = phase.config.learning_rate or config.learning_rate
    n = phase.stop - phase.start
    warmup = min(math.ceil(config.warmup_share * n), n)
    done = step - phase.start
    if done < warmup:
        return peak * (done + 1) / (warmup + 1)
    shape = config.schedule if phase.last else "constant"
    at = (done - warmup + 1) / max(n - warmup, 1)
    return peak * _height(shape, at, config.min_lr_share, config.decay_share)


def _height(shape: str, at: float, low: float, decay_share: float) -> float:
    """The part of the peak at a place from 0 to 1 behind the warm-up."""
    if shape == "cosine":
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * at))
    if shape == "wsd" and decay_share > 0 and at > 1 - decay_share:
        return 1 - (1 - low) * (at - (1 - decay_share)) / decay_share
    return 1.0
