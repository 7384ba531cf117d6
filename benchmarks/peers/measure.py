"""CPU-seconds and memory of a command and of all processes that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command used.

    Args:
        cpu: user and system seconds, its children's too.
        wall: seconds.
        rss_mb: peak of the memory of all its processes together, in MB of 2^20 bytes.
        output: the end of what it printed.
    """

    cpu: float
    wall: float
    rss_mb: int
    output: str


def measure(command: Sequence[str], env: Mapping[str, str] | None = None) -> Usage:
    """Run a command to its end.

    Args:
        command: its first word is a program.
        env: added to this process's environment.

    Raises:
        RuntimeError: when it fails, with the end of what it printed.
    """
    begin = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
        peak, done = [0, 0], threading.Event()
        watch = threading.Thread(target=_watch, args=(process.pid, peak, done))
        watch.start()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - begin
        done.set()
        watch.join()
        out.seek(max(0, out.seek(0, 2) - 20_000))
        output = out.read().decode("utf-8", "replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} ended with {process.returncode}:\n{output}")
    # Not ru_maxrss: what the parent had when it forked stays in it.
    return Usage(used.ru_utime + used.ru_stime, wall, round(max(peak) / 2**10), output)


def _watch(session: int, peak: list[int], done: threading.Event) -> None:
    """Keep the most that all processes had at once, and that any one ever had, in kB."""
    while not done.wait(POLL_SECONDS):
        now, ever = zip(*(_resident(name) for name in ["0", *members(session)]), strict=True)
        peak[0], peak[1] = max(peak[0], sum(now)), max(peak[1], *ever)


def members(session: int) -> list[str]:
    """Names under /proc of a session's processes."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.getsid(int(name)) == session:
                found.append(name)
        except OSError:
            continue
    return found


def _resident(name: str) -> tuple[int, int]:
    """Memory of a process: now and at most, in kB."""
    try:
        lines = Path(f"/proc/{name}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    facts = dict(line.split(":", 1) for line in lines if line.startswith("Vm"))
    now, ever = (int(facts.get(key, "0 kB").split()[0]) for key in ("VmRSS", "VmHWM"))
    return now, ever


def script(name: str) -> str:
    """The path of a peer's script."""
    return str(Path(__file__).parent / f"{name}.py")


HERE = sys.executable
"""The interpreter for hanhua itself."""
