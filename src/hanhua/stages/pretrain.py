"""Stage ``pretrain``: train the model on packed rows."""

from __future__ import annotations

from hanhua.core.stage import Context, Result, Stage
from hanhua.train.config import TrainConfig
from hanhua.train.estimate import estimate


def run(context: Context[TrainConfig]) -> Result:
    """Train, save, and read back what was saved."""
    from hanhua.core.files import read_json
    from hanhua.model.checkpoint import save_model
    from hanhua.model.load import load_model
    from hanhua.tokens.rows import PackedRows
    from hanhua.train.loop import train
    from hanhua.train.record import training_result

    source = context.inputs["model"].path
    grown = source / "rows.json"
    model = load_model(source / "model")
    result = train(
        model, PackedRows.open(context.inputs["tokens"].path / "rows"), context.config,
        work=context.work, seed=context.seed, machine=context.machine,
        progress=context.progress, title="pretraining",
        old_rows=int(read_json(grown)["old_rows"]) if grown.exists() else None,
    )  # fmt: skip
    saved = save_model(
        model, context.out / "model", weights=result.weights, tokenizer_from=source / "model"
    )
    return training_result(result, saved, context.out)


STAGE = Stage(name="pretrain", version=1, title="continue pretraining", run=run, estimate=estimate)
