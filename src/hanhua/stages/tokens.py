"""Stage ``tokens``: a corpus as packed rows in the asked shares."""

from __future__ import annotations

import os

from hanhua.core.errors import RecipeError
from hanhua.core.stage import Context, Result, Stage
from hanhua.tokens.config import TokensConfig
from hanhua.tokens.estimate import estimate


def run(context: Context[TokensConfig]) -> Result:
    """Encode, choose, pack and count."""
    from hanhua.core.files import read_json
    from hanhua.model.load import load_tokenizer, read_config
    from hanhua.model.supported import context_tokens
    from hanhua.tokens.build import build_rows

    folder = context.inputs["model"].path / "model"
    _check_context(context.config.seq_len_tokens, context_tokens(read_config(folder)))
    meta = build_rows(
        load_tokenizer(folder), int(read_json(folder / "config.json")["vocab_size"]),
        context.inputs["corpus"].path, context.config, context.out / "rows",
        seed=context.seed + context.config.order, progress=context.progress, work=context.work,
        workers=context.machine.workers or os.cpu_count() or 1,
    )  # fmt: skip
    tokens = sum(meta["tokens_by_language"].values())
    return Result(
        counts={
            "tokens": tokens, "tokens_by_language": meta["tokens_by_language"],
            "rows": meta["n_rows"], "documents": meta["documents"],
            "padding_tokens": meta["padding_tokens"],
            **({"spare_tokens": meta["spare_tokens"]} if "spare_tokens" in meta else {}),
        },
        metrics={
            "shares": meta["shares"],
            **({"domains": meta["domains"]} if "domains" in meta else {}),
            "padding_share": meta["padding_tokens"] / (meta["n_rows"] * meta["seq_len_tokens"]),
        },
    )  # fmt: skip


def _check_context(row: int, longest: int | None) -> None:
    """Refuse rows that can't be trained on, before they are made."""
    if longest is not None and row > longest:
        raise RecipeError(
            "The rows would be longer than the model's context.", where="tokens.seq_len_tokens",
            found=f"{row}, the model has {longest}",
            fix=f"set it to at most {longest}, or give the base a longer context (base.context)",
        )  # fmt: skip


STAGE = Stage(name="tokens", version=2, title="pack the corpus", run=run, estimate=estimate)
