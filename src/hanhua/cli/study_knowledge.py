"""The runs of ``hanhua study knowledge``: every arm in every draw; a done run is not done again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanhua.cli.study_knowledge_asked import Asked, check
from hanhua.core.progress import default_progress, duration

if TYPE_CHECKING:
    from hanhua.core.progress import Progress
    from hanhua.core.walk import Walk
    from hanhua.mix.knowledge_answer import Run
    from hanhua.recipe import Recipe
    from hanhua.stages.knowledge import InjectConfig
    from hanhua.train.config import TrainConfig

ROW_TARGETS = 256
"""Tokens learnt from a row, where a step has so many."""
TOKENS_A_FACT = 1000
"""Learnt tokens of a run for each fact, where nothing else is asked for."""
PEOPLE = 20
"""About whom facts are invented, five each."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run to make.

    Args:
        arm, draw: which.
        walk: up to ``ask``.
        injected: section of its rows; None for the base.
    """

    arm: str
    draw: int
    walk: Walk
    injected: InjectConfig | None


def run_study(recipe: Recipe, asked: Asked, runs: Path, quiet: bool) -> dict[str, Any]:
    """Make all arms, compare them, and write what came out.

    Args:
        recipe: the user's.
        asked: what of it.
        runs: folder that holds the runs; these go to ``NAME-knowledge`` in it.
        quiet: no progress.

    Raises:
        RecipeError: when the recipe has no rows, or no held-out text.
        UsageError: when a number is out of range.
        InputError: for a mistake in the file of facts, before anything runs.
        HanhuaError: whatever a stage refuses; finished runs stay.
    """
    from hanhua.core.files import write_json
    from hanhua.mix.knowledge_answer import as_result, check_equal
    from hanhua.mix.knowledge_file import load_facts

    check(recipe, asked)
    languages, folder = (recipe.target, recipe.source), runs / f"{recipe.name}-knowledge"
    if asked.facts is not None:
        load_facts(asked.facts, languages)
    if recipe.machine.threads:
        os.environ.setdefault("OMP_NUM_THREADS", str(recipe.machine.threads))
    file = asked.facts or _invent(recipe, asked, folder)
    facts = load_facts(file, languages)
    jobs = list(_jobs(recipe, asked, runs, file, len(facts)))
    made = _make(recipe, jobs, runs, default_progress(quiet))
    check_equal(made)
    kinds = {fact.id: fact.kind for fact in facts}
    result = as_result(made, *languages, kinds, _notes(recipe, asked))
    result["files"] = {"answer": str(folder / "knowledge.json"), "facts": str(file)}
    write_json(folder / "knowledge.json", result, sort_keys=False)
    return result


def _invent(recipe: Recipe, asked: Asked, folder: Path) -> Path:
    """Facts as a file: in the built-in world's people for its model, else about invented ones."""
    from hanhua.core.files import storage_errors, write_text
    from hanhua.demo.knowledge import invented_facts, world_facts
    from hanhua.demo.run import demo_recipe_path
    from hanhua.mix.knowledge_file import as_line

    built_in = recipe.base.model == str(demo_recipe_path().parent / "tiny-en")
    facts = world_facts(recipe.seed) if built_in else invented_facts(PEOPLE, recipe.seed)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "facts.jsonl", "".join(map(as_line, facts)))
    return folder / "facts.jsonl"


def studied(recipe: Recipe, asked: Asked, runs: Path) -> Walk:
    """The walk up to the rows and the model that is studied."""
    from hanhua.model.config import BaseConfig
    from hanhua.recipe import section_from

    after = dict.fromkeys(("chatdata", "finetune", "prefer", "eval", "export", "mix"))
    recipe = recipe.model_copy(update={**after, "name": f"{recipe.name}-knowledge"})
    if asked.model is None:
        return recipe.walk(runs)
    base = section_from(BaseConfig, "base", [f"model={json.dumps(asked.model)}"])
    walk = recipe.model_copy(update={"base": base, "vocab": None, "expand": None}).walk(runs)
    return replace(walk, nodes=[node for node in walk.nodes if node.stage.name != "pretrain"])


def training(recipe: Recipe, rate: float | None) -> TrainConfig:
    """The recipe's section as the arms train: one phase, all weights, no step passed over."""
    from hanhua.train.config import PhaseConfig

    assert recipe.pretrain is not None
    last = recipe.pretrain.phases[-1].learning_rate or recipe.pretrain.learning_rate
    off = dict.fromkeys(("steps", "stop", "guard", "steer", "watch"))
    return recipe.pretrain.model_copy(update={
        **off, "learning_rate": rate or last, "phases": (PhaseConfig(),), "epochs": 1.0,
        "new_rows_lr_scale": 1.0,
    })  # fmt: skip


