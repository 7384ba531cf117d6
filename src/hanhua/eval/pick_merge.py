"""Which of several merged models: each is made and measured on held-out text, one is kept.

The held-out documents are dealt into two halves. One picks the model, the other proves it: the
best of many is measured too well on the text that it was picked by.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError
from hanhua.core.files import storage_errors
from hanhua.core.progress import Progress, Silent
from hanhua.eval import bits_per_byte
from hanhua.eval.bits_per_byte import TextScore
from hanhua.eval.compare import tidy
from hanhua.eval.config import BitsPerByteConfig
from hanhua.eval.forward import CausalModel
from hanhua.model.merge import (
    Term,
    average,
    check_new_tokens,
    interpolated,
    merge,
    shared_tokens,
    with_chat_vector,
)
from hanhua.text.document import Document

Scores = Mapping[str, Sequence[TextScore]]
"""language -> scores of the same documents in the same order"""
DRAWS = 2000
"""Of a bootstrap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merging:
    """What is merged, and what it is measured on.

    Args:
        trained: model folders; of several their average is taken.
        base: the model that they began from.
        start: the base with its new rows as they began; None: new rows stay as trained.
        chat: a chat model of the base, for its chat vector.
        target, source: the language gained, the language kept.
        max_rise: share by which the source's bits per byte may rise above the base's.
        documents: held-out text by language.
        config: how much of it.
        seed: of intervals.
        device: "cpu" or "cuda".
        progress: bars.
    """

    trained: Sequence[Path]
    base: Path
    start: Path | None = None
    chat: Path | None = None
    target: str = "zh"
    source: str = "en"
    max_rise: float = 0.01
    documents: Mapping[str, Sequence[Document]]
    config: BitsPerByteConfig = field(default_factory=BitsPerByteConfig)
    seed: int = 17
    device: str = "cpu"
    progress: Progress = field(default_factory=Silent)

    @property
    def folders(self) -> list[Path]:
        """Of all models."""
        others = [self.base, self.start, self.chat]
        return [*self.trained, *(folder for folder in others if folder is not None)]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A merged model and what it measures on the half that picks.

    Args:
        weight: of the trained model against the base.
        chat_weight: of the chat vector.
        target, source: bits per byte.
        source_rise: of the source above the base, as a share.
        fits: whether that is within the wish.
    """

    weight: float
    chat_weight: float
    target: float
    source: float
    source_rise: float
    fits: bool


def pick(
    merging: Merging, weights: Sequence[float], chat_weights: Sequence[float], out: Path
) -> dict[str, Any]:
    """Make and measure a model of every pair of weights; leave the one that meets the wish best.

    That is the one with the lowest loss in the target language of those within ``max_rise``; where
    none is, the one with the lowest loss in the source language.

    Args:
        merging: the models and the text.
        weights: of the trained model against the base.
        chat_weights: of the chat vector; ``[0]`` without one.
        out: the model folder to make.

    Returns:
        The content of ``merge.json`` but for names: ``base``, ``candidates``, ``chosen`` (a
        candidate, with ``proof`` by language on the other half), ``fits``, ``shared_tokens``.

    Raises:
        ModelError: when the models don't fit together.
        InputError: when there is too little held-out text.
    """
    shared = shared_tokens(merging.folders)
    check_new_tokens([*merging.trained, *([merging.start] if merging.start else [])])
    texts = _texts(merging)
    before = _measured(merging, merging.base, texts)
    found: list[tuple[Candidate, Scores]] = []
    for weight, chat_weight in product(weights, chat_weights):
        merge(_terms(merging, weight, chat_weight), shared, out)
        scores = _measured(merging, out, texts)
        found.append((_candidate(merging, weight, chat_weight, scores, before), scores))
        with storage_errors(out):
            shutil.rmtree(out)
    chosen, scores = best(found)
    merge(_terms(merging, chosen.weight, chosen.chat_weight), shared, out)
    return {
        "base": {language: _bits(_picking(scores)) for language, scores in before.items()},
        "candidates": [_tidy(candidate) for candidate, _ in found],
        "chosen": _tidy(chosen) | {"proof": _proof(merging, scores, before)},
        "fits": chosen.fits, "shared_tokens": shared,
    }  # fmt: skip


def best(found: Sequence[tuple[Candidate, Scores]]) -> tuple[Candidate, Scores]:
    """The candidate with the lowest target loss of those that fit, else the lowest source loss."""
    fitting = [entry for entry in found if entry[0].fits]
    if fitting:
        return min(fitting, key=lambda entry: (entry[0].target, entry[0].source))
    return min(found, key=lambda entry: (entry[0].source, entry[0].target))


def _terms(merging: Merging, weight: float, chat_weight: float) -> list[Term]:
    terms = interpolated(average(merging.trained), merging.base, weight, merging.start)
    if merging.chat is None:
        return terms
    return with_chat_vector(terms, merging.base, merging.chat, chat_weight)


def _texts(merging: Merging) -> dict[str, list[Document]]:
    """The documents to measure of both languages.

    Raises:
        InputError: fewer than two of a language: there must be one for each half.
    """
    config, found = merging.config, {}
    for language in dict.fromkeys((merging.target, merging.source)):
        documents = merging.documents.get(language, ())
        chosen = bits_per_byte.choose(documents, config.max_docs, config.max_chars_per_doc)
        if len(chosen) < 2:
            raise InputError(
                "There is too little held-out text to pick a model by.", where=language,
                found=f"{len(chosen)} documents", fix="set corpus.held_out_docs to 2 or more (200 "
                "tell models apart), or name another corpus with --corpus",
            )  # fmt: skip
        found[language] = chosen
    return found


def _measured(merging: Merging, folder: Path, texts: Mapping[str, list[Document]]) -> Scores:
    model = CausalModel.load(folder, merging.device)
    return {
        language: bits_per_byte.score_texts(model, documents, merging.progress)
        for language, documents in texts.items()
    }


def _picking(scores: Sequence[TextScore]) -> Sequence[TextScore]:
    return scores[::2]


def _proving(scores: Sequence[TextScore]) -> Sequence[TextScore]:
    return scores[1::2]


def _bits(scores: Sequence[TextScore]) -> float:
    return float(bits_per_byte.summary(scores, 0, 1)["value"])


def _candidate(
    merging: Merging, weight: float, chat_weight: float, scores: Scores, before: Scores
) -> Candidate:
    target, source = (_bits(_picking(scores[name])) for name in (merging.target, merging.source))
    rise = source / _bits(_picking(before[merging.source])) - 1
    return Candidate(weight, chat_weight, target, source, rise, rise <= merging.max_rise)


def _proof(merging: Merging, scores: Scores, before: Scores) -> dict[str, Any]:
    """Bits per byte on the half that had no say, with intervals and the change from the base."""
    keys = ("value", "low", "high", "n_docs", "n_bytes", "difference")
    found = {}
    for language in scores:
        half, base = _proving(scores[language]), _proving(before[language])
        summary = bits_per_byte.summary(half, merging.seed, DRAWS, base)
        found[language] = {key: summary[key] for key in keys} | {"base": _bits(base)}
    return found


def _tidy(candidate: Candidate) -> dict[str, Any]:
    return {key: tidy(value) for key, value in asdict(candidate).items()}
