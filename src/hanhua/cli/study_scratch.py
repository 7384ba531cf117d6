"""The runs of ``hanhua study scratch``: both arms at each length; a done run is not done again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanhua.core.errors import RecipeError, UsageError
from hanhua.core.progress import default_progress, duration

if TYPE_CHECKING:
    from hanhua.core.progress import Progress
    from hanhua.core.walk import Walk
    from hanhua.mix.scratch import Run
    from hanhua.recipe import Recipe
    from hanhua.train.config import TrainConfig


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says.

    Args:
        tokens: of the longest run; None: the recipe's budget.
        lengths: how many, each half the next.
        seeds: how many orders of the rows and random weights.
        rate: peak learning rate of scratch; None: the recipe's.
    """

    tokens: int | None
    lengths: int
    seeds: int
    rate: float | None


@dataclass(frozen=True, slots=True)
class Job:
    """One run to make.

    Args:
        arm, draw, length: which.
        training: its section.
        walk: up to ``pretrain``.
        budget: tokens that it reads, about.
    """

    arm: str
    draw: int
    length: int
    training: TrainConfig
    walk: Walk
    budget: int


def run_study(recipe: Recipe, asked: Asked, runs: Path, quiet: bool) -> dict[str, Any]:
    """Make both arms, compare them, and write what came out.

    Args:
        recipe: the user's.
        asked: what of it.
        runs: folder that holds the runs; these go to ``NAME-scratch`` in it.
        quiet: no progress.

    Raises:
        RecipeError: when the recipe trains nothing, measures nothing, or starts from scratch.
        UsageError: when the shortest run would be hardly a step.
        HanhuaError: whatever a stage refuses; finished runs stay.
    """
    from hanhua.cli.study_answer import compute, notes, write
    from hanhua.mix.scratch import check_equal
    from hanhua.mix.scratch_answer import as_result

    check(recipe, asked)
    if recipe.machine.threads:
        os.environ.setdefault("OMP_NUM_THREADS", str(recipe.machine.threads))
    jobs = list(_jobs(recipe, asked, runs))
    measured = _make(recipe, jobs, runs, default_progress(quiet))
    check_equal(measured)
    result = as_result(
        measured, recipe.target, recipe.source, compute(recipe, jobs, measured),
        notes(recipe, asked.rate),
    )  # fmt: skip
    return write(result, runs / f"{recipe.name}-scratch", recipe.name)


def check(recipe: Recipe, asked: Asked) -> None:
    """Refuse what cannot be compared before anything runs.

    Raises:
        RecipeError: when a section, held-out text or the target is missing, or the base is scratch.
        UsageError: when many processes were started, or a learning rate is none.
    """
    from hanhua.core.ranks import started_ranks

    for section in ("corpus", "tokens", "pretrain"):
        if getattr(recipe, section) is None:
            raise RecipeError(
                "This recipe trains on no corpus, so there is nothing to compare.", where=section,
                found="absent", fix=f"add the section {section}",
            )  # fmt: skip
    assert recipe.corpus is not None
    assert recipe.tokens is not None
    if recipe.base.scratch is not None:
        raise RecipeError(
            "The base has random weights, so both arms would be the same.", where="base.scratch",
            fix="name a trained model as base.model",
        )  # fmt: skip
    if not recipe.corpus.held_out_docs:
        raise RecipeError(
            "No text is held out, so nothing can be measured.", where="corpus.held_out_docs",
            found=0, fix="set corpus.held_out_docs to a hundred or more",
        )  # fmt: skip
    if recipe.target not in {key.partition("/")[0] for key in recipe.tokens.shares}:
        raise RecipeError(
            f"The rows hold no {recipe.target}.", where="tokens.shares",
            found=", ".join(recipe.tokens.shares), fix=f"give {recipe.target} a share",
        )  # fmt: skip
    if asked.rate is not None and not 0 < asked.rate < float("inf"):
        raise UsageError(
            "A learning rate is above 0.", where="--scratch-learning-rate", found=asked.rate,
            fix="for example --scratch-learning-rate 2e-3",
        )  # fmt: skip
    if started_ranks() > 1:
        raise UsageError(
            "The runs of a study are made by one process.", where="torchrun",
            found=started_ranks(), fix="call hanhua study without torchrun",
        )  # fmt: skip


def _jobs(recipe: Recipe, asked: Asked, runs: Path) -> Iterator[Job]:
    """All runs, the shortest first and the arms in turn."""
    from hanhua.mix.config import MixConfig
    from hanhua.mix.scratch import ARMS, SCRATCH, lengths, scratch_training
    from hanhua.stages.study import arm_walk

    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    longest = asked.tokens or recipe.tokens.budget_tokens
    after = dict.fromkeys(("chatdata", "finetune", "prefer", "eval", "export", "mix"))
    mix = recipe.mix or MixConfig()
    each = lengths(recipe.tokens, recipe.pretrain, mix, longest, asked.lengths)
    for length, one in enumerate(each):
        for draw in range(asked.seeds):
            for arm in ARMS:
                anew = arm == SCRATCH
                training = scratch_training(one.training, asked.rate) if anew else one.training
                of_arm = recipe.model_copy(update={
                    **after, "name": f"{recipe.name}-scratch", "tokens": one.tokens,
                    "pretrain": training,
                })  # fmt: skip
                walk = arm_walk(of_arm.walk(runs), scratch=anew, draw=draw)
                yield Job(arm, draw, length, training, walk, one.budget)


def _make(recipe: Recipe, jobs: Sequence[Job], runs: Path, progress: Progress) -> list[Run]:
    """Make what is not made yet, and read all of it."""
    from hanhua.cli.mix_study import share_artifacts
    from hanhua.cli.runs import quiet_libraries
    from hanhua.core.runner import run as run_walk
    from hanhua.core.walk import plan
    from hanhua.mix.collect import check_corpus
    from hanhua.mix.scratch import read_arm

    quiet_libraries()
    first = jobs[0].walk
    share_artifacts(recipe.walk(runs), first.run_dir)
    ledger = run_walk(first, progress, until="corpus")
    check_corpus(first.run_dir / ledger["stages"]["corpus"]["path"], recipe.target, recipe.source)
    found, spent, read = [], 0.0, 0
    averaged = any(job.training.average is not None for job in jobs)
    for number, job in enumerate(jobs):
        left = sum(other.budget for other in jobs[number:])
        about = f", about {duration(spent / read * left)} left" if read else ""
        progress.say(
            f"run {number + 1} of {len(jobs)}: {job.arm}, {job.budget:,} tokens, "
            f"draw {job.draw}{about}"
        )
        began, steps = time.monotonic(), plan(job.walk, "pretrain")
        if all(step.done for step in steps):  # a walk that ends takes away what a kill left
            progress.say("      done before")
        else:
            run_walk(job.walk, progress, until="pretrain")
            spent, read = spent + time.monotonic() - began, read + job.budget
        found.append(read_arm(
            steps[-1].path, job.training, (recipe.target, recipe.source), arm=job.arm,
            draw=job.draw, length=job.length, averaged=averaged, machine=recipe.machine,
        ))  # fmt: skip
    share_artifacts(first, recipe.walk(runs).run_dir)
    return found
