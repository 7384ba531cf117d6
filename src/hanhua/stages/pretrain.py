"""Stage ``pretrain``: train the model on packed rows."""

from __future__ import annotations

from hanhua.core.stage import Context, Result, Stage
from hanhua.train.config import TrainConfig
from hanhua.train.estimate import estimate


def run(context: Context[TrainConfig]) -> Result:
    """Train, save, and read back what was saved."""
    from hanhua.core.files import read_json
    from hanhua.model.load import load_tokenizer
    from hanhua.tokens.rows import PackedRows
    from hanhua.train.loop import train
    from hanhua.train.record import training_result
    from hanhua.train.save import load_to_train, save_trained
    from hanhua.train.watch import find_held_out

    source = context.inputs["model"].path
    grown = source / "rows.json"
    model, lora = load_to_train(source / "model", context.config), context.config.lora
    if grown.exists() and lora is not None and not lora.embeddings:
        context.progress.say("  new rows stay as they started: pretrain.lora.embeddings is false")
    corpus, folder = context.inputs.get("corpus"), context.inputs["tokens"].path / "rows"
    result = train(
        model, PackedRows.open(folder), context.config,
        work=context.work, seed=context.seed, machine=context.machine,
        progress=context.progress, title="pretraining",
        old_rows=int(read_json(grown)["old_rows"]) if grown.exists() else None,
        held_out=find_held_out(
            corpus.path if corpus else None, (context.target, context.source),
            load_tokenizer(source / "model"),
        ),
        source=source / "model", languages=(context.target, context.source),
        spare=PackedRows.open_spare(folder),
    )  # fmt: skip
    saved = save_trained(
        model, result, context.config, context.out, tokenizer_from=source / "model"
    )
    return training_result(result, saved, context.out)


STAGE = Stage(
    name="pretrain", version=2, title="continue pretraining", run=run, estimate=estimate,
    together=True,
)  # fmt: skip
