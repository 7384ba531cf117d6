"""Stage ``base``: the model to start from, checked and brought into one form."""

from __future__ import annotations

from hanhua.core.stage import Context, Result, Stage
from hanhua.model.config import BaseConfig


def run(context: Context[BaseConfig]) -> Result:
    """Copy or make the base model."""
    from hanhua.model.base import make_base

    found = make_base(context.config, context.out / "model", context.seed)
    return Result(counts={"params": found["params"], "vocab": found["vocab"]}, metrics=found)


STAGE = Stage(name="base", version=1, title="bring the base model in", run=run)
