"""The command ``mix``: small runs at several shares, a law, and a recipe with the share to take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hanhua.cli import app, emit
from hanhua.cli.runs import Json, Quiet, RecipeArgument, Set
from hanhua.core.errors import RecipeError, UsageError

if TYPE_CHECKING:
    from hanhua.core.wish import Wish
    from hanhua.mix.config import MixConfig
    from hanhua.recipe import Recipe


@app.command()
def mix(
    recipe: RecipeArgument,
    wish: Annotated[str | None, typer.Option(
        help="best (the lowest sum of losses), or en+1% (English may rise by at most 1 %)")] = None,
    shares: Annotated[str | None, typer.Option(
        help="shares of the target language to try, e.g. 0.3,0.5,0.7")] = None,
    ratios: Annotated[int | None, typer.Option(
        help="how many shares to try, if none are named")] = None,
    tokens: Annotated[int | None, typer.Option(help="tokens of a small run")] = None,
    set_: Set = None,
    runs: Annotated[str, typer.Option(
        "--runs", help="folder that holds the runs; a whole number is taken as --ratios")] = "runs",
    quiet: Quiet = False, json_: Json = False,
) -> None:  # fmt: skip
    """Find the zh:en ratio by small runs on your own texts; writes a recipe that takes it."""
    from hanhua.mix.answer import text
    from hanhua.recipe import load_recipe

    if runs.isdecimal():
        ratios, runs = int(runs), "runs"
    named = None if shares is None else _numbers(shares)
    asked = {"wish": wish, "runs": ratios, "tokens": tokens, "shares": named}
    more = [f"mix.{key}={_yaml(value)}" for key, value in asked.items() if value is not None]
    loaded = load_recipe(recipe, [*(set_ or ()), *more])
    found = _mix(loaded, Path(runs), quiet)
    typer.echo(text(found), err=json_)
    typer.echo(f"page: {found['files']['page']}, recipe: {found['files']['recipe']}", err=json_)
    emit(found, json_)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(
            "Shares are numbers with commas between.", where="--shares", found=text,
            fix="for example --shares 0.3,0.5,0.7",
        ) from error  # fmt: skip


def _yaml(value: object) -> str:
    import json

    return json.dumps(value)


def _mix(recipe: Recipe, runs: Path, quiet: bool) -> dict[str, Any]:
    """Measure, fit, recommend, and write all of it."""
    from hanhua.cli.mix_answer import write_answer
    from hanhua.cli.mix_study import measure
    from hanhua.core.progress import default_progress
    from hanhua.core.wish import parse_wish
    from hanhua.mix.answer import as_result
    from hanhua.mix.config import MixConfig
    from hanhua.mix.fit import fit
    from hanhua.mix.proxy import shares_at
    from hanhua.mix.recommend import recommend

    _check(recipe)
    assert recipe.tokens is not None
    if recipe.machine.threads:
        os.environ.setdefault("OMP_NUM_THREADS", str(recipe.machine.threads))
    config = recipe.mix or MixConfig()
    wish = parse_wish(config.wish)  # one that reads wrong is told before anything runs
    check_wish(wish, recipe)
    found = measure(recipe, config, _shares(recipe, config), runs, default_progress(quiet))
    study = found.study
    fits = {language: fit(study, language, seed=recipe.seed) for language in study.base}
    answer = recommend(study, fits, wish, recipe.tokens.budget_tokens, level=config.level)
    share = round(answer.share, 3)
    result = as_result(
        study, fits, answer, wish=wish.text, tokens=recipe.tokens.budget_tokens,
        level=config.level, compute=found.compute(recipe),
        shares=shares_at(recipe.tokens.shares, recipe.target, recipe.source, share),
    )  # fmt: skip
    return write_answer(recipe, found, result, runs)


def _shares(recipe: Recipe, config: MixConfig) -> tuple[float, ...]:
    """The shares to try: those given, or as many as asked by the information criterion."""
    assert recipe.tokens is not None
    if config.shares:
        return config.shares
    from hanhua.mix.design import plan_runs

    others = set(recipe.tokens.shares) - {recipe.target, recipe.source}
    most = 1.0 - sum(recipe.tokens.shares[language] for language in others)
    return tuple(round(share * most, 4) for share in plan_runs(config.runs))


def check_wish(wish: Wish, recipe: Recipe) -> None:
    """Refuse a wish about a language that is not measured.

    Raises:
        UsageError: naming those that are.
    """
    if wish.language and wish.language not in (recipe.target, recipe.source):
        raise UsageError(
            "The wish names a language that is not measured.", where="mix.wish or --wish",
            found=wish.text, fix=f"name {recipe.target} or {recipe.source}",
        )  # fmt: skip


def _check(recipe: Recipe) -> None:
    """Refuse what cannot be mixed before anything runs.

    Raises:
        RecipeError: when a section or held-out text is missing.
        UsageError: when many processes were started.
    """
    from hanhua.core.ranks import started_ranks

    for section in ("corpus", "tokens", "pretrain"):
        if getattr(recipe, section) is None:
            raise RecipeError(
                "This recipe trains on no corpus, so there is nothing to mix.", where=section,
                found="absent", fix=f"add the section {section}",
            )  # fmt: skip
    assert recipe.corpus is not None
    if not recipe.corpus.held_out_docs:
        raise RecipeError(
            "No text is held out, so nothing can be measured.", where="corpus.held_out_docs",
            found=0, fix="set corpus.held_out_docs to a hundred or more",
        )  # fmt: skip
    if started_ranks() > 1:
        raise UsageError(
            "Small runs are made by one process.", where="torchrun", found=started_ranks(),
            fix="call hanhua mix without torchrun",
        )  # fmt: skip
