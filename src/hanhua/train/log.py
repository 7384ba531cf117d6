"""The log of a run: a JSON line a step, with nothing in it that depends on the clock.

A step that was not taken has ``skipped`` in place of ``loss``; held-out bits per byte stand in
the lines of the steps behind which they were measured.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hanhua.core.errors import TrainingError
from hanhua.core.progress import Bar
from hanhua.train.speed import Speed
from hanhua.train.trackers import Trackers

TIMES_TO_SAY = 2
"""In a row, of what is only guessed."""

Line = Mapping[str, Any]


class TrainLog:
    """Writes lines, and shows the same on the bar.

    Args:
        path: the file.
        steps: that are in it and stay; what a killed run wrote behind them goes.
        bar: where to show tokens, losses and learning rate.
        trackers: other places for the same numbers.
        say: for what a person must not miss.
        speed: what the machine can do.

    Raises:
        TrainingError: when lines that must stay are not there.
    """

    def __init__(
        self, path: Path, steps: int, bar: Bar, trackers: Trackers, say: Callable[[str], None],
        speed: Speed,
    ) -> None:  # fmt: skip
        self.path, self.bar, self.trackers, self.say = path, bar, trackers, say
        self.speed = speed
        kept = path.read_bytes().splitlines(keepends=True)[:steps] if path.exists() else []
        if len(kept) < steps:
            raise TrainingError(
                "The log of this training lacks steps that its checkpoint has.", where=path,
                found=f"{len(kept)} lines, the checkpoint stands behind step {steps}",
                fix=f"put the file back, or delete the folder {path.parent} to start this training "
                "anew",
            )  # fmt: skip
        self.file = path.open("a", encoding="utf-8")
        self.file.truncate(sum(map(len, kept)))  # what stays is not written again: a full disk

    def write(self, line: Line, tokens: int) -> None:
        """Append a line.

        Args:
            line: of the log.
            tokens: read in this step.
        """
        self.file.write(json.dumps(line, sort_keys=True) + "\n")
        self.file.flush()
        share = self.speed.share(tokens, line.get("targets", 0))
        self.bar.advance(tokens, **notes(line), **{"of limit": f"{share:.0%}"})
        self.trackers.log(line)
        for text in events(line):
            self.say(f"  step {line['step']}: {text}")

    def sync(self) -> None:
        """Wait until the lines are on the disk: no checkpoint may be ahead of its log."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def text(self) -> str:
        """All lines."""
        return self.path.read_text(encoding="utf-8")

    def __enter__(self) -> TrainLog:
        return self

    def __exit__(self, *args: object) -> None:
        self.file.close()


class NoLog:
    """What the processes behind the first write: nothing."""

    path = Path(os.devnull)

    def write(self, line: Line, tokens: int) -> None:
        """The first writes it."""

    def sync(self) -> None:
        """Nothing to wait for."""

    def text(self) -> str:
        """No lines."""
        return ""


def notes(line: Line) -> dict[str, Any]:
    """What the bar shows of a line: losses, by language too, and held-out bits per byte."""
    held_out = {f"{name} bits/byte": bits for name, bits in line.get("held_out", {}).items()}
    if "steer" in line:
        held_out |= {f"{name} share": part for name, part in line["steer"]["shares"].items()}
    for name, loss in line.get("answers", {}).get("languages", {}).items():
        held_out[f"{name} answers"] = loss
    if "skipped" in line:
        return {"skipped": line["step"], **held_out}
    by_language = line["losses"] if len(line["losses"]) > 1 else {}
    pairs = {name: line[name] for name in ("accuracy", "margin") if name in line}
    return {"loss": line["loss"], **by_language, **pairs, "lr": line["lr"], **held_out}


def events(line: Line) -> Iterator[str]:
    """What happened in a step besides learning, for people."""
    if "skipped" in line:
        yield f"not learnt from, {line['skipped']['why']}"
    if "went_back_to_step" in line:
        yield f"went back to the weights of step {line['went_back_to_step']}"
    beyond = line.get("steer", {}).get("out_of_reach")
    if beyond and beyond["times"] == TIMES_TO_SAY:
        yield (
            f"no share within the bounds is thought to keep {beyond['language']} under "
            f"{beyond['limit']:.4g}: at {beyond['share']:.0%} it would end at about "
            f"{beyond['least']:.4g} (widen pretrain.steer.low and high, lower the learning "
            "rate, or ask for less)"
        )
    if "stopped" in line:
        found = line["stopped"]
        yield (
            f"stopped, {found['language']} held-out text has risen by {found['rise_bits']:.3f} "
            f"bits per byte; the model of step {found['kept_step']} goes on"
        )


def read_learnt(text: str, steps: int, skipped: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    """The lines of the steps that the model has learnt from.

    Args:
        text: the log.
        steps: the model's; lines behind it are of a stretch that was given up.
        skipped: ``[first, last]`` steps that taught it nothing.
    """
    lines = [json.loads(line) for line in text.splitlines()]
    return [
        line for line in lines
        if line["step"] <= steps and "loss" in line
        and not any(first <= line["step"] <= last for first, last in skipped)
    ]  # fmt: skip


def mean_tail(lines: Sequence[Line]) -> float | None:
    """The mean loss of the last tenth of the lines; None where there is none."""
    tail = [line["loss"] for line in lines[-max(len(lines) // 10, 1) :]]
    return round(sum(tail) / len(tail), 6) if tail else None


def answer_facts(lines: Sequence[Line]) -> dict[str, Any]:
    """The loss on held-out answers at the start and at the end; empty where none was measured."""
    ends = [line["answers"] for line in lines if "answers" in line]
    starts = [line["answers_start"] for line in lines if "answers_start" in line]
    return {"answers": {"start": starts[0] if starts else {}, "end": ends[-1]}} if ends else {}
