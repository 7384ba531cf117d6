"""Stage ``prefer``: teach the chat model which of two answers is the better one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from hanhua.core.errors import InputError
from hanhua.core.stage import Context, Result, Stage
from hanhua.train.estimate import estimate as estimate_training
from hanhua.train.prefer_config import PreferConfig

if TYPE_CHECKING:
    from pathlib import Path

    from hanhua.chat.pair_build import PairSet
    from hanhua.chat.template import Template
    from hanhua.tokens.pairs import PairRows
    from hanhua.train.loop import TrainResult

BYTES_PER_TOKEN = 3.5
PACKED = (".gz", ".zst", ".xz", ".parquet")


def run(context: Context[PreferConfig]) -> Result:
    """Read the pairs, measure the start, train, save, and measure the held-out pairs again."""
    from hanhua.model.checkpoint import set_template
    from hanhua.model.load import load_tokenizer
    from hanhua.tokens.pairs import PairRows
    from hanhua.train import parallel
    from hanhua.train.loop import train
    from hanhua.train.preference import Preference
    from hanhua.train.record import training_result
    from hanhua.train.save import load_to_train, save_trained
    from hanhua.train.watch import find_held_out

    source, config = context.inputs["model"].path / "model", context.config
    tokenizer = load_tokenizer(source)
    template = _template(config, tokenizer)
    model = load_to_train(source, config)
    found = _make_rows(context, tokenizer, model.config.vocab_size, template)
    parallel.wait_for_first()
    rows = PairRows.open(context.work / "pairs")
    held = context.work / "held_out"
    held_out = PairRows.open(held) if (held / "meta.json").is_file() else None
    corpus = context.inputs.get("corpus")
    watched = find_held_out(
        corpus.path if corpus else None, (context.target, context.source), tokenizer
    )
    result = train(
        model, rows, config, work=context.work, seed=context.seed, machine=context.machine,
        progress=context.progress, title="learning from pairs", held_out=watched, source=source,
        objective=Preference(config, context.progress, held_out),
    )  # fmt: skip
    if template is not None:
        set_template(model, tokenizer, template.stop)
    saved = save_trained(
        model, result, config, context.out, tokenizer_from=source,
        chat_template=template.jinja if template else None,
    )  # fmt: skip
    del model  # the tuned one is read again
    parallel.wait_for_first()
    scores = _scores(context, result, held_out.with_reference()) if held_out else {}
    done = training_result(result, saved, context.out)
    if found is None:
        return done
    return _result(context, done, found, rows, scores, template.name if template else "its own")


def _template(config: PreferConfig, tokenizer: Any) -> Template | None:
    """The template that is named, or the model's own; None for one that is not of the registry.

    Raises:
        ModelError: when none is named and the model has none.
    """
    from hanhua.chat.encode import template_of
    from hanhua.chat.template import get_template
    from hanhua.core.errors import ModelError

    if config.template is not None:
        return get_template(config.template)
    if not tokenizer.chat_template:
        raise ModelError(
            "This model has no chat template, so it is not known how to write a question and an "
            "answer down.", where=tokenizer.name_or_path,
            fix="tune it on conversations first (finetune), or name prefer.template",
        )  # fmt: skip
    return template_of(tokenizer)


def _make_rows(
    context: Context[PreferConfig], tokenizer: Any, vocab_size: int, template: Template | None
) -> PairSet | None:
    """Read, choose and encode the pairs; on the first process only."""
    from hanhua.chat.pair_build import gather_pairs
    from hanhua.core.errors import InputError
    from hanhua.core.files import write_json, write_text
    from hanhua.tokens.fates import told
    from hanhua.tokens.pairs import build_pair_rows
    from hanhua.train import parallel

    if not parallel.first():
        return None
    found = gather_pairs(context.config, context.source, context.seed, context.progress)
    build = partial(
        build_pair_rows, tokenizer, vocab_size, template=template,
        seq_len_tokens=context.config.seq_len_tokens, progress=context.progress,
    )  # fmt: skip
    meta = build(pairs=found.train, out=context.work / "pairs")
    room = context.config.seq_len_tokens
    if said := told(meta["pairs"], "pairs", "prefer.seq_len_tokens", room):
        context.progress.say(f"  {said}")
    if found.held_out:
        with suppress(InputError):  # none of them fits: nothing is measured
            build(pairs=found.held_out, out=context.work / "held_out")
    write_json(context.out / "ledger.json", found.ledger)
    write_text(context.out / "dropped.jsonl", "".join(f"{line}\n" for line in found.dropped))
    return found


def _scores(
    context: Context[PreferConfig], result: TrainResult, held_out: PairRows
) -> dict[str, Any]:
    """The held-out pairs before and after; all processes measure."""
    from hanhua.train.pair_scores import pair_scores
    from hanhua.train.preference import measure_pairs

    root = _saved(context, result, context.out / "model")
    micro = context.machine.micro_tokens(next(root.parameters()).is_cuda)
    after = measure_pairs(root, held_out, micro, context.progress).numpy()
    assert held_out.reference is not None
    languages = [held_out.row(i).language for i in range(len(held_out))]
    return pair_scores(held_out.reference, after, held_out.answer_tokens(), languages)


def _saved(context: Context[PreferConfig], result: TrainResult, folder: Path) -> Any:
    """The model that was saved, in the arithmetic of the training, shared where that was."""
    import torch

    from hanhua.model.load import load_model
    from hanhua.train import parallel
    from hanhua.train.fill import model_without_weights
    from hanhua.train.optim import DTYPES
    from hanhua.train.setup import set_up

    if parallel.size() == 1:
        model = load_model(folder, DTYPES[result.precision])
    else:
        model = model_without_weights(folder, torch.float32)
    plain = context.config.model_copy(update={"lora": None})
    return set_up(model, plain, result.precision, context.machine, context.seed, folder)


def _result(
    context: Context[PreferConfig], done: Result, found: PairSet, rows: PairRows,
    scores: Mapping[str, Any], template: str,
) -> Result:  # fmt: skip
    totals = found.ledger["totals"]
    counts = {
        "records": totals["in"], "pairs": rows.meta["pairs"], "rows": len(rows),
        "held_out": totals["held_out"], "dropped": sum(totals["dropped"].values()),
        "pairs_by_language": {
            name: count["rows"] for name, count in rows.meta["counts_by_language"].items()
        },
    }  # fmt: skip
    facts = {
        "method": context.config.method, "template": template, "shares": found.shares,
        "dropped": totals["dropped"], "held_out_pairs": dict(scores),
    }  # fmt: skip
    return Result(counts={**done.counts, **counts}, metrics={**done.metrics, **facts})


def estimate(config: PreferConfig, facts: Mapping[str, Any]) -> dict[str, Any]:
    """As for pretraining, with tokens guessed from the sizes of the files, if they are there yet.

    Measuring the held-out pairs before and after, a small part of them all, is left out.
    """
    row = {"seq_len_tokens": 2 * config.seq_len_tokens, "tokens": _guessed_tokens(config)}
    found = estimate_training(config, {**facts, **row})
    found.pop("steps", None)  # of pairs, whose number is not known
    return found


def _guessed_tokens(config: PreferConfig) -> int | None:
    from hanhua.core.artifact import outside_files

    try:
        files = [path for s in config.sources for path in outside_files(s.path, "prefer.sources")]
    except InputError:
        return None
    size = sum(path.stat().st_size * (3 if path.suffix in PACKED else 1) for path in files)
    return int(size / BYTES_PER_TOKEN)


STAGE = Stage(name="prefer", version=2, title="teach it which answer is better", run=run,
              estimate=estimate, together=True)  # fmt: skip
