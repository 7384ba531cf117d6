"""Stage ``finetune``: train the model on conversations, and give it their template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hanhua.core.artifact import Artifact
from hanhua.core.stage import Context, Result, Stage
from hanhua.train.estimate import estimate as estimate_training
from hanhua.train.finetune_config import FinetuneConfig

if TYPE_CHECKING:
    from hanhua.chat.template import Template
    from hanhua.train.answers import HeldOutAnswers


def run(context: Context[FinetuneConfig]) -> Result:
    """Encode the conversations, train, save with the template, and read back what was saved."""
    from hanhua.chat.template import get_template
    from hanhua.model.checkpoint import set_template
    from hanhua.model.load import load_tokenizer
    from hanhua.tokens.rows import PackedRows
    from hanhua.train import parallel
    from hanhua.train.loop import train
    from hanhua.train.record import training_result
    from hanhua.train.save import load_to_train, save_trained
    from hanhua.train.watch import find_held_out

    source, chatdata = context.inputs["model"].path / "model", context.inputs["chatdata"]
    template = get_template(chatdata.metrics.get("template", "hanhua"))
    model, tokenizer = load_to_train(source, context.config), load_tokenizer(source)
    if parallel.first():
        _make_rows(context, tokenizer, model.config.vocab_size, template)
    parallel.wait_for_first()
    mixed = _text(context) is not None
    rows = PackedRows.open(context.work / ("mixed" if mixed else "rows"))
    corpus = context.inputs.get("corpus")
    held_out = find_held_out(
        corpus.path if corpus else None, (context.target, context.source), tokenizer
    )
    result = train(
        model, rows, context.config, work=context.work,
        seed=context.seed, machine=context.machine, progress=context.progress, title="finetuning",
        held_out=held_out, source=source, answers=_answers(context, tokenizer, template),
    )  # fmt: skip
    set_template(model, tokenizer, template.stop)
    saved = save_trained(
        model, result, context.config, context.out, tokenizer_from=source,
        chat_template=template.jinja,
    )  # fmt: skip
    done = training_result(result, saved, context.out)
    meta = PackedRows.open(context.work / "rows").meta
    counts = {"conversations": meta["conversations"], "rows": len(rows)}
    share = rows.meta["rehearsal"]["counted"] if mixed else 0.0
    facts = {"template": template.name, "rehearsal_share": share}
    return Result(counts={**done.counts, **counts}, metrics={**done.metrics, **facts})


def _make_rows(
    context: Context[FinetuneConfig], tokenizer: Any, vocab_size: int, template: Template
) -> None:
    """Encode the conversations, and mix pretraining text in where that is asked for."""
    from hanhua.tokens.conversations import build_chat_rows
    from hanhua.tokens.fates import told
    from hanhua.tokens.rehearsal import add_rehearsal
    from hanhua.tokens.rows import PackedRows

    longest, found = context.config.seq_len_tokens, _text(context)
    text = PackedRows.open(found.path / "rows") if found else None
    meta = build_chat_rows(
        tokenizer, vocab_size, context.inputs["chatdata"].path / "train.parquet", template,
        context.work / "rows", seq_len_tokens=longest, seed=context.seed,
        progress=context.progress, row_tokens=max(longest, text.seq_len_tokens if text else 0),
    )  # fmt: skip
    said = told(meta["conversations"], "conversations", "finetune.seq_len_tokens", longest)
    if said:
        context.progress.say(f"  {said}")
    if text is not None:
        add_rehearsal(
            PackedRows.open(context.work / "rows"), text, context.work / "mixed",
            share=context.config.rehearsal_share, seed=context.seed,
        )  # fmt: skip


def _answers(
    context: Context[FinetuneConfig], tokenizer: Any, template: Template
) -> HeldOutAnswers | None:
    """The held-out conversations to measure with, if they are to be measured."""
    from hanhua.train.answers import find_answers

    config = context.config
    if config.answers is None:
        return None
    return find_answers(
        context.inputs["chatdata"].path / "held_out.parquet", tokenizer, template,
        config.seq_len_tokens, config.answers.conversations,
    )  # fmt: skip


def _text(context: Context[FinetuneConfig]) -> Artifact | None:
    """The pretraining rows to rehearse, if any are."""
    return context.inputs.get("tokens") if context.config.rehearsal_share else None


def estimate(config: FinetuneConfig, facts: Mapping[str, Any]) -> dict[str, Any]:
    """As for pretraining, with the tokens of the conversations where they are known."""
    text = (facts.get("seq_len_tokens") or 0) if config.rehearsal_share else 0
    return estimate_training(config, {**facts, "seq_len_tokens": max(config.seq_len_tokens, text)})


STAGE = Stage(name="finetune", version=5, title="teach it to answer", run=run, estimate=estimate,
              together=True)  # fmt: skip
