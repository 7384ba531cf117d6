"""Commands on models: serve, chat."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hanhua.cli import app, emit

ModelArgument = Annotated[
    Path, typer.Argument(help="a run folder (runs/NAME), an artifact or a Hugging Face folder")
]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object last")]


@app.command()
def serve(
    model: ModelArgument,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port; 0 takes a free one")] = 8000,
    api_key_file: Annotated[
        Path | None, typer.Option(help="one key a line; without it everyone may ask")
    ] = None,
    json_: Json = False,
) -> None:
    """Serve a model: an OpenAI-style API under /v1 and a chat page at /."""
    from hanhua.serve.run import serve as start

    start(model, host=host, port=port, api_key_file=api_key_file)
    emit({"stopped": True}, json_)


@app.command()
def chat(
    model: ModelArgument,
    prompt: Annotated[str | None, typer.Option(help="ask once and stop")] = None,
    system: Annotated[str | None, typer.Option(help="the system message")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="longest answer")] = 256,
    temperature: Annotated[float, typer.Option(min=0.0, max=2.0, help="0: always the same")] = 0.0,
    seed: Annotated[int, typer.Option(help="of the sampling")] = 0,
    json_: Json = False,
) -> None:
    """Talk to a model in the terminal (or pipe questions in, one a line)."""
    from hanhua.serve.terminal import chat as start

    turns = start(
        model, prompt=prompt, system=system, max_tokens=max_tokens,
        temperature=temperature, seed=seed,
    )  # fmt: skip
    emit({"turns": turns}, json_)
