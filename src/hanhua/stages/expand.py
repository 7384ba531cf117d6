"""Stage ``expand``: the base with rows for the new pieces."""

from __future__ import annotations

from hanhua.core.files import write_json
from hanhua.core.stage import Context, Result, Stage
from hanhua.model.config import ExpandConfig


def run(context: Context[ExpandConfig]) -> Result:
    """Add the rows."""
    from hanhua.model.load import facts, read_config
    from hanhua.model.rows import expand_model

    base = context.inputs["base"].path / "model"
    out = context.out / "model"
    rows = expand_model(base, context.inputs["vocab"].path, out, context.config, context.seed)
    write_json(context.out / "rows.json", rows)
    found = facts(out, read_config(out))
    counts = {name: rows[name] for name in ("old_rows", "new_rows", "padded_rows")}
    return Result(counts={**counts, "params": found["params"]}, metrics={**found, **rows})


STAGE = Stage(name="expand", version=1, title="give new pieces their rows", run=run)
