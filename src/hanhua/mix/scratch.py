"""The two arms of ``hanhua study scratch``: what each trains, and what its runs measured.

Both arms read the same rows in the same order with the same schedule; one begins at the expanded
base, the other at random weights of the same architecture. What makes sense only for a base is
left out for scratch: a model of random weights trains all of them from its first step.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hanhua.core.artifact import Artifact
from hanhua.core.config import Machine
from hanhua.core.errors import ArtifactError, RecipeError, UsageError
from hanhua.mix.config import MixConfig
from hanhua.mix.proxy import SHORTEST_STEPS, TOLERANCE, scaled_average
from hanhua.mix.saved import HERE, saved_losses
from hanhua.tokens.config import TokensConfig
from hanhua.train.config import OptimConfig, PhaseConfig, TrainConfig, WatchConfig
from hanhua.train.schedule import lay_out, run_tokens

LOCALISED, SCRATCH = "localised", "scratch"
ARMS = (LOCALISED, SCRATCH)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an arm, measured.

    Args:
        arm: ``localised`` or ``scratch``.
        draw: which order of the rows, and which random weights.
        length: number of its length, the shortest 0.
        tokens: that it was trained on.
        losses: language -> held-out bits per byte at its end, of the model that is saved.
        start: the same before its first step.
        moments: tokens and the same within it, of the weights in training, behind the last
            warm-up.
        seconds: that training took.
    """

    arm: str
    draw: int
    length: int
    tokens: float
    losses: Mapping[str, float]
    start: Mapping[str, float]
    moments: Sequence[tuple[float, Mapping[str, float]]]
    seconds: float


@dataclass(frozen=True, slots=True)
class Length:
    """Runs of one length, as the localised arm has them.

    Args:
        tokens: section of the rows, those of the longest run.
        training: section of the training: the first part of the rows, its schedule to its end.
        budget: tokens that it reads, about.
    """

    tokens: TokensConfig
    training: TrainConfig
    budget: int


def lengths(
    tokens: TokensConfig, training: TrainConfig, mix: MixConfig, longest: int, count: int
) -> list[Length]:
    """The lengths, the shortest first, each half the next.

    Args:
        tokens: the recipe's section.
        training: the recipe's section.
        mix: how often and on how much text is measured.
        longest: tokens of the longest run.
        count: how many lengths.

    Raises:
        UsageError: when the shortest would be hardly a step.
    """
    least = 2 ** (count - 1) * SHORTEST_STEPS * training.batch_tokens
    if longest < least:
        raise UsageError(
            f"So few tokens make no {count} lengths, each half the next.",
            where="--tokens", found=f"{longest:,}",
            fix=f"give at least {least:,} ({SHORTEST_STEPS} steps for the shortest run), "
            "or fewer --lengths",
        )  # fmt: skip
    every = max(round(longest / training.batch_tokens / mix.moments), 1)
    watch = WatchConfig(every_steps=every, docs=mix.docs, max_chars_per_doc=mix.max_chars_per_doc)
    rows = tokens.model_copy(update={
        "budget_tokens": longest, "tolerance": max(tokens.tolerance, TOLERANCE)
    })  # fmt: skip
    off = dict.fromkeys(("steps", "stop", "guard", "steer"))
    found, large = [], run_tokens(training, tokens.budget_tokens)
    for part in (0.5**i for i in reversed(range(count))):
        own = scaled_average(training, part * longest / large)
        update = {**off, "epochs": part, "watch": watch}
        found.append(Length(rows, own.model_copy(update=update), round(part * longest)))
    return found


def scratch_training(training: TrainConfig, rate: float | None) -> TrainConfig:
    """The section for random weights: one phase, all weights; the rest as it was.

    Args:
        training: of the localised arm.
        rate: peak learning rate; None: that of the last phase.
    """
    last = training.phases[-1].learning_rate or training.learning_rate
    average = training.average
    if average is not None and average.half_life_steps is not None:
        average = None
    return training.model_copy(update={
        "learning_rate": rate or last, "phases": (PhaseConfig(),), "lora": None,
        "pull_to_base": 0.0, "new_rows_lr_scale": 1.0, "average": average,
    })  # fmt: skip


def left_out(training: TrainConfig) -> list[str]:
    """What the scratch arm does without, in words."""
    phases = [phase.train for phase in training.phases if phase.train != "all"]
    average = training.average
    wanted = [
        (phases, f"phases that train {' and '.join(dict.fromkeys(phases))} only"),
        (training.lora is not None, "lora"),
        (training.pull_to_base, "pull_to_base"),
        (training.new_rows_lr_scale != 1.0, "new_rows_lr_scale"),
        (average is not None and average.half_life_steps, "average.half_life_steps"),
    ]
    return [said for there, said in wanted if there]


def read_arm(
    pretrain: Path, training: OptimConfig, languages: Sequence[str], *, arm: str, draw: int,
    length: int, averaged: bool = False, machine: Machine = HERE,
) -> Run:  # fmt: skip
    """Read one run.

    Args:
        pretrain: the artifact of the training.
        training: its section.
        languages: that must have been measured.
        arm: which.
        draw: which.
        length: which.
        averaged: whether an arm of the study saves an average; then the ends of both are measured
            again, on the models that were saved and both by the evaluation.
        machine: to measure them on.

    Raises:
        ArtifactError: when the log cannot be read or lacks the end.
        RecipeError: when a language was not measured.
    """
    path, record = pretrain / "log.jsonl", Artifact.load(pretrain).record
    try:
        lines: list[dict[str, Any]] = list(map(json.loads, path.read_text("utf-8").splitlines()))
        start, end = lines[0]["held_out_start"], lines[-1]["held_out"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ArtifactError(
            "This run's log does not say what was measured at its start and end.", where=path,
            found=repr(error), fix="delete the folder and run the same command again",
        ) from error  # fmt: skip
    phase = lay_out(training, len(lines))[-1]
    begin = phase.start + training.warmup_share * (phase.stop - phase.start)
    moments = [
        (float(line["tokens"]), _of(line["held_out"], languages))
        for line in lines if "held_out" in line and line["step"] > begin
    ]  # fmt: skip
    start, end = _of(start, languages), _of(end, languages)
    if averaged and training.watch:
        start, end = saved_losses(pretrain, training.watch, languages, machine)
    return Run(
        arm, draw, length, float(lines[-1]["tokens"]), end, start,
        moments, float(record["seconds"]),
    )  # fmt: skip


def _of(losses: Mapping[str, float], languages: Iterable[str]) -> dict[str, float]:
    missing = [language for language in languages if language not in losses]
    if missing:
        raise RecipeError(
            f"{missing[0]} was not measured.", where="corpus.held_out_docs",
            found=f"held-out text of {', '.join(losses) or 'no language'}",
            fix=f"hold {missing[0]} documents out",
        )  # fmt: skip
    return {language: float(losses[language]) for language in languages}


def check_equal(runs: Sequence[Run]) -> None:
    """Hold the arms to equal tokens.

    Raises:
        ArtifactError: when two runs of one length and draw were trained on different counts.
    """
    counts: dict[tuple[int, int], set[float]] = {}
    for run in runs:
        counts.setdefault((run.draw, run.length), set()).add(run.tokens)
    for (draw, length), found in counts.items():
        if len(found) > 1:
            raise ArtifactError(
                "The arms were not trained on equally many tokens.",
                where=f"length {length}, draw {draw}", found=sorted(found),
                fix="delete the pretrain folders of the study and run the same command again",
            )  # fmt: skip
