"""Stage ``export``: the last model of the walk as a folder for others, with a model card."""

from __future__ import annotations

from hanhua.core.stage import Context, Result, Stage
from hanhua.export.config import ExportConfig


def run(context: Context[ExportConfig]) -> Result:
    """Write ``hf/``, read it back, compare, and describe it."""
    from hanhua.core.files import write_text
    from hanhua.export.card import CardFacts, gather, render_card
    from hanhua.export.huggingface import describe, export_hf

    model = context.inputs["model"].path / "model"
    folder = context.out / "hf"
    with context.progress.bar("exporting", None, "model"):
        counts = export_hf(model, folder, context.config)
    described = describe(folder, counts)
    base = context.inputs.get("base")
    if base and (longer := base.metrics.get("lengthened")):
        how = f"{longer['from_tokens']:,} in the base, lengthened by {longer['method']}"
        described["model"]["context"] += f" ({how})"
    facts = CardFacts(
        target=context.target, source=context.source, licence=context.config.licence,
        **described, **gather(context.inputs),
    )  # fmt: skip
    card = folder / "README.md"
    write_text(card, render_card(facts))
    card.chmod(0o644)
    return Result(counts=counts, metrics={"identical_to_source": True})


STAGE = Stage(name="export", version=1, title="write a folder for others", run=run)
