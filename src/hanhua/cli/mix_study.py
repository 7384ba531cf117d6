"""The small runs of ``hanhua mix``: what they share is made once; a done run is not done again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanhua.cli.runs import quiet_libraries
from hanhua.core.progress import Silent

if TYPE_CHECKING:
    from hanhua.core.progress import Progress
    from hanhua.core.walk import Walk
    from hanhua.mix.config import MixConfig
    from hanhua.mix.points import Point, Study
    from hanhua.mix.proxy import Made, Small
    from hanhua.recipe import Recipe
    from hanhua.train.config import TrainConfig

SHARED = ("base", "corpus", "vocab", "expand")
"""Stages that no share changes."""


@dataclass(frozen=True, slots=True)
class Found:
    """The small runs of a recipe, made.

    Args:
        study: what they measured.
        at_rates: learning rate that is not the recipe's -> ends of the runs made with it.
        small: what was asked of each.
        made: what each left, in the same order.
        corpus: the artifact of the texts.
    """

    study: Study
    at_rates: Mapping[float, Sequence[Point]]
    small: Sequence[Small]
    made: Sequence[Made]
    corpus: Path

    def compute(self, recipe: Recipe) -> dict[str, Any]:
        """What the small runs took, against the large one."""
        from hanhua.core.artifact import Artifact
        from hanhua.train.schedule import run_tokens

        assert recipe.tokens is not None
        assert recipe.pretrain is not None
        records = [Artifact.load(one.pretrain).record for one in self.made]
        tokens = sum(record["counts"]["tokens"] for record in records)
        return {
            "runs": len(records), "tokens": tokens,
            "of_large_run": tokens / run_tokens(recipe.pretrain, recipe.tokens.budget_tokens),
            "seconds": round(sum(record["seconds"] for record in records), 1),
        }  # fmt: skip


def measure(
    recipe: Recipe, config: MixConfig, shares: Sequence[float], runs: Path, progress: Progress,
    more: Sequence[float] = (),
) -> Found:  # fmt: skip
    """Make the small runs and read them.

    Args:
        recipe: the user's.
        config: its ``mix`` section.
        shares: of the target language.
        runs: folder that holds the runs; the small ones go to ``NAME-mix`` in it.
        progress: where to show it.
        more: shares besides, at which no other learning rate is tried.

    Raises:
        HanhuaError: whatever a stage refuses; finished runs stay.
    """
    small = [
        one for share in sorted({*shares, *more}) for seed in range(config.seeds)
        for one in runs_of_share(recipe, config, share, seed)
    ]  # fmt: skip
    middle = sorted(shares)[len(shares) // 2]
    for seed in range(1, config.repeats + 1 if config.seeds == 1 else 1):
        small.append(runs_of_share(recipe, config, middle, seed)[-1])
    small += _ahead(recipe, config, sorted(shares))
    small += _at_rates(recipe, config, shares)
    return make_all(recipe, config, small, runs, progress)


def make_all(
    recipe: Recipe, config: MixConfig, small: Sequence[Small], runs: Path, progress: Progress
) -> Found:
    """Make what the runs share, the runs, and the study; none of it twice.

    Args:
        recipe: the user's.
        config: its ``mix`` section.
        small: which runs.
        runs: folder that holds the runs.
        progress: where to show it.

    Raises:
        HanhuaError: whatever a stage refuses; finished runs stay.
    """
    from hanhua.cli.mix_jobs import Job, make_apart
    from hanhua.mix.proxy import run_study

    quiet_libraries()
    corpus = _prepare(recipe, small_recipe(recipe, small[0]).walk(runs), runs, progress)
    if config.jobs > 1:
        jobs = [
            Job(small_recipe(recipe, one), one.title(recipe.target), one.budget) for one in small
        ]
        make_apart(jobs, runs, config.jobs, progress)
        progress = Silent()  # what follows only reads
    made: list[Made] = []

    def run_one(one: Small) -> Made:
        made.append(make_one(small_recipe(recipe, one).walk(runs), progress))
        return made[-1]

    study, at_rates = run_study(
        small, run_one, target=recipe.target, source=recipe.source, progress=progress,
        machine=recipe.machine,
    )  # fmt: skip
    share_artifacts(small_recipe(recipe, small[0]).walk(runs), recipe.walk(runs).run_dir)
    found = Found(study, at_rates, small, made, corpus)
    return replace(found, study=replace(study, setting=_setting(recipe, config, found, runs)))


def _setting(recipe: Recipe, config: MixConfig, found: Found, runs: Path) -> dict[str, Any]:
    """What the study was made with, for joining it with studies of other sizes."""
    from hanhua.cli.mix_join import asked
    from hanhua.mix.setting import setting_of

    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    told = setting_of(
        found.made[0].pretrain / "model", asked(recipe, config, runs), recipe.tokens,
        recipe.pretrain,
    )  # fmt: skip
    compute = found.compute(recipe)
    return {**told, "compute": {"runs": compute["runs"], "tokens": compute["tokens"]}}


def make_one(walk: Walk, progress: Progress) -> Made:
    """Make a small run, or find it; what a process of many left of it is taken up."""
    from hanhua.cli.mix_jobs import keep_part
    from hanhua.core.runner import alone
    from hanhua.core.runner import run as run_walk
    from hanhua.core.walk import plan
    from hanhua.mix.proxy import Made

    with alone(walk.run_dir):
        keep_part(walk.run_dir, plan(walk, "pretrain")[-1].path.name)
    paths = {step.name: step for step in plan(walk, "pretrain")}
    fresh = not all(step.done for step in paths.values())
    if fresh:  # a walk that ends takes away what a kill left of another
        run_walk(walk, progress, until="pretrain")
    folders = [paths[name].path for name in ("tokens", "pretrain")]
    return Made(folders[0], folders[1], fresh)


def runs_of_share(recipe: Recipe, config: MixConfig, share: float, seed: int) -> list[Small]:
    """The small runs of one share of the target language, the shortest first.

    Args:
        recipe: the user's.
        config: how long they are and how they are measured.
        share: of the target language.
        seed: of the documents' order, counted from the recipe's.

    Raises:
        UsageError: when there is no such share or length.
    """
    from hanhua.mix.proxy import shares_at, small_runs

    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    shares = shares_at(recipe.tokens.shares, recipe.target, recipe.source, share)
    return small_runs(recipe.tokens, recipe.pretrain, config, shares, recipe.target, seed)


def _ahead(recipe: Recipe, config: MixConfig, shares: Sequence[float]) -> list[Small]:
    """The runs that go further than the others, if there are to be any."""
    from hanhua.mix.proxy import further, run_ahead, shares_at

    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    mixtures = [
        shares_at(recipe.tokens.shares, recipe.target, recipe.source, share)
        for share in further(shares, config.ahead_runs)
    ]  # fmt: skip
    found = [
        run_ahead(recipe.tokens, recipe.pretrain, config, mixture, recipe.target)
        for mixture in mixtures
    ]  # fmt: skip
    return [one for one in found if one is not None]


def _at_rates(recipe: Recipe, config: MixConfig, shares: Sequence[float]) -> list[Small]:
    """Runs at the learning rates besides the recipe's."""
    from hanhua.mix.proxy import shares_at
    from hanhua.mix.rates import at_rate, three_of

    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    rates = sorted({*config.learning_rates} - {recipe.pretrain.learning_rate})
    mixtures = [
        shares_at(recipe.tokens.shares, recipe.target, recipe.source, share)
        for share in three_of(shares)
    ]  # fmt: skip
    return [
        at_rate(recipe.tokens, recipe.pretrain, config, mixture, recipe.target, rate)
        for rate in rates for mixture in mixtures
    ]  # fmt: skip


