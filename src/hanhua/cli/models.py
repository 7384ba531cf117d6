"""Commands on models: serve, chat."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hanhua.cli import app, emit

ModelArgument = Annotated[
    Path,
    typer.Argument(
        help="a run folder (runs/NAME), a stage of it, an artifact or a Hugging Face folder"
    ),
]
EngineName = Literal["auto", "hanhua", "vllm", "llama-cpp"]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object last")]


@app.command()
def serve(
    model: ModelArgument,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port; 0 takes a free one")] = 8000,
    api_key_file: Annotated[
        Path | None,
        typer.Option(help="KEY [name=N] [rpm=N] [tpm=N] a line; without it everyone may ask"),
    ] = None,
    max_seconds: Annotated[
        float, typer.Option(min=0.0, help="longest time for a request; 0: no limit")
    ] = 0.0,
    block_words: Annotated[
        Path | None, typer.Option(help="one word a line that is neither taken nor said")
    ] = None,
    moderation: Annotated[
        str | None, typer.Option(help="address of a /v1/moderations that judges all text")
    ] = None,
    moderation_open: Annotated[
        bool, typer.Option("--moderation-open", help="let pass what it does not judge (else 503)")
    ] = False,
    moderation_key_file: Annotated[
        Path | None, typer.Option(help="its key; else the variable HANHUA_MODERATION_KEY")
    ] = None,
    moderation_seconds: Annotated[
        float, typer.Option(min=0.1, help="longest time for a judgement")
    ] = 5.0,
    max_running: Annotated[int, typer.Option(min=1, help="requests that are answered at once")] = 8,
    threads: Annotated[
        int, typer.Option(min=0, help="of a CPU; 0: one for a small model, else all")
    ] = 0,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="where it runs")] = "auto",
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        typer.Option(help="of the numbers; auto: float32 on a CPU, as stored on a GPU"),
    ] = "auto",
    compat: Annotated[
        bool, typer.Option("--compat", help="also POST / /generate /chat, as older projects had")
    ] = False,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            "--beside",
            metavar="WHAT",
            help="one more model to serve and compare: a stage of the run (base, pretrain, "
            "quantise/q4_0, …) or a path; may be repeated",
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            metavar="NAME",
            help="one more name that the server answers to, as behind a proxy; may be repeated",
        ),
    ] = None,
    allowed_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-origin",
            metavar="ORIGIN",
            help="web pages elsewhere that may call it, scheme://host[:port]; may be repeated",
        ),
    ] = None,
    engine: Annotated[
        EngineName,
        typer.Option(
            help="auto: llama-cpp for a GGUF file, else ours; vllm and llama-cpp run "
            "as a process of their own"
        ),
    ] = "auto",
    engine_command: Annotated[
        str | None, typer.Option(help="program of that engine, where it is not on the path")
    ] = None,
    engine_args: Annotated[str, typer.Option(help="further options of that engine, quoted")] = "",
    engine_wait: Annotated[
        float, typer.Option(min=0.0, help="seconds that engine may take to answer")
    ] = 600.0,
    json_: Json = False,
) -> None:
    """Serve models: an OpenAI-style API under /v1 and a chat page at /."""
    from hanhua.serve.external import choose_engine, refuse_ours, serve_external

    chosen = choose_engine(engine, model)
    if chosen != "hanhua":
        refuse_ours({"--max-seconds": max_seconds, "--block-words": block_words,
                     "--moderation": moderation, "--compat": compat,
                     "--beside": beside, "--allowed-host": allowed_host,
                     "--allowed-origin": allowed_origin,
                     "--max-running": max_running != 8, "--threads": threads,
                     "--device": device != "auto", "--dtype": dtype != "auto"})  # fmt: skip
        serve_external(
            chosen, model, host=host, port=port, api_key_file=api_key_file,
            engine_command=engine_command, engine_args=engine_args, wait_seconds=engine_wait,
        )  # fmt: skip
        emit({"stopped": True}, json_)
        return
    from hanhua.serve.moderation import read_moderation
    from hanhua.serve.run import serve as start

    judge = read_moderation(
        moderation, moderation_key_file, open_=moderation_open, seconds=moderation_seconds
    )  # fmt: skip
    start(
        model, host=host, port=port, api_key_file=api_key_file, max_seconds=max_seconds,
        block_words=block_words, moderation=judge, compat=compat, beside=beside or (),
        max_running=max_running, threads=threads, device=device, dtype=dtype,
        allowed_hosts=allowed_host or (), allowed_origins=allowed_origin or (),
    )  # fmt: skip
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
