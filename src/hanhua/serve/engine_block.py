"""An engine for as long as one piece of work takes, on a port of this machine alone."""

from __future__ import annotations

import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hanhua.core.errors import HanhuaError
from hanhua.serve import llama_cpp
from hanhua.serve.engine_process import EngineCommand, _Engine
from hanhua.serve.external import find_program, options_of
from hanhua.serve.run import _listen

HOST = "127.0.0.1"
_GRACE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine answers.

    Args:
        url: of the API, up to and with /v1.
        model: as the engine calls it.
        secret: the key that it asks for.
        program: that runs it.
    """

    url: str
    model: str
    secret: str
    program: str


@contextmanager
def gguf_served(
    file: Path, *, context_tokens: int, program: str | None = None, more: str = ""
) -> Iterator[Address]:
    """Serve a GGUF file by llama.cpp while the block runs.

    Args:
        file: the GGUF file.
        context_tokens: positions that are kept for prompt and answer.
        program: a Python that has llama-cpp-python, or ``llama-server``; looked for when None.
        more: further options of it, as in a shell.

    Yields:
        the address, as soon as it answers there.

    Raises:
        DependencyError: without llama.cpp.
        ServeError: when it does not start, or falls over before the block is done.
        UsageError: when its options do not read.
    """
    found, options = find_program("llama-cpp", program), options_of(more)
    with _listen(HOST, 0) as listener:
        port = listener.getsockname()[1]
    secret, url = secrets.token_urlsafe(24), f"http://{HOST}:{port}"
    command = llama_cpp.llama_cpp_command(
        found, file.resolve(), name=file.stem, host=HOST, port=port, url=url, secret=secret,
        more=[*llama_cpp.scoring_options(found, context_tokens), *options],
    )  # fmt: skip
    with running(replace(command, waits=False)):
        yield Address(f"{url}/v1", file.stem, secret, found)


@contextmanager
def running(command: EngineCommand, wait_seconds: float = 600.0) -> Iterator[None]:
    """An engine that ends with the block, also where Ctrl-C or SIGTERM ends it.

    SIGTERM ends this process with exit code 143, by way of the block.

    Args:
        command: what to start.
        wait_seconds: how long it may take to answer first.

    Raises:
        ServeError: when it cannot be started, does not answer in time, or falls over.
    """
    with open(os.devnull, "w", encoding="utf-8") as nowhere, _sigterm_raises():
        engine = _Engine(command, nowhere)
        try:
            engine.start()
            engine.wait_until_it_answers(wait_seconds)
            try:
                yield
            except HanhuaError as error:
                code = engine.ended_within(_GRACE_SECONDS)
                if code is None:
                    raise
                raise engine.fallen("ended while it was asked", code) from error
        finally:
            engine.close()


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