def small_recipe(recipe: Recipe, one: Small) -> Recipe:
    """The recipe of a small run: up to ``pretrain``, in the folder ``NAME-mix``."""
    after = dict.fromkeys(("chatdata", "finetune", "prefer", "eval", "export", "mix"))
    name, training = f"{recipe.name}-mix", _scaled(recipe, one)
    return recipe.model_copy(
        update={**after, "name": name, "tokens": one.tokens, "pretrain": training}
    )


def _scaled(recipe: Recipe, one: Small) -> TrainConfig:
    """The training of a small run."""
    from hanhua.mix.proxy import scaled_average
    from hanhua.train.schedule import run_tokens

    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    large = run_tokens(recipe.pretrain, recipe.tokens.budget_tokens)
    return scaled_average(one.training, one.budget / large)


def _prepare(recipe: Recipe, walk: Walk, runs: Path, progress: Progress) -> Path:
    """Make what all small runs share, or take it from the recipe's own run; the corpus's path."""
    from hanhua.core.runner import run as run_walk
    from hanhua.mix.collect import check_corpus

    share_artifacts(recipe.walk(runs), walk.run_dir)
    ledger = run_walk(walk, progress, until="corpus")
    corpus: Path = walk.run_dir / ledger["stages"]["corpus"]["path"]
    check_corpus(corpus, recipe.target, recipe.source)
    if recipe.vocab is not None:
        run_walk(walk, progress, until="expand")
    return corpus


def share_artifacts(walk: Walk, folder: Path, more: Sequence[str] = ()) -> None:
    """Put finished artifacts of a walk that no share changes into another run folder too.

    Args:
        walk: which; with ``pretrain``.
        folder: of the other run.
        more: stages besides whose artifacts are wanted there.
    """
    from hanhua.core.files import link_or_copy, storage_errors
    from hanhua.core.walk import plan

    for step in plan(walk, "pretrain"):
        place = folder / step.path.name
        if step.name not in (*SHARED, *more) or not step.done or place.exists():
            continue
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            aside = folder / f".{place.name}.tmp"
            shutil.rmtree(aside, ignore_errors=True)
            shutil.copytree(step.path, aside, copy_function=link_or_copy)
            os.replace(aside, place)
