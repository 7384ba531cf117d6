"""Bits per byte: how many bits a model needs to tell one byte of text it has not seen.

The one score that survives a change of vocabulary (perplexity per token does not: other tokens).
It is exact: every token of a document is scored once, given at least the start token, and the
nats of a document are the sum over its tokens. A document longer than the context is cut into
windows that overlap, so that no token is scored with less than `OVERLAP` of context before it.

Each document's nats are kept, so that two models are compared on the same documents.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hanhua.core.progress import Bar, Progress, Silent
from hanhua.eval.compare import paired_ratios, ratio
from hanhua.eval.forward import CausalModel
from hanhua.text.document import Document

OVERLAP = 0.125
"""Share of a window that was scored before and now only gives context."""

NATS_DIGITS = 6
"""Decimals kept of a document's nats, in memory as on disk, so that no difference comes of it."""


@dataclass(frozen=True, slots=True)
class Window:
    """Part of one sequence: inputs [start, end), of which targets from `first` on are scored."""

    sequence: int
    start: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class TextScore:
    """What one document cost."""

    id: str
    source: str
    nats: float
    n_bytes: int
    n_tokens: int


def choose(documents: Sequence[Document], max_docs: int, max_chars: int) -> list[Document]:
    """The documents to measure: picked by a hash of their id, cut to their beginning.

    The choice is nested (more documents contain the fewer) and keeps the corpus's order.
    """
    order = sorted(range(len(documents)), key=lambda i: _hash(documents[i].id))
    return [
        Document(d.id, d.text[:max_chars], d.language, d.source, d.licence)
        for d in (documents[i] for i in sorted(order[:max_docs]))
        if d.text[:max_chars]
    ]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def windows(lengths: Sequence[int], context: int) -> list[Window]:
    """Cut sequences of ids (start token included) into windows of at most `context` inputs.

    Every target 1 … length-1 of every sequence is scored in exactly one window.
    """
    overlap = int(context * OVERLAP)
    found = []
    for sequence, length in enumerate(lengths):
        start, first = 0, 1
        while first < length:
            end = min(start + context, length - 1)
            found.append(Window(sequence, start, first, end))
            start, first = end - overlap, end + 1
    return found


def batches(found: Sequence[Window], tokens: int) -> list[list[Window]]:
    """Windows of like length together, the longest first, so that little is padded."""
    result: list[list[Window]] = []
    for window in sorted(found, key=lambda w: (w.start - w.end, w.sequence, w.start)):
        if result:
            width = result[-1][0].end - result[-1][0].start
            if (len(result[-1]) + 1) * width <= tokens:
                result[-1].append(window)
                continue
        result.append([window])
    return result


@torch.no_grad()  # not inference mode: a model in training may be measured
def sequence_nats(
    model: CausalModel, sequences: Sequence[Sequence[int]], bar: Bar | None = None
) -> list[float]:
    """Nats of each sequence of ids, whose first id is only context.

    Args:
        model: the model to measure.
        sequences: ids, the start token first.
        bar: advanced by the tokens scored.
    """
    totals = np.zeros(len(sequences))
    cut = windows([len(s) for s in sequences], model.context_tokens)
    for batch in batches(cut, model.batch_tokens):
        ids_BS, rows_N, targets_N, owners = batch_tensors(model, batch, sequences)
        hidden_ND = model.hidden(ids_BS).flatten(0, 1)[rows_N]
        np.add.at(totals, owners, model.nats(hidden_ND, targets_N))
        if bar:
            bar.advance(len(owners))
    return [float(x) for x in totals]


def batch_tensors(
    model: CausalModel, batch: Sequence[Window], sequences: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, npt.NDArray[np.int64]]:
    """A batch of windows as tensors.

    Returns:
        ids ``[B, S]``; and of every scored token its row in the flattened batch ``[N]``, its
        target id ``[N]`` and the place of its sequence ``[N]``.
    """
    width = max(w.end - w.start for w in batch)
    rows = [np.arange(w.first - 1 - w.start, w.end - w.start) + i * width for i, w in enumerate(batch)]  # fmt: skip # noqa: E501
    targets = [np.asarray(sequences[w.sequence][w.first : w.end + 1], np.int64) for w in batch]
    owners = [np.full(len(t), w.sequence, np.int64) for w, t in zip(batch, targets, strict=True)]
    return (
        model.tensor([sequences[w.sequence][w.start : w.end] for w in batch]),
        torch.from_numpy(np.concatenate(rows)).to(model.device),
        torch.from_numpy(np.concatenate(targets)).to(model.device),
        np.concatenate(owners),
    )


def score_texts(
    model: CausalModel, documents: Sequence[Document], progress: Progress | None = None
) -> list[TextScore]:
    """Measure documents, in order.

    Args:
        model: the model to measure.
        documents: see `choose`; bytes are those of the text as given, in UTF-8.
        progress: shown by tokens.
    """
    ids = model.encode([d.text for d in documents])
    total = sum(map(len, ids))
    languages = "+".join(sorted({d.language for d in documents}))
    with (progress or Silent()).bar(f"bits per byte, {languages}", total, "tok") as bar:
        nats = sequence_nats(model, [[model.start, *row] for row in ids], bar)
    return [
        TextScore(
            d.id,
            d.source,
            round(value, NATS_DIGITS),
            len(d.text.encode("utf-8", "replace")),
            len(row),
        )
        for d, row, value in zip(documents, ids, nats, strict=True)
    ]


def summary(
    scores: Sequence[TextScore], seed: int, draws: int, base: Sequence[TextScore] | None = None
) -> dict[str, Any]:
    """Bits per byte with n and a 95 % interval over documents, overall and by source.

    Args:
        scores: of one language.
        seed: of the bootstrap.
        draws: of the bootstrap.
        base: the base's scores; documents in both are compared pairwise.
    """
    found = _interval(scores, seed, draws) | {"n_tokens": sum(s.n_tokens for s in scores)}
    sources = sorted({s.source for s in scores})
    found["by_source"] = {
        name: _interval([s for s in scores if s.source == name], seed, draws) for name in sources
    }
    found["difference"] = _difference(scores, base, seed, draws) if base else None
    return found


def _bits(scores: Sequence[TextScore]) -> list[float]:
    return [s.nats / math.log(2) for s in scores]


def _interval(scores: Sequence[TextScore], seed: int, draws: int) -> dict[str, Any]:
    n_bytes = [s.n_bytes for s in scores]
    value = ratio(_bits(scores), n_bytes, seed, draws).as_dict()
    return value | {"n_docs": len(scores), "n_bytes": sum(n_bytes)}


def _difference(
    scores: Sequence[TextScore], base: Sequence[TextScore], seed: int, draws: int
) -> dict[str, Any] | None:
    before: Mapping[str, TextScore] = {s.id: s for s in base}
    both = [s for s in scores if s.id in before and before[s.id].n_bytes == s.n_bytes]
    if not both:
        return None
    old = [before[s.id] for s in both]
    return paired_ratios(_bits(both), _bits(old), [s.n_bytes for s in both], seed, draws).as_dict()
