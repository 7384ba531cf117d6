"""Another engine's server as a process of its own: start it, wait for it, watch it, stop it.

An engine such as vLLM pins its own torch and needs an environment of its own, so it is never
imported: it is a command line, a port and an exit code.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TextIO

from hanhua.core.errors import ServeError
from hanhua.serve.watcher import Watcher

_LAST_LINES, _LAST_CHARS = 12, 330
_STOP_SECONDS = 30.0
_ASK_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCommand:
    """How an engine's server is started.

    Args:
        title: what people call the engine.
        argv: program and arguments. No secret among them: any user of the machine can list those.
        environment: variables beside our own; None takes one away.
        health_url: answers 200 as soon as requests are served.
        secret: the API key, if one is asked for; it is cut out of whatever the engine prints.
        waits: whether the user's command has --engine-wait.
    """

    title: str
    argv: tuple[str, ...]
    environment: Mapping[str, str | None]
    health_url: str
    secret: str | None = field(default=None, repr=False)
    waits: bool = True


def run_engine(
    command: EngineCommand,
    *,
    say: Callable[[str], None],
    wait_seconds: float = 600.0,
    restarts: int = 1,
    echo: TextIO | None = None,
) -> None:
    """Run an engine until we are told to stop.

    SIGINT and SIGTERM go on to the engine, which then ends what it began; a second one, or
    half a minute, kills it and all it started. One that falls over after it had answered is
    started again.

    Args:
        command: what to start.
        say: gets one line at a time about what happens.
        wait_seconds: how long it may take to answer first.
        restarts: how often one that had answered may fall over.
        echo: where its own lines go; stderr when None.

    Raises:
        ServeError: when it cannot be started, does not answer in time, or falls over too often.
    """
    engine = _Engine(command, echo or sys.stderr)
    with _signals_to(engine):
        try:
            while True:
                engine.start()
                if engine.wait_until_it_answers(wait_seconds):
                    say(f"{command.title} answers")
                code = engine.wait()
                if engine.told_to_stop:
                    return
                if not restarts:
                    raise engine.fallen("ended by itself", code)
                restarts -= 1
                say(f"warning: {command.title} ended by itself ({_ending(code)}); "
                    "starting it again")  # fmt: skip
        finally:
            engine.close()


class _Engine:
    """The process, its last lines, and whether it was told to stop."""

    def __init__(self, command: EngineCommand, echo: TextIO) -> None:
        self.command, self.echo = command, echo
        self.told_to_stop = False
        self._process: subprocess.Popen[str] | None = None
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._watcher: Watcher | None = None
        self._reader: threading.Thread | None = None
        self._killer: threading.Timer | None = None

    def start(self) -> None:
        self._lines.clear()
        given = {**os.environ, "PYTHONUNBUFFERED": "1", **self.command.environment}
        environment = {name: value for name, value in given.items() if value is not None}
        try:
            # its own session: Ctrl-C in a terminal reaches us alone, and what it starts in turn
            # (vLLM's workers, which hold the GPU) can be ended together with it
            self._process = subprocess.Popen(
                self.command.argv, env=environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
                errors="replace", start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise ServeError(
                f"{self.command.title} cannot be started.", where=self.command.argv[0],
                found=error.strerror or error, fix="check --engine-command",
            ) from error  # fmt: skip
        with suppress(OSError):  # without a shell only an orderly end of ours ends the engine
            self._watcher = Watcher(self._process.pid)
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        if self.told_to_stop:  # between two lives of it
            self._send(signal.SIGTERM)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            if self.command.secret:
                line = line.replace(self.command.secret, "***")
            self.echo.write(line)
            self.echo.flush()
            if line.strip():
                self._lines.append(line.rstrip())

    def wait_until_it_answers(self, seconds: float) -> bool:
        """False when it was told to stop meanwhile."""
        assert self._process
        end = time.monotonic() + seconds
        while not self.told_to_stop:
            code = self._process.poll()
            if code is not None and not self.told_to_stop:
                raise self.fallen("ended before it answered", code)
            if _answers(self.command):
                return True
            if time.monotonic() > end:
                raise self.fallen(f"did not answer within {seconds:g} s", None)
            time.sleep(_ASK_SECONDS)
        return False

    def ended_within(self, seconds: float) -> int | None:
        """Its exit code, if it has ended by then."""
        assert self._process
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def wait(self) -> int:
        """Until it ends; what it started in turn ends too."""
        assert self._process
        code = self._process.wait()
        self._settle()
        return code

    def fallen(self, how: str, code: int | None) -> ServeError:
        """What to tell, with the engine's own last lines."""
        self._settle()
        last = "\n".join(self._lines)[-_LAST_CHARS:]
        facts = [] if code is None else [_ending(code)]
        return ServeError(
            f"{self.command.title} {how}.", where=self.command.argv[0],
            found="; ".join([*facts, f"its last lines:\n{last}" if last else "it printed nothing"]),
            fix="mend what it says, or try its own command line: --engine-args passes options on"
            + (", --engine-wait gives it longer" if self.command.waits else ""),
        )  # fmt: skip

    def forward(self, number: int, _: object = None) -> None:
        """A signal handler: the first goes on as it is, the second kills."""
        if self.told_to_stop:
            self._kill_all()
            return
        self.told_to_stop = True
        self._send(number)
        self._killer = threading.Timer(_STOP_SECONDS, self._kill_all)
        self._killer.daemon = True
        self._killer.start()

    def _send(self, number: int) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(number)

    def _kill_all(self) -> None:
        if self._process:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                return  # all of them have ended

    def close(self) -> None:
        """End whatever is left of it."""
        if self._killer:
            self._killer.cancel()
        self._settle()

    def _settle(self) -> None:
        """The process has ended or ends now; its last lines are read and its pipe is closed."""
        if not self._process:
            return
        self._kill_all()
        self._process.wait()
        if self._watcher:
            self._watcher.close()
        if self._reader:
            self._reader.join(5)
        if self._process.stdout:
            self._process.stdout.close()


@contextmanager
def _signals_to(engine: _Engine) -> Iterator[None]:
    """Hand SIGINT and SIGTERM on; only a main thread can, elsewhere they stay as they are."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, engine.forward) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _answers(command: EngineCommand) -> bool:
    headers = {"Authorization": f"Bearer {command.secret}"} if command.secret else {}
    request = urllib.request.Request(command.health_url, headers=headers)
    # a proxy of the environment has no business on the way to this machine itself
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            return int(answer.status) == 200
    except (OSError, ValueError):
        return False


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
