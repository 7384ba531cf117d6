"""Sums of models, weight by weight: interpolation, chat vectors, averages.

A merged model is ``sum(weight * model)``, made from safetensors to safetensors: of each tensor no
more than a chunk of each model is in memory, and no model is ever built. A model with new tokens
has rows that its base lacks, so every term has two weights: one for what all share (the body, and
rows of shared tokens) and one for the rows behind them.

Interpolation with the base: https://arxiv.org/abs/2109.01903 (WiSE-FT). Chat vector:
https://arxiv.org/abs/2310.04799. Average of several models: https://arxiv.org/abs/2203.05482.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from math import prod
from pathlib import Path

from hanhua.core.errors import ModelError
from hanhua.core.files import storage_errors
from hanhua.model.checkpoint import copy_tokenizer
from hanhua.model.load import INDEX
from hanhua.model.merge_weights import Weights, check_kind, source_of, summed
from hanhua.model.tensor_file import FLOATS, Part, copied, write_tensors
from hanhua.vocab.tokenizer import read_tokenizer


@dataclass(frozen=True, slots=True)
class Term:
    """One model of a sum.

    Args:
        folder: the model's.
        weight: of the body and of rows of shared tokens.
        new_weight: of the rows behind them; 0 where the model has none.
    """

    folder: Path
    weight: float
    new_weight: float


def average(folders: Sequence[Path]) -> list[Term]:
    """The plain mean of models of one shape."""
    return [Term(folder, 1 / len(folders), 1 / len(folders)) for folder in folders]


def interpolated(
    trained: Sequence[Term], base: Path, weight: float, start: Path | None
) -> list[Term]:
    """``weight`` of the trained model and the rest of the base.

    Args:
        trained: the sum that stands for the trained model.
        base: what it began from.
        weight: 1 is the trained model, 0 the base.
        start: the base with its new rows as they began, between which and the trained ones new
            rows are interpolated too, so that the sum lies on the straight line from where
            training began to where it ended; None: new rows stay as trained.
    """
    rest = 1 - weight
    new = 1.0 if start is None else weight
    terms = [replace(t, weight=t.weight * weight, new_weight=t.new_weight * new) for t in trained]
    terms.append(Term(base, rest, 0.0))
    return [*terms, Term(start, 0.0, rest)] if start is not None else terms


def with_chat_vector(terms: Sequence[Term], base: Path, chat: Path, weight: float) -> list[Term]:
    """What tuning made of the base, chat minus base, added so many times to a model.

    Rows that the base lacks have no such difference and stay.
    """
    return [*terms, Term(chat, weight, 0.0), Term(base, -weight, 0.0)]


def shared_tokens(folders: Sequence[Path]) -> int:
    """How many ids, from 0 on, mean the same token in all models.

    Raises:
        ModelError: when that is less than half of the smallest vocabulary.
    """
    spelt = [_tokens(folder) for folder in folders]
    alike = 0
    for tokens in zip(*spelt, strict=False):
        if len(set(tokens)) > 1 or tokens[0] is None:
            break
        alike += 1
    least = min(len(tokens) for tokens in spelt)
    if 2 * alike < least:
        raise ModelError(
            "These models' tokens have different ids, so their rows can't be added.",
            where=", ".join(str(folder) for folder in folders),
            found=f"the first {alike} of {least} ids are the same",
            fix="merge models that come from one base",
        )  # fmt: skip
    return alike


def check_new_tokens(folders: Sequence[Path]) -> None:
    """Refuse models whose rows behind the shared ones would be added and stand for other tokens.

    Args:
        folders: of all terms with a weight of new rows; runs with vocabularies of their own may
            have as many rows, and none of them in common.

    Raises:
        ModelError: naming the first id that is another token.
    """
    first, *others = dict.fromkeys(folders)
    spelt = _tokens(first)
    for folder in others:
        tokens = _tokens(folder)
        if tokens == spelt:
            continue
        pairs = zip_longest(spelt, tokens)
        at, (one, other) = next(found for found in enumerate(pairs) if len(set(found[1])) > 1)
        raise ModelError(
            "These models have other new tokens, so their rows can't be added.", where=folder,
            found=f"id {at} is {other!r}; in {first} it is {one!r}",
            fix="merge models that were trained with one vocabulary",
        )  # fmt: skip


def _tokens(folder: Path) -> list[str | None]:
    backend = read_tokenizer(folder).backend
    return [backend.id_to_token(i) for i in range(backend.get_vocab_size())]


def merge(terms: Sequence[Term], shared: int, out: Path) -> None:
    """Write a sum of models as a model folder: weights, configs and tokenizer.

    Args:
        terms: the first gives shapes, types, names, configs and tokenizer.
        shared: rows of embedding and head that all terms have, see :func:`shared_tokens`.
        out: the folder; it may exist.

    Raises:
        ModelError: when the models have other weights or shapes.
        StorageError: no room.
    """
    added = [_added(terms, folder) for folder in dict.fromkeys(term.folder for term in terms)]
    models = [Weights.open(term.folder) for term in added]
    first = models[0]
    for other in models[1:]:
        check_kind(first, other)
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        copy_tokenizer(first.folder, out)
        for path in first.files:
            parts = [
                _part(name, first, models, added, shared)
                for name in sorted(path.entries, key=lambda n: path.entries[n].begin)
            ]
            write_tensors(out / path.path.name, parts, path.metadata)
        names = ["generation_config.json", INDEX, "config.json"]  # the last makes it a model
        for config in (name for name in names if (first.folder / name).exists()):
            shutil.copyfile(first.folder / config, out / config)
        for written in out.iterdir():
            written.chmod(0o644)


def _added(terms: Sequence[Term], folder: Path) -> Term:
    """All terms of one model as one."""
    mine = [term for term in terms if term.folder == folder]
    return Term(folder, sum(t.weight for t in mine), sum(t.new_weight for t in mine))


def _part(
    name: str, first: Weights, models: Sequence[Weights], terms: Sequence[Term], shared: int
) -> Part:
    """One weight of the sum, made as it is written."""
    entry = first.at[name].entries[name]
    if entry.dtype not in FLOATS and name not in first.own:  # a mask of an old file
        return copied(first.at[name], name)
    size = prod(entry.shape)
    cut = size
    if name in first.rows:
        cut = min(shared, entry.shape[0]) * (size // entry.shape[0])
    stretches = []
    for start, stop, weights in (
        (0, cut, [term.weight for term in terms]),
        (cut, size, [term.new_weight for term in terms]),
    ):
        sources = [
            (source_of(name, first, model, stop), weight)
            for model, weight in zip(models, weights, strict=True) if weight and start < stop
        ]  # fmt: skip
        stretches.append((start, stop, sources))
    return Part(name, entry.dtype, entry.shape, summed(stretches, FLOATS[entry.dtype]))
