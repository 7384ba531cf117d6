"""From a corpus to packed rows in the asked shares: encode, choose, pack, interleave, count.

A row holds one language only. The mixture of every stretch of training is then exact to a row,
the loss of each language costs nothing to know, and best-fit finds its small documents within
one language well enough (padding is measured and written down).

Neither texts nor tokens are held in memory: documents are encoded into files, chosen and packed
by their lengths, and copied together. What grows with the corpus is a table of about twenty bytes
for each chosen document, of one language at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hanhua.core.progress import Bar, Progress
from hanhua.text.domains import has_domains, language_of
from hanhua.text.shards import share_files
from hanhua.tokens.choose import Job, encode_enough, encode_group
from hanhua.tokens.config import TokensConfig
from hanhua.tokens.crew import Crew
from hanhua.tokens.encode import DocumentEncoder
from hanhua.tokens.gather import Planned, write_rows
from hanhua.tokens.ids_file import Documents, Encoded, IdsFile
from hanhua.tokens.mixture import by_language, check_domains, check_shares, take
from hanhua.tokens.pack import pack
from hanhua.tokens.permutation import Permutation
from hanhua.tokens.row_plan import Planner, RowPlan
from hanhua.tokens.rows import RowsWriter, spare_folder
from hanhua.tokens.rows_writer import ids_dtype
from hanhua.tokens.source import read_groups


def build_rows(
    tokenizer: Any, vocab_size: int, corpus: Path, config: TokensConfig, out: Path, *, seed: int,
    progress: Progress, work: Path | None = None, workers: int = 1,
) -> Mapping[str, Any]:  # fmt: skip
    """Write the packed rows of a corpus.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        vocab_size: rows of the model's embedding.
        corpus: a corpus artifact.
        config: the recipe's ``tokens`` section.
        out: folder to write.
        seed: the recipe's.
        progress: where to show it.
        work: a folder for encoded documents, of about the size of the rows; what an earlier,
            killed go with the same arguments left in it is taken up. None: a temporary one.
        workers: processes that encode; they change nothing but the time.

    Returns:
        The rows' meta, with ``shares`` asked and counted of each language, and ``domains`` the
        same of each key of the shares where any of them names a domain.

    Raises:
        MixtureError: when the corpus cannot fill the shares.
        InputError: when a shard can't be read.
        ModelError: when the tokenizer and the model don't fit together.
        ResourceError: when a worker is killed.
    """
    with ExitStack() as stack:
        if work is None:
            out.parent.mkdir(parents=True, exist_ok=True)
            temporary = TemporaryDirectory(dir=out.parent, prefix=".tokens-")
            work = Path(stack.enter_context(temporary))
        keys = sorted(key for key, share in config.shares.items() if share > 0)
        check_domains(keys, config.shares, corpus)
        dtype = ids_dtype(vocab_size)
        files = {key: IdsFile(work / key.replace("/", "@"), dtype) for key in keys}
        encode = partial(encode_group, DocumentEncoder.of(tokenizer), vocab_size)
        crew = Crew(encode, workers)
        stack.callback(crew.close)
        build = _Build(crew, corpus, config, seed)
        planned, spare, facts = {}, {}, {}
        done = sum(file.tokens for file in files.values())
        with progress.bar("encoding", config.budget_tokens, "tok", done=done) as bar:
            for key, file in files.items():
                planned[key], spare[key], facts[key] = build.plan(key, file, bar)
        languages = sorted(set(map(language_of, keys)))
        begin = partial(RowsWriter, seq_len_tokens=config.seq_len_tokens, vocab_size=vocab_size,
                        languages=languages)  # fmt: skip
        writer = begin(out)
        stack.callback(writer.let_go)
        with progress.bar("writing rows", config.budget_tokens, "tok") as bar:
            counted = write_rows(writer, planned, seed, bar)
            more = _write_spare(begin, spare_folder(out), spare, seed, bar)
        shares = check_shares(config.shares, counted, config.tolerance)
        domains = {"domains": shares} if has_domains(config.shares) else {}
        return writer.close(shares=by_language(shares), documents=facts, **domains, **more)


def _write_spare(
    begin: Callable[[Path], RowsWriter], out: Path, spare: Mapping[str, Planned], seed: int,
    bar: Bar,
) -> dict[str, Any]:  # fmt: skip
    """Rows beyond the shares, in a folder of their own, as far as there are any."""
    if not any(len(one.plan) for one in spare.values()):
        return {}
    writer = begin(out)
    try:
        write_rows(writer, spare, seed, bar)
        return {"spare_tokens": writer.close()["tokens_by_language"]}
    finally:
        writer.let_go()


@dataclass(frozen=True, slots=True)
class _Build:
    """What the shares have in common."""

    crew: Crew[Job, Encoded]
    corpus: Path
    config: TokensConfig
    seed: int

    def plan(self, key: str, file: IdsFile, bar: Bar) -> tuple[Planned, Planned, dict[str, Any]]:
        """Encode and choose the documents of a language or domain; plan its rows and the spare."""
        groups = read_groups(share_files(self.corpus, key, self.config.shares))
        n = sum(group.documents for group in groups)
        target = round(self.config.shares[key] * self.config.budget_tokens)
        order = Permutation.seeded(n, self.seed, "documents", key)
        spare = self.config.spare_tokens(key)
        pool = max(target + spare, self.config.pool_tokens or 0)
        documents = encode_enough(self.crew, groups, file, order, pool, bar)
        pool = max(target, min(pool, int(documents.lengths.sum(dtype=np.int64))))
        planner = Planner(
            file.folder / "plan", self.config.seq_len_tokens, pack, self.config.pack_tokens
        )
        facts: dict[str, Any] = {}
        tokens = 0
        epochs = take(
            documents.lengths, pool, language=key, max_epochs=self.config.max_epochs,
            seed=self.seed,
        )  # fmt: skip
        for epoch, chosen in enumerate(epochs):
            found = _facts(documents, chosen, self.config.seq_len_tokens)
            facts, tokens = facts or found, tokens + found["document_tokens"]
            planner.add(documents, chosen, self.seed, key, epoch)
        plan = planner.plan()
        rest = RowPlan.empty()
        if pool > target:
            plan, rest = plan.split(target)
            rest, tokens = rest.split(spare)[0] if spare else RowPlan.empty(), target
        facts["epochs"] = round(tokens / max(facts["document_tokens"], 1), 4)
        return Planned(plan, file.ids), Planned(rest, file.ids), facts


def _facts(documents: Documents, chosen: Any, seq_len_tokens: int) -> dict[str, Any]:
    lengths = documents.lengths[chosen]
    return {
        "documents": len(chosen),
        "document_tokens": int(lengths.sum(dtype=np.int64)),
        "documents_cut": int((lengths > seq_len_tokens).sum()),
    }
