"""The small runs of ``hanhua mix``: what they share is made once; a done run is not done again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanhua.cli.runs import quiet_libraries
from hanhua.core.progress import Silent

if TYPE_CHECKING:
    from hanhua.core.progress import Progress
    from hanhua.core.walk import Walk
    from hanhua.mix.config import MixConfig
    from hanhua.mix.points import Study
    from hanhua.mix.proxy import Made, Small
    from hanhua.recipe import Recipe

SHARED = ("base", "corpus", "vocab", "expand")
"""Stages that no share changes."""


@dataclass(frozen=True, slots=True)
class Found:
    """The small runs of a recipe, made.

    Args:
        study: what they measured.
        small: what was asked of each.
        made: what each left, in the same order.
        corpus: the artifact of the texts.
    """

    study: Study
    small: Sequence[Small]
    made: Sequence[Made]
    corpus: Path

    def compute(self, recipe: Recipe) -> dict[str, Any]:
        """What the small runs took, against the large one."""
        from hanhua.core.artifact import Artifact

        assert recipe.tokens is not None
        records = [Artifact.load(one.pretrain).record for one in self.made]
        tokens = sum(record["counts"]["tokens"] for record in records)
        return {
            "runs": len(records), "tokens": tokens,
            "of_large_run": tokens / recipe.tokens.budget_tokens,
            "seconds": round(sum(record["seconds"] for record in records), 1),
        }  # fmt: skip


def measure(
    recipe: Recipe, config: MixConfig, shares: Sequence[float], runs: Path, progress: Progress
) -> Found:
    """Make the small runs and read them.

    Args:
        recipe: the user's.
        config: its ``mix`` section.
        shares: of the target language.
        runs: folder that holds the runs; the small ones go to ``NAME-mix`` in it.
        progress: where to show it.

    Raises:
        HanhuaError: whatever a stage refuses; finished runs stay.
    """
    from hanhua.core.runner import run as run_walk
    from hanhua.core.walk import plan
    from hanhua.mix.proxy import Made, run_study

    small = [one for share in sorted(set(shares)) for one in _small(recipe, config, share)]
    quiet_libraries()
    corpus = _prepare(recipe, small_recipe(recipe, small[0]).walk(runs), runs, progress)
    made: list[Made] = []

    def run_one(one: Small) -> Made:
        walk = small_recipe(recipe, one).walk(runs)
        fresh = not all(step.done for step in plan(walk, "pretrain"))
        stages = run_walk(walk, progress if fresh else Silent(), until="pretrain")["stages"]
        folders = [walk.run_dir / stages[name]["path"] for name in ("tokens", "pretrain")]
        made.append(Made(folders[0], folders[1], fresh))
        return made[-1]

    study = run_study(small, run_one, target=recipe.target, source=recipe.source, progress=progress)
    share_artifacts(small_recipe(recipe, small[0]).walk(runs), recipe.walk(runs).run_dir)
    return Found(study, small, made, corpus)


def _small(recipe: Recipe, config: MixConfig, share: float) -> list[Small]:
    from hanhua.mix.proxy import shares_at, small_runs

    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    shares = shares_at(recipe.tokens.shares, recipe.target, recipe.source, share)
    return small_runs(recipe.tokens, recipe.pretrain, config, shares, recipe.target)


def small_recipe(recipe: Recipe, one: Small) -> Recipe:
    """The recipe of a small run: up to ``pretrain``, in the folder ``NAME-mix``."""
    after = dict.fromkeys(("chatdata", "finetune", "eval", "export", "mix"))
    name = f"{recipe.name}-mix"
    return recipe.model_copy(
        update={**after, "name": name, "tokens": one.tokens, "pretrain": one.training}
    )


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


def share_artifacts(walk: Walk, folder: Path) -> None:
    """Put finished artifacts of a walk that no share changes into another run folder too."""
    from hanhua.core.files import link_or_copy, storage_errors
    from hanhua.core.walk import plan

    for step in plan(walk, "pretrain"):
        place = folder / step.path.name
        if step.name not in SHARED or not step.done or place.exists():
            continue
        with storage_errors(folder):
            aside = folder / f".{place.name}.tmp"
            shutil.rmtree(aside, ignore_errors=True)
            shutil.copytree(step.path, aside, copy_function=link_or_copy)
            os.replace(aside, place)
