"""The ``hanhua`` command from a process that has its libraries loaded already.

Loading torch and transformers takes over two seconds of each call, and there are more than a
hundred calls. A process that has done so waits here and forks for each: the child is a process of
its own (its directory, environment, output, exit code, and death), which a call of ``main`` in the
test's own process would not be. Threads of a library would not survive the fork, so there is one.

    python warm.py      # reads a JSON line for each call, answers with the exit code
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LOADED = (
    "pandas", "pyarrow.parquet", "torch._dynamo", "torch.distributed.tensor",
    "transformers.conversion_mapping", "transformers.core_model_loading",
    "transformers.models.auto.modeling_auto", "transformers.models.llama.modeling_llama",
    "hanhua.text.corpus", "hanhua.vocab.build", "hanhua.model.base", "hanhua.tokens.build",
    "hanhua.train.loop", "hanhua.eval.evaluate", "hanhua.report.render", "hanhua.recipe",
)  # fmt: skip


@dataclass(frozen=True)
class Done:
    """What one call of the command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        """The last line of stdout."""
        return json.loads(self.out.strip().splitlines()[-1])


class Running:
    """A call that goes on while the test does something else."""

    def __init__(self, pid: int, answers: IO[str], folder: tempfile.TemporaryDirectory) -> None:
        self.pid = pid
        self._answers = answers
        self._folder = folder

    def alive(self) -> bool:
        """Whether it has not ended."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def end(self) -> Done:
        """Wait for its end; the code is minus the signal that ended it."""
        code = json.loads(self._answers.readline())["code"]
        out, err = ((Path(self._folder.name) / name).read_text("utf-8") for name in ("out", "err"))
        self._folder.cleanup()
        return Done(code, out, err)


class Warm:
    """The waiting process, started with the first call. It runs one call at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def call(
        self, arguments: list[str], cwd: Path, env: Mapping[str, str], timeout_s: float = 300
    ) -> Done:
        """Run ``hanhua`` with these arguments to its end."""
        return self.start(arguments, cwd, env, timeout_s).end()

    def start(
        self, arguments: list[str], cwd: Path, env: Mapping[str, str], timeout_s: float = 300
    ) -> Running:
        """Start it and go on; its ``end`` must be called before the next."""
        folder = tempfile.TemporaryDirectory()
        asked = {"arguments": arguments, "cwd": str(cwd), "env": dict(env),
                 "folder": folder.name, "timeout_s": timeout_s}  # fmt: skip
        process = self._started()
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        return Running(json.loads(process.stdout.readline())["pid"], process.stdout, folder)

    def _started(self) -> subprocess.Popen:
        if self._process is None:
            env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
            self._process = subprocess.Popen(
                [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True, env=env,
            )  # fmt: skip
            atexit.register(self.close)
        return self._process

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.communicate("")
            self._process = None


WARM = Warm()


def serve() -> None:
    """Load what most calls need, then fork for each."""
    import hanhua.stages

    stages = [
        f"hanhua.stages.{found.name}" for found in pkgutil.iter_modules(hanhua.stages.__path__)
    ]
    for name in (*LOADED, *stages):
        importlib.import_module(name)
    assert threads() <= {Path(sys.executable).name, "jemalloc_bg_thd"}, threads()
    gc.freeze()  # what is here now is never looked through again
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            become(asked)
        print(json.dumps({"pid": child}), flush=True)
        print(json.dumps({"code": ended(child, asked["timeout_s"])}), flush=True)


def threads() -> set[str]:
    """Names of this process's threads. That of jemalloc (pyarrow's) knows about forks itself."""
    if sys.platform != "linux":
        return set()
    return {(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()}


def become(asked: dict) -> None:
    """Turn this process into one call of the command; does not return."""
    os.setsid()
    # a background job of a shell inherits that interrupts are ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for target, name in ((1, "out"), (2, "err")):
        path = Path(asked["folder"]) / name
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), target)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.argv = ["hanhua", *asked["arguments"]]
    sys.stdin, sys.stdout, sys.stderr = (
        open(0, encoding="utf-8", closefd=False),
        open(1, "w", encoding="utf-8", closefd=False),
        open(2, "w", encoding="utf-8", closefd=False, buffering=1),
    )
    from hanhua.cli import main

    code: object = 0
    try:
        main()
    except SystemExit as left:
        code = left.code
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)  # taking the libraries down costs a second


def ended(child: int, timeout_s: float) -> int:
    """Wait for the child; its exit code, or minus the signal that ended it."""

    def kill(*_: object) -> None:
        os.killpg(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, kill)
    signal.alarm(int(timeout_s) + 1)
    _, status = os.waitpid(child, 0)
    signal.alarm(0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    serve()
