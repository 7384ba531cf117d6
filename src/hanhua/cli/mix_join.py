"""``hanhua mix --join``: the answer for a size that was not run, from studies of other sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanhua.core.errors import RecipeError

if TYPE_CHECKING:
    from hanhua.core.progress import Progress
    from hanhua.core.wish import Wish
    from hanhua.mix.config import MixConfig
    from hanhua.mix.join import Joined
    from hanhua.recipe import Recipe


def mix_joined(
    recipe: Recipe, config: MixConfig, wish: Wish, runs: Path, progress: Progress
) -> dict[str, Any]:
    """Read the studies, fit one law over sizes, recommend, and write all of it.

    Args:
        recipe: the user's, with corpus, tokens and pretrain.
        config: its ``mix`` section.
        wish: read from it.
        runs: folder that holds the runs; the answer goes to ``NAME-mix`` in it.
        progress: where to show it.

    Raises:
        RecipeError: when the size of the recipe's model is not known.
        HanhuaError: when studies do not go together, or not with the recipe.
    """
    from hanhua.cli.mix_answer import write_result
    from hanhua.cli.mix_budget import answer_within
    from hanhua.mix.fit_size import fit_sizes
    from hanhua.mix.join import check_same, differences, read_studies
    from hanhua.mix.plain import short
    from hanhua.mix.setting import trained_by

    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    joined = read_studies([Path(folder) for folder in config.join], recipe.target, recipe.source)
    largest = joined.folders[max(joined.folders)]
    check_same(asked(recipe, config, runs), joined.setting, "the recipe", largest)
    size = _size(recipe, joined)
    progress.say(f"{', '.join(map(short, joined.studies))} joined; asked for {short(size)}")
    fits = {
        name: fit_sizes(joined.studies, name, seed=recipe.seed)
        for name in (recipe.target, recipe.source)
    }  # fmt: skip
    recipe, result, notes = answer_within(
        recipe, _held(joined, recipe),
        lambda asked: _answer(asked, config, wish, joined, size, fits),
    )  # fmt: skip
    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    training = trained_by(recipe.tokens, recipe.pretrain)
    notes = [*differences(joined, size, training), *_left_aside(config), *notes]
    return write_result(recipe, result, runs, notes)


OF_RUNS = (
    "refine",
    "seeds",
    "repeats",
    "learning_rates",
    "shares",
    "runs",
    "lengths",
    "ahead",
    "ahead_runs",
    "moments",
)
"""Keys that say which small runs are made."""


def _left_aside(config: MixConfig) -> Iterator[str]:
    keys = [f"mix.{key}" for key in OF_RUNS if key in config.model_fields_set]
    if keys:
        yield f"{', '.join(keys)}: of small runs, and none is made where studies are joined"


def asked(recipe: Recipe, config: MixConfig, runs: Path) -> dict[str, Any]:
    """What the recipe says of texts, tokenizer and measuring, without making anything."""
    from hanhua.core.walk import plan
    from hanhua.mix.setting import asked_of

    assert recipe.tokens is not None
    steps = {step.name: step for step in plan(recipe.walk(runs), "tokens")}
    vocab = steps["vocab"].identity if "vocab" in steps else None
    others = {
        name: share for name, share in recipe.tokens.shares.items()
        if name not in (recipe.target, recipe.source)
    }  # fmt: skip
    return asked_of(steps["corpus"].fingerprint, vocab, others, config, recipe.base)


def _size(recipe: Recipe, joined: Joined) -> float:
    from hanhua.mix.setting import size_of
    from hanhua.model.facts import why_unknown

    size = size_of(recipe.base, joined.setting)
    if size is None:
        raise RecipeError(
            "The size of the recipe's model is not known.", where="base.model",
            found=why_unknown(recipe.base), fix="ask for a base whose config.json tells its size",
        )  # fmt: skip
    return size


def _answer(
    recipe: Recipe, config: MixConfig, wish: Wish, joined: Joined, size: float,
    fits: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """What the law says of a run with the recipe's budget.

    As for one model, with the sizes besides; the points are those of the size itself.
    """
    from hanhua.mix.answer import as_result, sizes_result
    from hanhua.mix.proxy import shares_at
    from hanhua.mix.size_answer import recommend_at, study_at
    from hanhua.train.schedule import run_tokens

    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    tokens = run_tokens(recipe.pretrain, recipe.tokens.budget_tokens)
    answer, rows = recommend_at(joined.studies, fits, wish, tokens, size, level=config.level)
    study = study_at(joined.studies, fits, size)
    result = as_result(
        study, {name: fit.at(size) for name, fit in fits.items()}, answer, wish=wish.text,
        tokens=tokens, level=config.level, compute=_compute(joined, size, tokens),
        shares=shares_at(
            recipe.tokens.shares, recipe.target, recipe.source, round(answer.share, 3)
        ),
    )  # fmt: skip
    if not any(row.measured and row.parameters == size for row in rows):
        result["measured"]["points"] = []
    return result | {"sizes": sizes_result(joined, fits, size, rows)}


def _compute(joined: Joined, size: float, tokens: int) -> dict[str, Any]:
    """What the studies took; the part is of the large run's arithmetic, parameters times tokens."""
    took = {
        one: study.setting.get("compute", {"runs": 0, "tokens": 0})
        for one, study in joined.studies.items()
    }  # fmt: skip
    work = sum(one * found["tokens"] for one, found in took.items())
    return {
        "runs": sum(found["runs"] for found in took.values()),
        "tokens": sum(found["tokens"] for found in took.values()),
        "of_large_run": work / (size * tokens),
    }  # fmt: skip


def _held(joined: Joined, recipe: Recipe) -> dict[str, float]:
    """About how many tokens of each language the corpus holds, as far as the folders still say."""
    from hanhua.core.walk import FOLDER_DIGITS
    from hanhua.mix.collect import in_corpus

    assert recipe.tokens is not None
    found: dict[str, float] = {}
    name = f"corpus-{str(joined.setting.get('corpus', ''))[:FOLDER_DIGITS]}*/record.json"
    for folder in joined.folders.values():  # an older corpus may lie there too
        corpora = [path.parent for path in folder.glob(name)]
        rows = [path.parent for path in folder.glob("tokens-*/record.json")]
        for language in recipe.tokens.shares:
            each = [in_corpus(one, corpora[0], language) for one in rows if corpora]
            found[language] = max([found.get(language, 0.0), *each])
    return found
