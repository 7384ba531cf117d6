"""What every training engine of benchmarks/training.py does in its own process: wait, train, tell.

An engine is started with the path of a job (JSON). It reads ``go`` from its standard input, trains
steps until a turn's tokens are done, writes one line of JSON, and waits again. Libraries that print
to standard output are sent to standard error. Nothing of hanhua is imported: this file also runs
in the environments of the peers.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

JOB: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text()) if len(sys.argv) > 1 else {}
MODE: list[str] = JOB.get("mode", "").split("+")
IGNORE = -100


class Turns:
    """Counts an engine's steps and hands over after each turn.

    Args:
        versions: of the libraries that make the engine.
    """

    def __init__(self, **versions: str) -> None:
        self.versions = versions
        self.out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self.tokens = self.steps = 0
        self.losses: list[float] = []
        self.start = 0.0

    def begin(self) -> None:
        """Wait for the first turn; call it when the training loop is entered."""
        self.tell({"ready": self.versions, "rss": peak_memory()})

    def step(self, tokens: int, loss: float) -> None:
        """Note an optimiser step: tokens it was trained on, and their mean loss."""
        self.tokens += tokens
        self.steps += 1
        self.losses.append(loss)
        if self.tokens >= JOB["turn_tokens"]:
            self.tell({
                "seconds": clock() - self.start, "tokens": self.tokens, "steps": self.steps,
                "loss": self.losses[0], "rss": peak_memory(), "cuda": cuda_memory(),
            })  # fmt: skip

    def tell(self, line: dict[str, Any]) -> None:
        """Write a line, wait for the next turn, start its clock; the process ends here."""
        self.out.write(json.dumps(line) + "\n")
        self.out.flush()
        if sys.stdin.readline().strip() != "go":
            os._exit(0)
        self.tokens, self.steps, self.losses = 0, 0, []
        self.start = clock()


def clock() -> float:
    """CPU-seconds of this process, all threads; on CUDA wall seconds when the device is idle."""
    if JOB["device"] == "cpu":
        return time.process_time()
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


def peak_memory() -> int:
    """The most memory this process ever had, in bytes (not its parent's, as ru_maxrss may be)."""
    try:
        text = Path("/proc/self/status").read_text()
        return 1024 * next(int(x.split()[1]) for x in text.splitlines() if x.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def cuda_memory() -> int:
    """The most memory torch ever had on the device, in bytes; 0 without one."""
    if JOB["device"] == "cpu":
        return 0
    import torch

    return int(torch.cuda.max_memory_allocated())


def rows_at_once(usual: int) -> int:
    """Rows (or documents) in a part of a step: N of ``microN`` in the mode."""
    return next((int(part[5:]) for part in MODE if part.startswith("micro")), usual)


def set_up() -> None:
    """One thread on CPU, and the same random numbers everywhere."""
    import torch

    if JOB["device"] == "cpu":
        torch.set_num_threads(1)
    torch.manual_seed(0)


def documents() -> list[list[int]]:
    """Token ids of every document."""
    with open(JOB["documents"], encoding="utf-8") as lines:
        return [json.loads(line)["input_ids"] for line in lines]


def load_model(dtype: Any = None) -> Any:
    """The model of the job: from its folder, or with random weights where it is too large for one.

    Args:
        dtype: of the weights; None: fp32.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    if JOB["model"]:
        return LlamaForCausalLM.from_pretrained(JOB["model"], dtype=dtype or torch.float32)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype or torch.float32)
    try:
        with torch.device(JOB["device"]):
            return LlamaForCausalLM(LlamaConfig(**JOB["shape"]))
    finally:
        torch.set_default_dtype(before)


def keep_first(make: Callable[[], list[list[int]]]) -> None:
    """Write the documents of the first step, for the reference; once."""
    path = Path(JOB["first"])
    if not path.exists():
        path.write_text(json.dumps(make()))
