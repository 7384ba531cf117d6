"""The command ``mix``: small runs at several shares, a law, and a recipe with the share to take."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hanhua.cli import app, emit
from hanhua.cli.runs import Json, Quiet, RecipeArgument, Set
from hanhua.core.errors import RecipeError, UsageError

if TYPE_CHECKING:
    from hanhua.cli.mix_study import Found
    from hanhua.core.progress import Progress
    from hanhua.core.wish import Wish
    from hanhua.mix.config import MixConfig
    from hanhua.mix.fitted import Fitted
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
    jobs: Annotated[int | None, typer.Option(
        help="processes that the small runs are spread over")] = None,
    domains: Annotated[bool, typer.Option(
        "--domains", help="mix all languages and domains of tokens.shares")] = False,
    join: Annotated[list[Path] | None, typer.Option(
        help="folder of a finished study of another size (once for each): runs nothing")] = None,
    set_: Set = None,
    runs: Annotated[str, typer.Option(
        "--runs", help="folder that holds the runs; a whole number is taken as --ratios")] = "runs",
    quiet: Quiet = False, json_: Json = False,
) -> None:  # fmt: skip
    """Find the zh:en ratio by small runs on your own texts; writes a recipe that takes it."""
    from hanhua.mix.answer import text
    from hanhua.mix.domain_result import domain_text
    from hanhua.recipe import load_recipe

    if runs.isdecimal():
        ratios, runs = int(runs), "runs"
    named = None if shares is None else _numbers(shares)
    asked = {"wish": wish, "runs": ratios, "tokens": tokens, "shares": named, "jobs": jobs,
             "domains": domains or None,
             "join": [str(path.resolve()) for path in join] if join else None}  # fmt: skip
    more = [f"mix.{key}={_yaml(value)}" for key, value in asked.items() if value is not None]
    loaded = load_recipe(recipe, [*(set_ or ()), *more])
    found = _mix(loaded, Path(runs), quiet)
    told = domain_text if loaded.mix and loaded.mix.domains else text
    typer.echo(told(found), err=json_)
    files = found["files"]
    left = (f"{name}: {files[name]}" for name in ("page", "recipe") if name in files)
    typer.echo(", ".join(left), err=json_)
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
    from hanhua.cli.mix_answer import held_by_corpus, write_answer
    from hanhua.cli.mix_budget import answer_within
    from hanhua.cli.mix_domains import mix_domains, refuse_domains
    from hanhua.cli.mix_join import mix_joined
    from hanhua.core.progress import default_progress
    from hanhua.core.wish import parse_wish
    from hanhua.mix.config import MixConfig
    from hanhua.mix.rates import by_learning_rate

    _check(recipe)
    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    if recipe.machine.threads:
        os.environ.setdefault("OMP_NUM_THREADS", str(recipe.machine.threads))
    config = recipe.mix or MixConfig()
    wish = parse_wish(config.wish)  # one that reads wrong is told before anything runs
    check_wish(wish, recipe)
    if config.domains:
        return mix_domains(recipe, config, runs, default_progress(quiet))
    refuse_domains(recipe)
    if config.join:
        return mix_joined(recipe, config, wish, runs, default_progress(quiet))
    found, fits = _fitted(recipe, config, wish, runs, default_progress(quiet))
    own_rate = recipe.pretrain.learning_rate
    at_rates = by_learning_rate(found.study, fits, wish, own_rate, found.at_rates)
    recipe, result, notes = answer_within(
        recipe, held_by_corpus(recipe, found),
        lambda asked: _answer(asked, config, wish, found, fits, at_rates),
    )  # fmt: skip
    return write_answer(recipe, found, result, runs, notes)


def _answer(
    recipe: Recipe, config: MixConfig, wish: Wish, found: Found, fits: Mapping[str, Fitted],
    at_rates: Any,
) -> dict[str, Any]:  # fmt: skip
    """What the laws say of a run with the recipe's budget."""
    from hanhua.mix.answer import as_result
    from hanhua.mix.proxy import shares_at
    from hanhua.mix.recommend import recommend
    from hanhua.train.schedule import run_tokens

    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    tokens = run_tokens(recipe.pretrain, recipe.tokens.budget_tokens)
    answer = recommend(found.study, fits, wish, tokens, level=config.level)
    share = round(answer.share, 3)
    return as_result(
        found.study, fits, answer, wish=wish.text, tokens=tokens, level=config.level,
        compute=found.compute(recipe), at_rates=at_rates,
        shares=shares_at(recipe.tokens.shares, recipe.target, recipe.source, share),
    )  # fmt: skip


def _fitted(
    recipe: Recipe, config: MixConfig, wish: Wish, runs: Path, progress: Progress
) -> tuple[Found, dict[str, Fitted]]:
    """The small runs and their laws; with ``mix.refine`` once more, at the shares that tell most.

    The same small runs give the same laws and so the same shares: nothing is made twice.
    """
    from hanhua.cli.mix_study import measure
    from hanhua.mix.design import plan_more
    from hanhua.mix.fit import fit
    from hanhua.train.schedule import run_tokens

    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    shares = _shares(recipe, config)
    found = measure(recipe, config, shares, runs, progress)
    fits = {name: fit(found.study, name, seed=recipe.seed) for name in found.study.base}
    if not config.refine:
        return found, fits
    tokens = run_tokens(recipe.pretrain, recipe.tokens.budget_tokens)
    more = plan_more(config.refine, found.study, fits, wish, tokens, most=_most(recipe))
    progress.say(f"refined at {', '.join(f'{share:.3g}' for share in more)} {recipe.target}")
    found = measure(recipe, config, shares, runs, progress, more)
    return found, {name: fit(found.study, name, seed=recipe.seed) for name in found.study.base}


def _shares(recipe: Recipe, config: MixConfig) -> tuple[float, ...]:
    """The shares to try: those given, or as many as asked by the information criterion."""
    if config.shares:
        return config.shares
    from hanhua.mix.design import plan_runs

    return tuple(round(share * _most(recipe), 4) for share in plan_runs(config.runs))


def _most(recipe: Recipe) -> float:
    """The greatest share of the target that other languages leave."""
    assert recipe.tokens is not None
    others = set(recipe.tokens.shares) - {recipe.target, recipe.source}
    return 1.0 - sum(recipe.tokens.shares[language] for language in others)


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