def _jobs(recipe: Recipe, asked: Asked, runs: Path, file: Path, facts: int) -> Iterator[Job]:
    """The base, and the arms in turn for each draw."""
    from hanhua.mix.config import MixConfig
    from hanhua.mix.knowledge import ARMS, BASE
    from hanhua.stages.knowledge import AskConfig, InjectConfig, arm_walk

    walk, section = studied(recipe, asked, runs), training(recipe, asked.rate)
    row_targets = min(ROW_TARGETS, section.batch_tokens)
    a_step = section.batch_tokens // row_targets * row_targets
    steps = max(round((asked.tokens or TOKENS_A_FACT * facts) / a_step), 1)
    rows = steps * a_step // row_targets
    if rows % 2:
        rows += a_step // row_targets
    mix = recipe.mix or MixConfig()
    path = str(file.resolve())
    questions = AskConfig(file=path, docs=mix.docs, max_chars_per_doc=mix.max_chars_per_doc)
    yield Job(BASE, 0, arm_walk(walk, questions), None)
    for draw in range(asked.seeds):
        for arm in ARMS:
            one = InjectConfig.model_validate({
                "file": path, "arm": arm, "draw": draw, "share": asked.share, "rows": rows,
                "row_targets": row_targets,
            })  # fmt: skip
            yield Job(arm, draw, arm_walk(walk, questions, one, section), one)


def _make(recipe: Recipe, jobs: Sequence[Job], runs: Path, progress: Progress) -> list[Run]:
    """Make what is not made yet, and read all of it."""
    from hanhua.cli.mix_study import share_artifacts
    from hanhua.cli.runs import quiet_libraries
    from hanhua.core.runner import run as run_walk
    from hanhua.core.walk import plan
    from hanhua.stages.knowledge import deal

    quiet_libraries()
    first = jobs[0].walk
    share_artifacts(recipe.walk(runs), first.run_dir, ("tokens", "pretrain"))
    found, spent, fresh_runs = [], 0.0, 0
    languages = (recipe.target, recipe.source)
    told = [deal(job.injected, languages, recipe.seed).told for job in jobs if job.injected]
    for number, job in enumerate(jobs):
        left = spent / fresh_runs * (len(jobs) - number) if fresh_runs else 0.0
        about = f", about {duration(left)} left" if left else ""
        progress.say(f"run {number + 1} of {len(jobs)}: {job.arm}, draw {job.draw}{about}")
        began, steps = time.monotonic(), plan(job.walk, "ask")
        if all(step.done for step in steps):  # a walk that ends takes away what a kill left
            progress.say("      done before")
        else:
            run_walk(job.walk, progress, until="ask")
            if number:
                spent, fresh_runs = spent + time.monotonic() - began, fresh_runs + 1
        own = told[number - 1] if number else {}
        found.append(_read(job, {step.name: step.path for step in steps}, own, languages))
    base, arms = found[0], found[1:]
    draws = {run.draw: run.told for run in arms}
    return [*(replace(base, draw=draw, told=own) for draw, own in draws.items()), *arms]


def _read(
    job: Job, paths: Mapping[str, Path], told: Mapping[str, str], languages: tuple[str, str]
) -> Run:
    """What one run left."""
    from hanhua.core.artifact import Artifact, check_whole
    from hanhua.eval.bits_per_byte import TextScore
    from hanhua.eval.items import read_as
    from hanhua.mix.knowledge_answer import Run
    from hanhua.mix.knowledge_ask import Answer

    folder = paths["ask"]
    check_whole(Artifact.load(folder))
    answers = read_as(Answer, folder / "answers.jsonl")
    bits = {name: read_as(TextScore, folder / f"bits-{name}.jsonl") for name in languages}
    if job.injected is None:
        return Run(job.arm, job.draw, answers, bits, told, {}, {})
    rows, learnt = (Artifact.load(paths[name]) for name in ("inject", "learn"))
    counts = {"learnt": learnt.counts["targets"], "read": rows.counts["read"],
              "steps": learnt.counts["steps"], "seconds": learnt.record["seconds"]}  # fmt: skip
    return Run(job.arm, job.draw, answers, bits, told, counts, rows.metrics["told"])


def _notes(recipe: Recipe, asked: Asked) -> list[str]:
    """What a reader must know of the arms."""
    assert recipe.pretrain is not None
    section = training(recipe, asked.rate)
    notes = [
        f"every arm trains all weights, one phase, peak learning rate {section.learning_rate:g}; "
        f"{asked.share:.0%} of the learnt tokens tell facts and lessons, the rest is the recipe's "
        "rows",
        "of a question with its answer only the answer is learnt; equal learnt tokens are more "
        "read ones for instructions",
    ]
    if asked.seeds == 1:
        notes.append("one draw: the luck of a run is in no interval (--seeds 3)")
    keys = ("guard", "stop", "steer")
    off = [f"pretrain.{key}" for key in keys if getattr(recipe.pretrain, key, None) is not None]
    if off:
        notes.append(f"all arms run without {', '.join(off)}")
    return notes
