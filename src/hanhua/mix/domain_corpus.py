"""What a corpus holds of each source, and each domain's held-out text measured by itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hanhua.core.files import read_json, write_json
from hanhua.text.shards import language_files, read_language, share_files

if TYPE_CHECKING:
    from hanhua.text.document import Document

SAMPLE = 256
"""Documents that are encoded to know their mean length."""
DIGITS = 6


def held_tokens(corpus: Path, keys: Iterable[str], tokenizer: Any) -> dict[str, float]:
    """About how many tokens of each share the corpus holds.

    Args:
        corpus: the artifact.
        keys: of all shares.
        tokenizer: a fast Hugging Face tokenizer.

    Returns:
        By key; 0 where it has none.
    """
    from hanhua.tokens.encode import DocumentEncoder
    from hanhua.tokens.source import read_groups, read_texts

    encoder, keys = DocumentEncoder.of(tokenizer), list(keys)
    found = {}
    for key in keys:
        groups = read_groups(share_files(corpus, key, keys))
        documents = sum(group.documents for group in groups)
        lengths = []
        for group in groups:
            wanted = max(1, round(SAMPLE * group.documents / max(documents, 1)))
            places = np.unique(np.linspace(0, group.documents - 1, wanted).astype(int))
            lengths.append(encoder.encode(read_texts(group, places))[1])
        found[key] = float(np.concatenate(lengths).mean() * documents) if lengths else 0.0
    return found


def domain_texts(
    corpus: Path, keys: Iterable[str], docs: int, max_chars: int
) -> dict[str, list[Document]]:
    """The held-out documents to measure of each domain that has any.

    Args:
        corpus: the artifact.
        keys: languages are left out: training itself measures them.
        docs: of each domain at most.
        max_chars: longer ones are measured on their beginning.
    """
    from hanhua.eval.bits_per_byte import choose

    return {
        key: choose(list(read_language(corpus, key, "held_out")), docs, max_chars)
        for key in keys if "/" in key and language_files(corpus, key, "held_out")
    }  # fmt: skip


def domain_losses(
    model: Path, texts: Mapping[str, list[Document]], device: str = "cpu"
) -> dict[str, float]:
    """Bits per byte of each domain's texts.

    Args:
        model: a model's folder, with its tokenizer.
        texts: of :func:`domain_texts`.
        device: where to measure.
    """
    from hanhua.eval.bits_per_byte import score_texts
    from hanhua.eval.forward import CausalModel

    measured, found = CausalModel.load(model, device), {}
    for key, documents in texts.items():
        scores = score_texts(measured, documents)
        n_bytes = sum(score.n_bytes for score in scores)
        bits = sum(score.nats for score in scores) / math.log(2)
        found[key] = round(bits / max(n_bytes, 1), DIGITS)
    return found


def kept_losses(
    path: Path, model: Path, texts: Mapping[str, list[Document]], device: str
) -> dict[str, float]:
    """The same, measured once: what was measured before is read.

    Args:
        path: the file that keeps them, of this model and of so much text.
        model: see :func:`domain_losses`.
        texts: see :func:`domain_texts`.
        device: where to measure.
    """
    kept: dict[str, float] = read_json(path) if path.exists() else {}
    missing = {key: documents for key, documents in texts.items() if key not in kept}
    if missing:
        write_json(path, kept := kept | domain_losses(model, missing, device))
    return {key: kept[key] for key in texts}
