"""The pieces of benchmarks/gpu.py in order of worth: what each runs, how long, what it says."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

LEAVE_S = 5
"""Kept back for writing the page."""
BOTH_BYTES = 130e9
"""Memory from which two engines fit a GPU at once, so that they can take turns."""
TRAINING = "tests/train/test_cuda.py tests/eval/test_cuda_scores.py"
SERVING = "tests/serve/test_cuda_serving.py"
OUTCOME = re.compile(r"^(\S+::\S.*?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL)\b")


@dataclass(frozen=True, slots=True)
class Piece:
    """One process.

    Args:
        name: of its results and logs.
        kind: what the page makes of it: tests, training, plan, attention, head, serving.
        arguments: behind ``python``.
        least_s: seconds without which it is not begun.
        limit_s: seconds after which it is ended.
        needs_bytes: memory of a GPU that it takes, by the plan or as measured before.
        environment: variables beside our own.
    """

    name: str
    kind: str
    arguments: Sequence[str]
    least_s: int
    limit_s: int
    needs_bytes: float = 0
    environment: dict[str, str] = field(default_factory=dict)

    def too_large(self, there: int | None) -> str:
        """Why this GPU is too small for it; "" where it is not."""
        if there is None or self.needs_bytes <= there:
            return ""
        return f"takes {self.needs_bytes / 1e9:.0f} GB, this GPU has {there / 1e9:.0f}"

    def command(self, limit_s: float) -> list[str]:
        """The program; training is told to end itself in time, with what it has."""
        own = ["--seconds", f"{limit_s - 15:.0f}"] if self.kind == "training" else []
        return [sys.executable, *self.arguments, *own]

    def told(self) -> str:
        """The command as one types it."""
        return shlex.join(["python", *self.arguments])

    def read(self, lines: Sequence[str], whole: bool) -> Any:
        """What it found: the last line of JSON, or all of them where it was ended before."""
        if self.kind == "tests":
            return outcomes(lines)
        found = [json.loads(line) for line in lines if _is_json(line)]
        if whole or self.kind == "training":
            return found[-1] if found else None
        return {"cases": found} if found else None


def outcomes(lines: Sequence[str]) -> dict[str, Any]:
    """Counts of tests by outcome, and the names of those that did not pass."""
    found = [(match[2].lower(), match[1]) for match in map(OUTCOME.match, lines) if match]
    bad = [name for outcome, name in found if outcome in ("failed", "error")]
    return {"counts": dict(Counter(outcome for outcome, _ in found)), "bad": bad}


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def pieces_of(options: argparse.Namespace) -> list[Piece]:
    """All pieces for a GPU, or for a rehearsal."""
    return _rehearsal(options) if options.quick else _real(options)


def _real(options: argparse.Namespace) -> list[Piece]:
    return [
        _tests("tests", "not compile", 40, 150),
        _tests("tests-serving", "cpu or half", 30, 60, files=SERVING),
        _training(options, "train-1.1b-full", "1.1b", "full", "micro2", 60, 220),
        _training(options, "train-1.1b-lora", "1.1b", "lora", "micro2", 60, 220),
        _training(options, "train-7b-lora", "7b", "lora", "micro1", 100, 300),
        Piece("plan-compiled", "plan", ["benchmarks/plan.py", "--only", "compiled"], 60, 180, 45e9),
        _training(options, "train-7b-full", "7b", "full", "micro1", 150, 400, _planned_7b()),
        Piece("attention", "attention", ["benchmarks/attention.py", "-n", "5"], 30, 90, 2e9),
        Piece("head", "head", ["benchmarks/head.py", "--device", "cuda", "-n", "8"], 20, 60, 12e9),
        _tests("tests-compiled", "compile", 60, 240),
        Piece("serving", "serving", ["benchmarks/serving.py", "--shape", "1.1b", "--device", "cuda",
              "--dtype", "bfloat16", "--threads", "4", "--users", "1,8,32", "--requests", "32",
              "--repeats", "2", "--tokens", "32"], 60, 240, 8e9),
        Piece("plan", "plan", ["benchmarks/plan.py", "--only", ""], 90, 400, 45e9),
    ]  # fmt: skip


def _rehearsal(options: argparse.Namespace) -> list[Piece]:
    """A minute is enough for the first few; those behind them want ``--minutes``."""
    small = ["--vocab", "256", "--row-tokens", "128", "--batch-tokens", "512", "-n", "1"]
    lora, full, compiled = (
        Piece(f"train-tiny-{name}", "training", [
            *_training_command(options, "tiny", how, parts, "cpu"), *small], 40, 150)
        for name, how, parts in (("lora", "lora", "micro2"), ("full", "full", "micro2"),
                                 ("compiled", "lora", "micro2+compile"))
    )  # fmt: skip
    return [
        _tests("tests", "loss or packed", 20, 120, rehearse=True), lora,
        Piece("head", "head", ["benchmarks/head.py", "--quick"], 10, 60),
        Piece("attention", "attention", ["benchmarks/attention.py", "--quick"], 10, 60),
        Piece("plan", "plan", ["benchmarks/plan.py", "--quick", "--only", "lora"], 20, 120),
        Piece("serving", "serving", ["benchmarks/serving.py", "--quick"], 60, 120), full, compiled,
    ]  # fmt: skip


def _tests(
    name: str, which: str, least: int, limit: int, rehearse: bool = False, files: str = TRAINING
) -> Piece:
    """Tests that want a GPU; other people's plug-ins for pytest have stopped them before."""
    arguments = ["-m", "pytest", *files.split(), "-vv", "-k", which, "-p", "no:cacheprovider"]
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | (
        {"HANHUA_REHEARSE": "1"} if rehearse else {}
    )
    return Piece(name, "tests", arguments, least, limit, 0, environment)


