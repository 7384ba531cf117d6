"""Stage ``tokens``: a corpus as packed rows in the asked shares."""

from __future__ import annotations

import os

from hanhua.core.stage import Context, Result, Stage
from hanhua.tokens.config import TokensConfig
from hanhua.tokens.estimate import estimate


def run(context: Context[TokensConfig]) -> Result:
    """Encode, choose, pack and count."""
    from hanhua.core.files import read_json
    from hanhua.model.load import load_tokenizer
    from hanhua.tokens.build import build_rows

    folder = context.inputs["model"].path / "model"
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
        },
        metrics={
            "shares": meta["shares"],
            **({"domains": meta["domains"]} if "domains" in meta else {}),
            "padding_share": meta["padding_tokens"] / (meta["n_rows"] * meta["seq_len_tokens"]),
        },
    )  # fmt: skip


STAGE = Stage(name="tokens", version=2, title="pack the corpus", run=run, estimate=estimate)
