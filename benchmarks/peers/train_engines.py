"""Starts the training engines of a case, each in its own process, and gives them turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PYTHON = sys.executable
OURS = ("hanhua", "plain")
"""Engines that run in this environment; the others need one that has them."""
Line = dict[str, Any]


@dataclass(slots=True)
class Engine:
    """A process that trains when told.

    Args:
        name: ``script:mode``, e.g. ``trl:bfd``.
        ready: what it said when it was ready.
        turns: what it said after each turn.
        failed: the end of its log, where it ended by itself or was killed.
        late: whether its time was over.
    """

    name: str
    process: subprocess.Popen[str]
    work: Path
    ready: Line = field(default_factory=dict)
    turns: list[Line] = field(default_factory=list)
    failed: str = ""
    late: bool = False

    @classmethod
    def start(cls, name: str, python: str, job: Mapping[str, Any], folder: Path) -> Engine:
        """Start an engine; it loads while others do."""
        script, _, mode = name.partition(":")
        work = folder / name.replace(":", "-")
        work.mkdir(parents=True)
        mine = {**job, "mode": mode, "work": str(work), "first": str(work / "first.json")}
        (work / "job.json").write_text(json.dumps(mine))
        log = (work / "log.txt").open("w")
        process = subprocess.Popen(
            [python, str(HERE / f"train_{script}.py"), str(work / "job.json")], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=_environment(job),
        )  # fmt: skip
        return cls(name, process, work)

    def wait(self) -> Line:
        """Its next line; an empty one where it has ended."""
        assert self.process.stdout is not None
        for text in self.process.stdout:
            if text.startswith("{"):  # libraries print to it too, as long as they are imported
                return dict(json.loads(text))
        self.process.wait()
        self.failed = "\n".join((self.work / "log.txt").read_text().splitlines()[-8:])
        self.failed += "\nended by the time limit" * self.late
        return {}

    def kill(self) -> None:
        """Its time is over; the turns that it has had count."""
        self.late = True
        self.process.kill()

    def turn(self, limit: float) -> None:
        """Let it train for a turn; ``limit`` is noted beside what it says."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # then its last line is an empty one
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
        line = self.wait()
        if line:
            self.turns.append({**line, "limit": limit})
            print(self.name, self.turns[-1], file=sys.stderr, flush=True)

    def stop(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()

    def first(self) -> list[list[int]]:
        """The documents of its first step."""
        path = self.work / "first.json"
        return json.loads(path.read_text()) if path.exists() else []


def run_engines(
    pythons: Mapping[str, str], job: Mapping[str, Any], folder: Path, n: int, together: bool,
    limit: Callable[[], float], seconds: float = 86_400.0,
) -> list[Engine]:  # fmt: skip
    """A warm-up turn and n counted ones of every engine.

    Args:
        pythons: engine -> interpreter.
        job: what they all get.
        folder: for their files.
        n: counted turns.
        together: take turns; False: one engine after another, where memory is too small for two.
        limit: measures the machine before each round; its answer goes into the turns' lines.
        seconds: for all of it; each group has its equal part of what is left.

    Returns:
        The engines with their turns, the first of them being the warm-up.
    """
    groups: Sequence[list[str]] = [list(pythons)] if together else [[name] for name in pythons]
    done: list[Engine] = []
    ends = time.monotonic() + seconds
    for i, group in enumerate(groups):
        engines = [Engine.start(name, pythons[name], job, folder) for name in group]
        left = max(ends - time.monotonic(), 1.0) / (len(groups) - i)
        timers = [threading.Timer(left, engine.kill) for engine in engines]
        try:
            for timer in timers:
                timer.start()
            for engine in engines:
                engine.ready = engine.wait()
            for _ in range(n + 1):
                if all(engine.failed for engine in engines):
                    break
                now = limit()
                for engine in engines:
                    if not engine.failed:
                        engine.turn(now)
        finally:
            for engine, timer in zip(engines, timers, strict=True):
                engine.stop()
                timer.cancel()
                if engine.failed:
                    print(engine.name, engine.failed, file=sys.stderr, flush=True)
        done += engines
    return done


def script_of(name: str) -> str:
    """Whose script an engine is."""
    return name.partition(":")[0]


def _environment(job: Mapping[str, Any]) -> dict[str, str]:
    found = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    found["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    if job["device"] == "cpu":
        found |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    else:  # for all alike; it is read when memory of the device is first asked for
        found.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    return found
