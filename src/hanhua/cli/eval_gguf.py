"""A GGUF file measured by ``hanhua eval``: served by llama.cpp for as long as that takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hanhua.eval.evaluate import Evaluation

CONTEXT_TOKENS = 4096
"""Kept for a question and its examples: a model's whole context can take more memory than it."""
TOPS = (200, 20, 5)
"""Likeliest tokens asked for: a small model does not have the letters among the first few."""


def measure_gguf(
    file: Path, setting_of: Callable[[str], Evaluation], out: Path, *,
    claim: Callable[[str], None], program: str | None, more: str, say: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    """Serve the file, ask it, and end the server.

    Args:
        file: the GGUF file.
        setting_of: what tells the model from any other -> what is measured.
        out: the folder to write.
        claim: takes that folder for the model.
        program: that runs llama.cpp; None: looked for.
        more: further options of it, as in a shell.
        say: gets a line about what happens.

    Raises:
        DependencyError: without llama.cpp, or the package that reads the file's header.
        ServeError: when the server does not start, or falls over.
        InputError: a task that a server cannot be asked.
    """
    from hanhua.core.artifact import Digests
    from hanhua.eval.endpoint import Endpoint
    from hanhua.eval.evaluate_endpoint import evaluate_endpoint, read_askable
    from hanhua.export.gguf_read import header_of
    from hanhua.export.llama_cpp import VARIABLE
    from hanhua.serve.engine_block import gguf_served

    known, chats = header_of(file)
    context = min(known or CONTEXT_TOKENS, CONTEXT_TOKENS)
    identity = f"gguf {Digests().of(file)} {context} {more}".strip()
    setting = setting_of(identity)
    read_askable(setting.config.tasks)  # before a server is started for it
    claim(identity)
    say(f"serving {file} by llama.cpp, on this machine alone")
    program = program or os.environ.get(VARIABLE)
    try:
        with gguf_served(file, context_tokens=context, program=program, more=more) as address:
            endpoint = Endpoint(address.url, address.model, key=address.secret, tops=TOPS,
                                chats=chats, more={"min_tokens": 1})  # fmt: skip
            return evaluate_endpoint(endpoint, setting, out, place="llama.cpp on this machine")
    except SystemExit:  # told to end; what was asked is kept
        say("stopped; the same command goes on where it was")
        raise
