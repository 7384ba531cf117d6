"""From a corpus to packed rows in the asked shares: encode, choose, pack, interleave, count.

A row holds one language only. The mixture of every stretch of training is then exact to a row,
the loss of each language costs nothing to know, and best-fit finds its small documents within
one language well enough (padding is measured and written down).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hanhua.core.progress import Bar, Progress
from hanhua.text.shards import language_files, read_language
from hanhua.tokens.config import TokensConfig
from hanhua.tokens.encode import Ids, encode_documents
from hanhua.tokens.mixture import check_shares, interleave, shuffled, take
from hanhua.tokens.pack import Piece, pack
from hanhua.tokens.rows import Row, RowsWriter


def build_rows(
    tokenizer: Any, vocab_size: int, corpus: Path, config: TokensConfig, out: Path, *, seed: int,
    progress: Progress,
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

    Returns:
        The rows' meta, with ``shares`` asked and counted.

    Raises:
        MixtureError: when the corpus cannot fill the shares.
    """
    languages = sorted(language for language, share in config.shares.items() if share > 0)
    rows: dict[str, list[tuple[Sequence[Ids], list[Piece]]]] = {}
    facts: dict[str, Any] = {}
    with progress.bar("encoding", config.budget_tokens, "tok") as bar:
        for language in languages:
            epochs = _choose(tokenizer, corpus, language, config, seed, bar)
            rows[language] = _pack(epochs, config.seq_len_tokens, language, seed)
            facts[language] = _facts(epochs, config)
    writer = RowsWriter(out, config.seq_len_tokens, vocab_size, languages)
    for language, i in interleave({name: len(found) for name, found in rows.items()}, seed):
        documents, pieces = rows[language][i]
        writer.add(make_row(documents, pieces, language))
    counted = {language: count["tokens"] for language, count in writer.counts.items()}
    shares = check_shares(config.shares, counted, config.tolerance)
    return writer.close(shares=shares, documents=facts)


def _choose(tokenizer: Any, corpus: Path, language: str, config: TokensConfig, seed: int,
            bar: Bar) -> list[list[Ids]]:  # fmt: skip
    found = language_files(corpus, language, "train")
    texts = (
        [document.text for document in read_language(corpus, language, "train")] if found else []
    )
    target = round(config.shares[language] * config.budget_tokens)

    def stream() -> Iterator[Ids]:
        for ids in encode_documents(tokenizer, shuffled(texts, seed, "documents", language)):
            bar.advance(len(ids), language=language)
            yield ids

    return take(
        stream(), target, language=language, max_epochs=config.max_epochs, seed=seed
    )  # fmt: skip


def _pack(epochs: list[list[Ids]], seq_len_tokens: int, language: str,
          seed: int) -> list[tuple[Sequence[Ids], list[Piece]]]:  # fmt: skip
    """Rows of all epochs, each epoch packed and shuffled for itself, one after another."""
    rows: list[tuple[Sequence[Ids], list[Piece]]] = []
    for number, documents in enumerate(epochs):
        lengths = np.array([len(ids) for ids in documents], dtype=np.int64)
        packed = pack(lengths, seq_len_tokens)
        rows += [(documents, row) for row in shuffled(packed, seed, "rows", language, number)]
    return rows


def _facts(epochs: list[list[Ids]], config: TokensConfig) -> dict[str, Any]:
    first = sum(map(len, epochs[0]))
    total = sum(len(ids) for epoch in epochs for ids in epoch)
    return {
        "documents": len(epochs[0]),
        "document_tokens": first,
        "epochs": round(total / max(first, 1), 4),
        "documents_cut": sum(len(ids) > config.seq_len_tokens for ids in epochs[0]),
    }


def make_row(documents: Sequence[Ids], pieces: Sequence[Piece], language: str) -> Row:
    """Copy the pieces of a row together."""
    parts = [documents[p.document][p.start : p.start + p.length] for p in pieces]
    lengths = np.array([p.length for p in pieces], dtype=np.int32)
    return Row(np.concatenate(parts), None, lengths, language)
