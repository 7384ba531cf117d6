"""When a language is being unlearnt, training ends: the rule, as pure functions of measurements.

At the start, and then now and again, held-out text is measured (``watch.py``). When the watched
language stands more than ``max_rise_bits`` above its start for ``patience`` measurements in a
row, the run stops; the last model that stood within the limit is the one that goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hanhua.train.config import StopConfig, WatchConfig
from hanhua.train.finetune_config import AnswersConfig


@dataclass(slots=True)
class GateState:
    """What was measured; goes into every checkpoint.

    Args:
        start: bits per byte by language before the first step.
        last: the newest measurement.
        strikes: measurements above the limit since the last one within it.
        good_step: the last step within the limit.
        good: measured then; the start's where no step was.
        stopped_at: the step at which the gate ended the run; None: it did not.
    """

    start: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    strikes: int = 0
    good_step: int = 0
    good: dict[str, float] = field(default_factory=dict)
    stopped_at: int | None = None


def measures(config: WatchConfig | AnswersConfig | None, step: int, steps: int) -> bool:
    """Whether to measure behind a step: every so many, and at the end."""
    if config is None or step == 0:
        return False
    return step % (config.every_steps or max(round(steps / 10), 1)) == 0 or step == steps


def see(
    config: StopConfig | None, state: GateState, step: int, measured: Mapping[str, float]
) -> GateState:
    """The gate's state behind a measurement.

    Args:
        config: the rule; None: only look.
        state: before.
        step: from 1.
        measured: bits per byte by language.
    """
    state = replace(state, last=dict(measured))
    if config is None:
        return state
    rise = measured[config.language] - state.start[config.language]
    if rise <= config.max_rise_bits:  # a number that is none is not within it
        return replace(state, strikes=0, good_step=step, good=dict(measured))
    strikes = state.strikes + 1
    return replace(state, strikes=strikes, stopped_at=step if strikes >= config.patience else None)


def facts(config: StopConfig | None, state: GateState) -> dict[str, Any]:
    """What the record says of it; empty where nothing was measured."""
    if not state.start:
        return {}
    kept = state.last if state.stopped_at is None else state.good or state.start
    found: dict[str, Any] = {"held_out": {"start": state.start, "end": kept}}
    if config is not None and state.stopped_at is not None:
        found["stopped"] = {
            "at_step": state.stopped_at, "kept_step": state.good_step,
            "language": config.language, "max_rise_bits": config.max_rise_bits,
            "rise_bits": round(state.last[config.language] - state.start[config.language], 6),
        }  # fmt: skip
    return found
