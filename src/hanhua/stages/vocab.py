"""Stage ``vocab``: the base's tokenizer with pieces learnt from the target's text."""

from __future__ import annotations

from hanhua.core.stage import Context, Result, Stage
from hanhua.vocab.config import VocabConfig


def run(context: Context[VocabConfig]) -> Result:
    """Learn the pieces."""
    from hanhua.model.facts import rows_cost
    from hanhua.vocab.build import build_vocab

    return build_vocab(context, rows_cost(context.inputs["base"].path / "model"))


STAGE = Stage(name="vocab", version=4, title="learn new pieces", run=run)
