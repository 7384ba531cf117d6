"""What ``hanhua study scratch`` leaves: the answer with what it took, and its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hanhua.cli.study_scratch import Job
    from hanhua.mix.scratch import Run
    from hanhua.recipe import Recipe


def compute(
    recipe: Recipe, jobs: Sequence[Job], measured: Sequence[Run]
) -> dict[str, dict[str, Any]]:
    """What the runs of each arm took: tokens, FLOPs that the shapes ask for, seconds."""
    found: dict[str, dict[str, Any]] = {}
    for job, run in zip(jobs, measured, strict=True):
        arm = found.setdefault(job.arm, {"tokens": 0, "flops": 0.0, "seconds": 0.0})
        each = _flops_a_token(recipe, job)
        arm["tokens"] += round(run.tokens)
        arm["seconds"] = round(arm["seconds"] + run.seconds, 1)
        arm["flops"] = None if each is None else arm["flops"] + each * run.tokens
    return found


def _flops_a_token(recipe: Recipe, job: Job) -> float | None:
    """None where the shapes of the base's kind aren't known."""
    from hanhua.core.walk import plan
    from hanhua.model.config import BaseConfig
    from hanhua.model.facts import base_facts
    from hanhua.train.cost.accelerators import accelerator
    from hanhua.train.cost.flops import flops
    from hanhua.train.estimate import job_of

    assert recipe.tokens is not None
    source = {node.stage.name: node.inputs for node in job.walk.nodes}["pretrain"]["model"]
    folder = next(s.path for s in plan(job.walk, "pretrain") if s.name == source)
    facts = base_facts(BaseConfig(model=str(folder / "model")))
    facts["seq_len_tokens"] = recipe.tokens.seq_len_tokens
    machine = recipe.machine
    device = accelerator(machine.accelerator, machine.device)
    costed = job_of(job.training, facts, machine, device)
    return None if costed is None else flops(costed).model


def notes(recipe: Recipe, rate: float | None) -> list[str]:
    """How the arms differ besides the weights that they begin with."""
    from hanhua.mix.scratch import left_out, scratch_training

    assert recipe.pretrain is not None
    own = scratch_training(recipe.pretrain, rate).learning_rate
    without = left_out(recipe.pretrain)
    said = [f"scratch trains all weights from its first step, peak learning rate {own:g}"]
    if rate is None:
        said[0] += ", the recipe's: another may suit it better (--scratch-learning-rate)"
    if without:
        said.append(f"left out for scratch: {', '.join(without)}")
    if recipe.pretrain.average is not None:
        said.append(
            "what is compared are the models that are saved (pretrain.average); moments on the way "
            "are of the weights in training"
        )
    keys = ("guard", "stop", "steer")
    off = [f"pretrain.{key}" for key in keys if getattr(recipe.pretrain, key, None) is not None]
    if off:
        said.append(f"both arms run without {', '.join(off)}")
    return said


def write(result: Mapping[str, Any], folder: Path, name: str) -> dict[str, Any]:
    """The answer and its page; the answer with their paths."""
    from hanhua.core.files import write_json
    from hanhua.report.scratch import PAGE, draw_scratch

    files = {"answer": str(folder / "scratch.json"), "page": str(folder / PAGE)}
    found = {**result, "files": files}
    write_json(folder / "scratch.json", found, sort_keys=False)
    draw_scratch(found, folder, name)
    return found
