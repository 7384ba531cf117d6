"""Stage ``base``: the model to start from, checked and brought into one form."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from hanhua.core.artifact import Artifact
from hanhua.core.stage import Context, Result, Stage
from hanhua.model.config import BaseConfig


def run(context: Context[BaseConfig]) -> Result:
    """Copy or make the base model."""
    from hanhua.model.base import make_base

    found = make_base(context.config, context.out / "model", context.seed)
    return Result(counts={"params": found["params"], "vocab": found["vocab"]}, metrics=found)


def check(
    config: BaseConfig, artifact: Artifact, *, templates: Collection[str], talks: bool
) -> None:
    """Refuse a chat template that the base's tokenizer cannot write, before anything is trained.

    No later stage gives a tokenizer special tokens, so what it lacks here it lacks after days of
    pretraining too.

    Args:
        config: of the stage.
        artifact: the base.
        templates: named by the recipe's later stages.
        talks: whether a stage needs the base's own template.

    Raises:
        ModelError: naming what the tokenizer lacks.
    """
    from hanhua.chat.encode import check_template, template_of
    from hanhua.chat.template import get_template
    from hanhua.model.load import load_tokenizer

    wanted = [found for found in map(get_template, templates) if found.needs or found.needs_bos]
    if not wanted and not talks:
        return  # an end token is all they need; loading a tokenizer for it would slow every run
    tokenizer = load_tokenizer(artifact.path / "model")
    for template in wanted:
        check_template(tokenizer, template)
    if talks:
        template_of(tokenizer)


def stage(templates: Collection[str] = (), talks: bool = False) -> Stage:
    """The stage for a recipe whose later stages use these templates (see :func:`check`)."""
    return Stage(
        name="base", version=1, title="bring the base model in", run=run,
        check=partial(check, templates=tuple(templates), talks=talks),
    )  # fmt: skip


STAGE = stage()
