"""Stage ``expand``: the base with rows for the new pieces."""

from __future__ import annotations

from hanhua.core.files import write_json
from hanhua.core.stage import Context, Result, Stage
from hanhua.model.config import ExpandConfig


def run(context: Context[ExpandConfig]) -> Result:
    """Add the rows, in the way that the section names or, for ``auto``, that measures best."""
    from hanhua.model.auxiliary import Texts
    from hanhua.model.load import facts, read_config
    from hanhua.train.pick_init import Expansion, expand

    corpus = context.inputs.get("corpus")
    texts = None
    if corpus is not None:
        limit = context.config.text_chars
        texts = Texts(corpus.path, context.target, context.source, limit)
    out = context.out / "model"
    rows = expand(
        Expansion(
            base=context.inputs["base"].path / "model",
            vocab=context.inputs["vocab"].path,
            out=out,
            work=context.work,
            config=context.config,
            seed=context.seed,
            texts=texts,
            machine=context.machine,
            progress=context.progress,
        )
    )
    write_json(context.out / "rows.json", rows)
    found = facts(read_config(out))
    counts = {name: rows[name] for name in ("old_rows", "new_rows", "padded_rows")}
    return Result(counts={**counts, "params": found["params"]}, metrics={**found, **rows})


STAGE = Stage(name="expand", version=2, title="give new pieces their rows", run=run)
"""Stage version 2: padding rows that training has taught never to come, corpus as an input."""
