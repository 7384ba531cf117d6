"""Steps that would spoil the model are not taken, and a run that goes astray goes back.

The rule: a step is refused when its loss or its gradient is not a number, or when its loss stands
more than ``threshold`` robust standard deviations above the median of the last ``window_steps``
losses learnt from, and so does one of its languages above that language's own: a step that has
more of a language that is harder is no spike. A median and a median deviation, because a spike
stretches a mean and hides the next one. One refused step is passed over: its rows are read,
nothing is learnt, the schedule goes on. After ``max_in_a_row`` of them the fault is taken to be in
the weights: those of the last kept step come back, and every row read since then stays read. Steps
and rows so never run backwards, and what was passed over stands in the state and in the log.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from hanhua.core.errors import TrainingError
from hanhua.train.config import GuardConfig

NORMAL = 1.4826
"""Median deviation to standard deviation, for normal noise."""
LEAST_DEVIATION = 0.01
"""The smallest standard deviation, as a part of the level: losses of a small or memorised corpus
may stand still, and then any step would stand out."""


@dataclass(slots=True)
class GuardState:
    """What the guard remembers; goes into every checkpoint.

    Args:
        losses: of the last steps learnt from, at most a window.
        in_a_row: steps refused since the last one learnt from.
        rollbacks: how often the run went back.
        skipped: ``[first, last]`` steps whose rows taught the model nothing, in order.
        by_language: language -> its losses in the last steps that had it, at most a window.
    """

    losses: list[float] = field(default_factory=list)
    in_a_row: int = 0
    rollbacks: int = 0
    skipped: list[list[int]] = field(default_factory=list)
    by_language: dict[str, list[float]] = field(default_factory=dict)

    @property
    def n_skipped(self) -> int:
        """Steps that taught the model nothing."""
        return sum(last - first + 1 for first, last in self.skipped)


def find_fault(
    config: GuardConfig | None, state: GuardState, loss: float, by_language: Mapping[str, float]
) -> str | None:
    """Why a step must not be learnt from; None: it may.

    Args:
        config: the section; None: only numbers that are none are faults.
        state: before the step.
        loss: of the step, nats a token.
        by_language: the same of each language in it; one of which few steps are known is not
            judged.
    """
    if not math.isfinite(loss):
        return "the loss is not a number"
    if config is None:
        return None
    known = state.by_language
    own = (_height(config, known.get(name, []), found) for name, found in by_language.items())
    return _height(config, state.losses, loss) if any(own) or not known else None


def _height(config: GuardConfig, losses: list[float], loss: float) -> str | None:
    """How far a loss stands above earlier ones, where that is too far."""
    if len(losses) < config.window_steps // 2:
        return None
    level = median(losses)
    deviation = NORMAL * median(abs(x - level) for x in losses)
    deviation = max(deviation, LEAST_DEVIATION * abs(level))
    height = (loss - level) / deviation if deviation else 0.0
    if height <= config.threshold:
        return None
    return f"the loss stands {height:.1f} deviations above {level:.4g}"


def keeps(config: GuardConfig | None, step: int, steps: int) -> bool:
    """Whether a step is kept to go back to.

    Depends on the step alone: ordinary checkpoints come by the clock, and going back to one of
    them would give another model on a faster machine.
    """
    if config is None or step in (0, steps):
        return False
    return step % min(config.keep_every_steps, math.ceil(steps / 4)) == 0


def learnt(
    config: GuardConfig | None, state: GuardState, loss: float, by_language: Mapping[str, float]
) -> GuardState:
    """The guard's state behind a step that was taken; one without targets tells nothing."""
    window = config.window_steps if config else 1
    known = dict(state.by_language)
    for name, found in by_language.items():
        known[name] = [*known.get(name, []), found][-window:]
    losses = [*state.losses, loss][-window:] if by_language else state.losses
    return replace(state, losses=losses, by_language=known, in_a_row=0)


def refused(state: GuardState, step: int) -> GuardState:
    """The guard's state behind a step (from 1) that was not taken."""
    spans = [*state.skipped, [step, step]]
    if len(spans) > 1 and spans[-2][1] == step - 1:
        spans[-2:] = [[spans[-2][0], step]]
    return replace(state, in_a_row=state.in_a_row + 1, skipped=spans)


def gone_back(state: GuardState, kept: GuardState, kept_step: int, step: int) -> GuardState:
    """The guard's state after going back.

    Args:
        state: before.
        kept: what it was at the kept step; its level is the level of those weights.
        kept_step: whose weights came back.
        step: where the run stands; the rows of all steps between are passed over.
    """
    before = [span for span in state.skipped if span[1] <= kept_step]
    return GuardState(
        losses=list(kept.losses),
        by_language=dict(kept.by_language),
        rollbacks=state.rollbacks + 1,
        skipped=[*before, [kept_step + 1, step]],
    )


def skipped_line(
    line: Mapping[str, Any], fault: str, place: Mapping[str, int], n_rows: int
) -> dict[str, Any]:
    """The log line of a step that was not taken.

    Args:
        line: of the step.
        fault: why.
        place: where its rows begin, ``epoch`` and ``row`` of the loader.
        n_rows: how many rows.
    """
    loss = line["loss"] if math.isfinite(line["loss"]) else None
    return {"lr": line["lr"], "skipped": {"why": fault, "loss": loss, **place, "rows": n_rows}}


def stop_reason(config: GuardConfig | None, state: GuardState, can_go_back: bool) -> str | None:
    """Why a refused step ends the run; None: it goes on without it.

    Args:
        config: the section.
        state: before the step.
        can_go_back: whether there is a kept step.
    """
    first = not (state.losses or state.skipped)  # nothing learnt yet, so nothing to go on with
    if config is None or first:
        return "The loss or its gradient is not a number"
    if state.in_a_row + 1 < config.max_in_a_row:
        return None
    if state.rollbacks >= config.max_rollbacks:
        return f"Training ran away, after it had gone back {state.rollbacks} times before,"
    return None if can_go_back else "Training ran away before the first step to go back to,"


def runaway(why: str, step: int, line: Mapping[str, Any], kept: Path) -> TrainingError:
    """The error that ends a run.

    Args:
        why: see :func:`stop_reason`.
        step: from 1.
        line: of the step.
        kept: the checkpoint from before it.
    """
    return TrainingError(
        f"{why} at step {step}.", where=kept,
        found=f"loss {line['loss']}, gradient {line['grad_norm']}, learning rate {line['lr']:.3g}",
        fix="lower learning_rate, raise warmup_share or set precision: fp32; look at the rows that "
        "log.jsonl names as skipped, and if they are sound raise guard.threshold; the weights from "
        "before this step are kept in the folder above",
    )  # fmt: skip


def facts(state: GuardState) -> dict[str, int]:
    """What the record says of it; empty where every step was taken."""
    found = {"skipped_steps": state.n_skipped, "rollbacks": state.rollbacks}
    return found if state.n_skipped else {}
