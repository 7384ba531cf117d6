"""Commands that ask a question of a recipe by training it more than once: scratch, knowledge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hanhua.cli import app, emit
from hanhua.cli.runs import Json, Quiet, RecipeArgument, Runs, Set

study = typer.Typer(
    name="study", help="Ask a question of a recipe by training it more than once.",
    rich_markup_mode=None, no_args_is_help=True,
)  # fmt: skip
app.add_typer(study)


@study.command()
def scratch(
    recipe: RecipeArgument,
    tokens: Annotated[int | None, typer.Option(
        min=1, help="tokens of the longest run; left out: the recipe's budget")] = None,
    lengths: Annotated[int, typer.Option(
        min=2, max=6, help="lengths of run, each half the next")] = 4,
    seeds: Annotated[int, typer.Option(
        min=1, max=16, help="orders of rows and random weights; from 2 on with a spread")] = 1,
    scratch_learning_rate: Annotated[float | None, typer.Option(
        "--scratch-learning-rate", help="peak for scratch; left out: the recipe's")] = None,
    set_: Set = None, runs: Runs = Path("runs"), quiet: Quiet = False, json_: Json = False,
) -> None:  # fmt: skip
    """Scratch or continue? Trains both on the same rows; says where the curves cross."""
    from hanhua.cli.study_scratch import Asked, run_study
    from hanhua.mix.scratch_answer import text
    from hanhua.recipe import load_recipe

    asked = Asked(tokens, lengths, seeds, scratch_learning_rate)
    found = run_study(load_recipe(recipe, set_ or ()), asked, runs, quiet)
    typer.echo(text(found), err=json_)
    typer.echo(f"page: {found['files']['page']}", err=json_)
    emit(found, json_)


@study.command()
def knowledge(
    recipe: RecipeArgument,
    facts: Annotated[Path | None, typer.Option(
        help="your facts, one JSON object a line; left out: invented ones")] = None,
    model: Annotated[str | None, typer.Option(
        help="the model to study; left out: the recipe's, after pretrain")] = None,
    tokens: Annotated[int | None, typer.Option(
        min=1, help="tokens learnt in a run; left out: a thousand for each fact")] = None,
    share: Annotated[float, typer.Option(
        help="part of them that tells facts; the rest is the recipe's text")] = 0.5,
    seeds: Annotated[int, typer.Option(
        min=1, max=16, help="dealings of the facts; from 2 on with the spread of runs")] = 2,
    learning_rate: Annotated[float | None, typer.Option(
        "--learning-rate", help="peak; left out: the recipe's for pretrain")] = None,
    set_: Set = None, runs: Runs = Path("runs"), quiet: Quiet = False, json_: Json = False,
) -> None:  # fmt: skip
    """Facts as text or as instructions? Injects both; measures recall, transfer and loss."""
    from hanhua.cli.study_knowledge import run_study
    from hanhua.cli.study_knowledge_asked import Asked
    from hanhua.mix.knowledge_text import text
    from hanhua.recipe import load_recipe

    asked = Asked(facts, model, tokens, share, seeds, learning_rate)
    found = run_study(load_recipe(recipe, set_ or ()), asked, runs, quiet)
    typer.echo(text(found), err=json_)
    emit(found, json_)
