"""The servers that are compared: how each is started, what it uses, how it is ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peers.measure import members

READY_SECONDS, STOP_SECONDS = 300.0, 20.0
OURS = (
    "import sys; from pathlib import Path; from hanhua.core.progress import Silent; "
    "from hanhua.serve.run import serve; "
    "serve(Path(sys.argv[1]), name='model', port=int(sys.argv[2]), threads=int(sys.argv[3]), "
    "max_running=int(sys.argv[4]), dtype=sys.argv[5], device=sys.argv[6], progress=Silent())"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A server.

    Args:
        name: of its row in the table.
        argv: program and arguments; PORT stands for the port.
        environment: variables beside our own; None takes one away.
        fields: what its requests hold beside the common fields; None takes one away.
    """

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str | None] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)


def ours(
    model: Path, threads: int, slots: int, dtype: str, environment: dict[str, str],
    device: str = "cpu",
) -> Program:  # fmt: skip
    """Our server as ``hanhua serve`` starts it, with so many slots."""
    argv = (sys.executable, "-c", OURS, str(model), "PORT", str(threads), str(slots), dtype,
            device)  # fmt: skip
    return Program(name="hanhua", argv=argv, fields={"model": "model"},
                   environment={"OMP_WAIT_POLICY": "PASSIVE", **environment})  # fmt: skip


def transformers_serve(
    python: Path, model: Path, threads: int, dtype: str, batching: bool, memory: float | None,
    device: str = "cpu",
) -> Program:  # fmt: skip
    """``transformers serve``, plain or with continuous batching; memory: its share for that."""
    argv = [str(python.with_name("transformers")), "serve", str(model), "--host", "127.0.0.1",
            "--port", "PORT", "--device", device, "--dtype", dtype]  # fmt: skip
    name = "transformers serve"
    if batching:
        argv, name = [*argv, "--continuous-batching"], f"{name} --continuous-batching"
        if memory:
            argv += ["--cb-max-memory-percent", str(memory)]
            name += f" --cb-max-memory-percent {memory:g}"
    environment = {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "PYTHONPATH": None}
    # it always tells the usage, and knows no such field
    return Program(name=name, argv=tuple(argv), environment=environment,
                   fields={"model": str(model), "stream_options": None})  # fmt: skip


def llama_server(program: Path, model: Path, threads: int, slots: int, context: int) -> Program:
    """llama.cpp's own server on a GGUF file, every slot with the model's whole context."""
    argv = (str(program), "--model", str(model), "--host", "127.0.0.1", "--port", "PORT",
            "--threads", str(threads), "--threads-batch", str(threads), "--jinja",
            "--parallel", str(slots), "--ctx-size", str(slots * context))  # fmt: skip
    # an answer must not be made from what the same prompt left behind in the round before
    return Program(name=f"llama-server ({model.stem})", argv=argv,
                   fields={"model": "model", "cache_prompt": False})  # fmt: skip


class Running:
    """A server that answers.

    Args:
        session: its process and session number; what it started belongs to the session too.
        port: on loopback.
    """

    def __init__(self, session: int, port: int) -> None:
        self.session, self.port = session, port

    def cpu_seconds(self) -> float:
        """User and system time so far, that of ended children too."""
        ticks = 0
        for pid in members(self.session):
            fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15])) if fields else 0
        return ticks / os.sysconf("SC_CLK_TCK")

    def forget_peak(self) -> None:
        """Let the peak of memory start again from what is held now, where the system can."""
        for pid in members(self.session):
            try:
                Path(f"/proc/{pid}/clear_refs").write_text("5")
            except OSError:
                continue  # then it is the peak since the start, and users only become more

    def peak_mb(self) -> float:
        """Most resident memory of all its processes, in MB of 2^20 bytes."""
        total = 0
        for pid in members(self.session):
            for line in _read(f"/proc/{pid}/status").splitlines():
                if line.startswith("VmHWM:"):
                    total += int(line.split()[1])
        return total / 2**10


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


@contextmanager
def started(program: Program) -> Iterator[Running]:
    """Start a server, wait until it answers, and end it with all it started, whatever happens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [str(port) if word == "PORT" else word for word in program.argv]
    given = {**os.environ, **program.environment}
    environment = {name: value for name, value in given.items() if value is not None}
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, env=environment,
                                   stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
        try:
            if not _answers(process, port):
                out.seek(max(0, out.seek(0, 2) - 3000))
                last = out.read().decode("utf-8", "replace")
                raise SystemExit(f"{program.name} does not answer (exit code {process.poll()}); "
                                 f"its last lines:\n{last}")  # fmt: skip
            yield Running(process.pid, port)
        finally:
            _end(process)


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with opener.open(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                if answer.status == 200:
                    return True
        except (OSError, ValueError):
            pass
        time.sleep(0.25)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask, wait, then kill the whole session."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
