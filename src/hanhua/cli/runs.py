"""Commands on recipes and runs: init, schema, plan, run, demo, show, report."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hanhua.cli import app, emit
from hanhua.cli.run_folder import draw_unfinished, read_ledger, say_stopped
from hanhua.core.errors import StorageError

if TYPE_CHECKING:
    from hanhua.core.ranks import Ranks
    from hanhua.core.walk import Walk
    from hanhua.recipe import Recipe

RecipeArgument = Annotated[Path, typer.Argument(help="the recipe, a YAML file")]
RunArgument = Annotated[Path, typer.Argument(help="a run folder, e.g. runs/demo")]
Runs = Annotated[Path, typer.Option("--runs", help="folder that holds the runs")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="override: section.key=value (repeatable)")
]
Until = Annotated[str | None, typer.Option("--until", help="the last stage to run")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object last")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress")]


@app.command()
def init(
    base: Annotated[str, typer.Option(help="model folder, org/name or modelscope:org/name")],
    target: Annotated[str, typer.Option(help="the language to reach")] = "zh",
    out: Annotated[Path, typer.Option(help="where to write it")] = Path("recipe.yaml"),
    json_: Json = False,
) -> None:
    """Write a commented recipe to start from."""
    from hanhua.cli.template import recipe_text
    from hanhua.core.files import write_text

    if out.exists():
        raise StorageError(
            "The file is there already.", where=out, fix="choose another name with --out"
        )
    write_text(out, recipe_text(base, target))
    typer.echo(f"wrote {out}; now name your texts in it, then: hanhua plan {out}")
    emit({"recipe": str(out)}, json_)


@app.command()
def schema(json_: Json = False) -> None:
    """Print the recipe's JSON Schema, for editors."""
    from hanhua.recipe import json_schema

    found = json_schema()
    typer.echo(json.dumps(found, ensure_ascii=False, indent=None if json_ else 2))


@app.command()
def plan(
    recipe: RecipeArgument, set_: Set = None, until: Until = None, devices: Annotated[
        int | None, typer.Option(help="how many devices to plan for; machine.devices")] = None,
    device: Annotated[str | None, typer.Option(
        help="kind of device to plan for, e.g. h100-80gb; machine.accelerator")] = None,
    cost: Annotated[bool, typer.Option(
        "--cost", help="only what training costs; the files may be missing yet")] = False,
    runs: Runs = Path("runs"), json_: Json = False,
) -> None:  # fmt: skip
    """Show what would run and why, with tokens, time, memory, money and disk. Runs nothing."""
    from hanhua.cli.plan import cost_rows, plan_notes, plan_rows
    from hanhua.cli.plan_text import plan_text
    from hanhua.recipe import load_recipe

    asked = {"machine.devices": devices, "machine.accelerator": device}
    more = [f"{key}={value}" for key, value in asked.items() if value is not None]
    loaded = load_recipe(recipe, [*(set_ or ()), *more])
    rows = cost_rows(loaded) if cost else plan_rows(loaded, runs, until)
    if not json_:
        typer.echo(plan_text(loaded, rows))
    emit({"name": loaded.name, "stages": rows, "notes": plan_notes(loaded, rows)}, json_)


@app.command()
def run(
    recipe: RecipeArgument, set_: Set = None, until: Until = None,
    runs: Runs = Path("runs"), quiet: Quiet = False, json_: Json = False,
) -> None:  # fmt: skip
    """Run the recipe; what is done is kept, and a killed run goes on where it was."""
    from hanhua.recipe import load_recipe

    command = _command(["run", str(recipe)], set_, runs)
    ledger = _run(load_recipe(recipe, set_ or ()), runs, until, quiet, command)
    emit(ledger, json_)


def _command(what: list[str], overrides: list[str] | None, runs: Path) -> str:
    """The call, to be typed again."""
    words = ["hanhua", *what, *(w for item in overrides or () for w in ("--set", item))]
    return shlex.join([*words, "--runs", str(runs)] if runs != Path("runs") else words)


def _run(
    recipe: Recipe, runs: Path, until: str | None, quiet: bool, command: str
) -> dict[str, Any]:
    """Run and draw the report, and say the verdict."""
    import os

    if recipe.machine.threads:
        os.environ.setdefault("OMP_NUM_THREADS", str(recipe.machine.threads))
    from hanhua.core.progress import default_progress
    from hanhua.core.runner import run as run_walk
    from hanhua.report.render import render
    from hanhua.report.summary import summarise, text_summary

    quiet_libraries()
    walk = recipe.walk(runs)
    with _ranks(walk) as ranks:
        ledger = run_walk(
            walk, default_progress(quiet), until=until, summarise=summarise, command=command,
            ranks=ranks, on_stop=partial(draw_unfinished, quiet=quiet),
        )  # fmt: skip
    page = render(walk.run_dir)
    if not quiet:
        typer.echo(text_summary(ledger), err=True)
        typer.echo(f"report: {page}", err=True)
        if ledger["complete"]:
            typer.echo(f"talk to it: hanhua chat {walk.run_dir}", err=True)
    return ledger


@contextmanager
def _ranks(walk: Walk) -> Iterator[Ranks]:
    """The processes that torchrun started; all but the first end here, when the run has ended."""
    from hanhua.core.ranks import Alone, started_ranks

    if started_ranks() == 1:
        yield Alone()
        return
    from hanhua.core.runner import follow
    from hanhua.train.parallel import joined

    with joined(walk.machine) as ranks:
        if ranks.first:
            yield ranks
        else:
            follow(walk, ranks)
            raise typer.Exit


def quiet_libraries() -> None:
    """Keep the libraries' own bars off the screen; ours say what is going on."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


@app.command()
def demo(
    runs: Runs = Path("runs"), set_: Set = None, open_: Annotated[
        bool, typer.Option("--open", help="open the report in a browser")] = False,
    quiet: Quiet = False, json_: Json = False,
) -> None:  # fmt: skip
    """Localise the built-in tiny English LLaMA to Chinese: the whole walk in a few minutes."""
    from hanhua.demo.run import demo_recipe_path
    from hanhua.recipe import load_recipe

    recipe = load_recipe(demo_recipe_path(), set_ or ())
    ledger = _run(recipe, runs, None, quiet, _command(["demo"], set_, runs))
    if open_:
        import webbrowser

        webbrowser.open((runs / ledger["name"] / "report.html").resolve().as_uri())
    emit(ledger, json_)


@app.command()
def show(run: RunArgument, json_: Json = False) -> None:
    """Show a run's ledger: stages, counts, figures."""
    from hanhua.report.summary import text_summary

    ledger = read_ledger(run)
    if not json_:
        for name, entry in ledger["stages"].items():
            typer.echo(_stage_line(name, entry))
        typer.echo(text_summary(ledger))
        say_stopped(run, ledger)
    emit(ledger, json_)


def _stage_line(name: str, entry: Mapping[str, Any]) -> str:
    from hanhua.core.progress import duration

    peak = entry["peak_rss_bytes"] / 2**20
    return f"{name:<14} {duration(entry['seconds']):>9} {peak:>8,.0f} MB  {entry['path']}"


@app.command()
def report(run: RunArgument, json_: Json = False) -> None:
    """Draw a run's HTML report again; --json prints its content for machines."""
    from hanhua.core.files import read_json
    from hanhua.report.render import FACTS, render

    ledger = read_ledger(run)
    page = render(run)
    typer.echo(f"report: {page}", err=json_)
    say_stopped(run, ledger, err=json_)
    if json_:
        emit({"report": str(page), **read_json(run / FACTS)}, json_)
