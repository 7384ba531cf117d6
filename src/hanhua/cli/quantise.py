"""The command ``quantise``: fewer bits, with what each language lost."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hanhua.cli import app, emit
from hanhua.core.errors import StorageError, UsageError

if TYPE_CHECKING:
    from hanhua.cli.merge import Run
    from hanhua.export.methods import Method
    from hanhua.export.quantise import Job


@app.command()
def quantise(
    model: Annotated[
        str, typer.Argument(help="a model or adapter folder, a run, a stage of it, or org/name")
    ],
    method: Annotated[
        str, typer.Option(help="int8, nf4, gptq-int4; of GGUF q8_0, q5_1, q5_0, q4_1, q4_0, f16, "
                          "bf16, f32, and through llama.cpp q6_k, q5_k_m, q4_k_m, q3_k_m; several "
                          "with commas between")
    ],
    out: Annotated[Path, typer.Option(help="the folder to make")],
    corpus: Annotated[
        Path | None, typer.Option(help="a corpus with held-out text to measure on, as `hanhua "
                                  "corpus` makes; left out: the run's")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option("--text", help="measure on this: zh=FILE (repeatable)")
    ] = None,
    docs: Annotated[int, typer.Option(min=2, help="texts of each language")] = 200,
    tasks: Annotated[str, typer.Option(help="questions to ask too, e.g. cmmlu,mmlu")] = "",
    data: Annotated[
        Path | None, typer.Option(help="where the tasks' folders lie, or one's file")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="questions of each task; 0: all")] = 0,
    gate: Annotated[
        list[str] | None, typer.Option("--gate", help="refuse what loses more: max_zh_loss=0.02 "
                                       "(share of bits per byte), max_zh_drop=0.02 (accuracy)")
    ] = None,
    proof: Annotated[bool, typer.Option("--proof/--no-proof", help="measure quality")] = True,
    speed: Annotated[bool, typer.Option("--speed/--no-speed", help="measure tokens/s")] = True,
    calibrate: Annotated[
        list[str] | None, typer.Option("--calibrate", help="text for gptq-int4: zh=FILE "
                                       "(repeatable); left out: the corpus's training text")
    ] = None,
    shares: Annotated[
        str | None, typer.Option(help="of languages in it, e.g. zh=0.7,en=0.3; left out: as the "
                                 "run's tokens were counted, else equal")
    ] = None,
    calibration_rows: Annotated[int, typer.Option(min=1, help="rows of 512 tokens of it")] = 128,
    llama_cpp: Annotated[
        Path | None, typer.Option(help="llama.cpp's folder, or a Python that has llama-cpp-python")
    ] = None,
    adapter_on: Annotated[
        str | None, typer.Option(help="what an adapter was trained on, if it doesn't say")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress")] = False,
    json_: Annotated[bool, typer.Option("--json", help="print one JSON object last")] = False,
) -> None:  # fmt: skip
    """Store a model in fewer bits: size, memory, speed, and what each language lost."""
    from hanhua.cli.eval import find_target
    from hanhua.cli.merge import Run
    from hanhua.cli.quantise_asked import find_job, find_trial
    from hanhua.cli.runs import quiet_libraries
    from hanhua.core.progress import default_progress
    from hanhua.export.config import QuantiseConfig
    from hanhua.export.methods import parse_methods
    from hanhua.recipe import section_from

    methods, limits = parse_methods(method), _gates(gate or [])
    section_from(QuantiseConfig, "quantise", [f"gate={limits}"])
    quiet_libraries()
    target, progress = find_target(model, adapter_on), default_progress(quiet)
    run = Run.find(target.folder.resolve())

    from hanhua.export.command import plain_model
    from hanhua.export.quantise_all import quantise_all
    from hanhua.vocab.command import begin

    asked = {"corpus": corpus, "text": text or [], "docs": docs, "tasks": tasks, "data": data,
             "limit": limit, "device": _device(device), "progress": progress}  # fmt: skip
    trial = find_trial(run, asked, limits, proof, speed)
    job = find_job(run, methods, asked, calibrate or [], shares, calibration_rows, llama_cpp)
    _check_free(refused_place(out))
    aside = begin(out)
    job = _with_model(job, plain_model(target, aside), _name(run, target.folder, model))
    found = quantise_all(methods, job, trial, aside)
    shutil.rmtree(aside / ".merged", ignore_errors=True)
    _finish(found, methods, aside, out, json_)


def _finish(
    found: dict[str, Any], methods: Sequence[Method], aside: Path, out: Path, as_json: bool
) -> None:
    """Lay the folder out, say what was found, and refuse what broke a limit."""
    from hanhua.export.quality import refusal
    from hanhua.export.quantise_all import set_aside
    from hanhua.export.quantise_text import table
    from hanhua.vocab.command import finish

    refused = [row for row in found["rows"] if row.get("broken")]
    if len(methods) == 1:
        inner = aside / methods[0].name
        for path in inner.iterdir():
            path.rename(aside / path.name)
        inner.rmdir()
    else:
        for row in refused:
            set_aside(aside / row["method"])
    where = refused_place(out) if len(refused) == len(methods) else out
    if not as_json:
        typer.echo(table(found["rows"]))
    finish(aside, where)
    if not as_json:
        typer.echo(f"\nwrote {where} (quantise.json has everything)")
    if refused:
        raise refusal(
            ", ".join(row["method"] for row in refused),
            [line for row in refused for line in row["broken"]], where,
        )  # fmt: skip
    emit({**found, "out": str(out)}, as_json)


def refused_place(out: Path) -> Path:
    """Where a result goes that broke a limit."""
    return out.with_name(f"{out.name}.refused")


def _check_free(place: Path) -> None:
    """Before hours of work, not behind them."""
    if place.exists():
        raise StorageError(
            "A result that was refused before is still there.", where=place,
            fix="look at it and delete it, or choose another --out",
        )  # fmt: skip


def _gates(given: Sequence[str]) -> dict[str, float]:
    found = {}
    for one in given:
        name, _, value = one.partition("=")
        try:
            found[name] = float(value)
        except ValueError as error:
            raise UsageError("This is no gate.", where="--gate", found=one,
                             fix="write e.g. --gate max_zh_loss=0.02") from error  # fmt: skip
    return found


def _name(run: Run, folder: Path, model: str) -> str:
    from hanhua.cli.export import plain_name

    return str(run.ledger.get("name") or plain_name(folder, model))


def _device(asked: str) -> str:
    from hanhua.cli.eval_setting import device_of

    return device_of(asked)


def _with_model(job: Job, model: Path, name: str) -> Job:
    from dataclasses import replace

    return replace(job, model=model, name=name)