def _training(
    options: argparse.Namespace, name: str, shape: str, train: str, parts: str, least: int,
    limit: int, needs: float = 0,
) -> Piece:  # fmt: skip
    arguments = _training_command(options, shape, train, parts, "cuda")
    if shape == "1.1b":
        arguments += ["--turn-steps", "4", "-n", "3"]
    elif train == "full":
        arguments += ["--turn-steps", "1", "-n", "2", "--batch-tokens", "65536"]
    else:
        arguments += ["--turn-steps", "1", "-n", "3"]
    if shape == "1.1b" and _memory() >= BOTH_BYTES:
        arguments.append("--together")
    return Piece(name, "training", arguments, least, limit, needs)


def _training_command(
    options: argparse.Namespace, shape: str, train: str, parts: str, device: str
) -> list[str]:
    """Both engines in the fastest setting of each that fits."""
    ours = f"hanhua:{parts}" + "+compile" * (device == "cuda")
    parts = parts.partition("+")[0]
    theirs = [f"trainer:padded{'+pure' * (train == 'lora')}+{parts}"]
    if shape == "7b":  # without recomputing it may not fit
        theirs = [f"{theirs[0]}+recompute", *(theirs if train == "lora" else [])]
    # the peer first: where there is no room for both, what it leaves of the time is for compiling
    command = ["benchmarks/training.py", "--device", device, "--shape", shape, "--train", train,
               "--data", "full", "--engines", *(theirs if options.peer else []), ours]  # fmt: skip
    return command + (["--peer", f"trainer={options.peer}"] if options.peer else [])


def _memory() -> int:
    import torch

    there = torch.cuda.is_available()
    return int(torch.cuda.get_device_properties(0).total_memory) if there else 0


def _planned_7b() -> float:
    """Bytes at the fullest moment of training all of 7B, by the plan."""
    from plan import case, predict

    return float(predict(case("7B", 65_536, 4096, "bf16", compiled=True), cuda=True)[0])
