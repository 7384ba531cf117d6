"""Which documents, in which order, so that the *tokens* come out in the asked shares.

Weights over documents or files give shares of documents or files; what a model learns from is
tokens. So documents are taken from a seeded shuffle of each language until that language's part
of the budget is full, the corpus is repeated whole before any part of it is taken again, and
the shares are counted afterwards from the rows that were written. All of it is done on lengths:
no text and no token is needed to choose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hanhua.core.errors import MixtureError
from hanhua.text.domains import domain_of, language_of
from hanhua.text.shards import keys_in, share_files
from hanhua.tokens.permutation import Permutation, rng, scramble

Ints = npt.NDArray[Any]
LOOKAHEAD = 256
"""How many documents too long for what is left are passed over in search of one that fits."""
SLACK = 0.0005
"""A language is full when this part of its tokens is missing."""
CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Filled:
    """What was taken from a stream of documents.

    Args:
        chosen: ``[n]`` which documents, in order.
        passed: how many were too long for what was left.
        ended: whether it stopped by itself; if not, more documents might have been taken.
    """

    chosen: Ints
    passed: int
    ended: bool


def fill(lengths: Ints, room: int) -> Filled:
    """Take whole documents in order until the room is full.

    A document that does not fit is passed over for a later one that does; where none fits, the
    shortest of them is taken if that comes nearer to the mark than leaving it.

    Args:
        lengths: ``[n_documents]`` tokens.
        room: tokens wanted.
    """
    at, left = 0, room
    passed: list[int] = []
    while at < len(lengths) and left > SLACK * room and len(passed) <= LOOKAHEAD:
        sums = np.cumsum(lengths[at : at + CHUNK], dtype=np.int64)
        fit = int(np.searchsorted(sums, left, "right"))
        full = int(np.searchsorted(sums, left - SLACK * room)) + 1
        taken = min(fit, full)
        left -= int(sums[taken - 1]) if taken else 0
        at += taken
        if fit < full and fit < len(sums):
            passed.append(at)
            at += 1
    chosen = np.delete(np.arange(at, dtype=np.min_scalar_type(len(lengths))), passed)
    if passed:
        shortest = min(passed, key=lambda i: int(lengths[i]))
        if lengths[shortest] < 2 * left:
            chosen = np.append(chosen, chosen.dtype.type(shortest))
    return Filled(chosen, len(passed), left <= SLACK * room or len(passed) > LOOKAHEAD)


def take(
    lengths: Ints, target: int, *, language: str, max_epochs: float, seed: int
) -> Iterator[Ints]:
    """One language's documents, by epoch: whole epochs first, then a part of one.

    Args:
        lengths: ``[n_documents]`` in a seeded order: all there are, or as many as :func:`fill`
            needs to end.
        target: tokens wanted.
        language: for messages, and for the order of later epochs.
        max_epochs: how often the whole may be repeated.
        seed: the recipe's.

    Yields:
        ``[n]`` the documents of an epoch, in order.

    Raises:
        MixtureError: when the language would have to be repeated more often than that.
    """
    first = fill(lengths, target)
    total = int(lengths[first.chosen].sum(dtype=np.int64))
    repeat = not first.passed and total < target * (1 - SLACK)
    if repeat:
        check_epochs(language, target, total, max_epochs)
    yield first.chosen
    left, number, n = target - total, 0, len(first.chosen)
    while repeat and left > SLACK * target:
        number += 1
        order = Permutation.seeded(n, seed, "epoch", language, number).all()
        found = fill(lengths[order], left).chosen
        left -= int(lengths[order[found]].sum(dtype=np.int64))
        if not len(found):
            break
        yield order[found]


def check_epochs(language: str, target: int, total: int, max_epochs: float) -> None:
    """Refuse to repeat a corpus more often than asked.

    Raises:
        MixtureError: with the numbers and three ways out.
    """
    if not total:
        raise MixtureError(
            f"The corpus has no {language} text.", where="tokens.shares", found=f"{language}: 0",
            fix=f"add a {language} source to corpus.sources or take {language} out of the shares",
        )  # fmt: skip
    needed = target / total
    if needed > max_epochs:
        raise MixtureError(
            f"There is not enough {language} text for its share.",
            where=f"tokens.shares.{language}",
            found=f"{target:,} tokens asked, {total:,} in the corpus: {needed:.2f} epochs, "
            f"tokens.max_epochs is {max_epochs:g}",
            fix=f"lower tokens.budget_tokens to {99.9 * max_epochs / needed:.3g} % of it, so that "
            f"{int(total * max_epochs * 0.999):,} tokens of {language} are wanted, lower its "
            f"share, add {language} text, or raise tokens.max_epochs",
        )


def check_domains(keys: Iterable[str], shares: Mapping[str, float], corpus: Path) -> None:
    """Refuse a domain that the corpus does not have, or a language that its domains leave empty.

    Args:
        keys: to look for.
        shares: all that are asked for.
        corpus: the artifact's folder.

    Raises:
        MixtureError: naming those that it has.
    """
    for key in keys:
        named = sorted(other for other in shares if other != key and language_of(other) == key)
        if (domain_of(key) or named) and not share_files(corpus, key, shares):
            beside = f" beside {', '.join(named)}" if named else ""
            raise MixtureError(
                f"The corpus has no {key} text{beside}.", where=f"tokens.shares.{key}",
                found=f"the corpus has {', '.join(keys_in(corpus)) or 'no text'}",
                fix="name one of those in tokens.shares, or give a source this language and domain "
                "(corpus.sources[].domain)",
            )  # fmt: skip


def by_language(shares: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Shares asked and counted, those of domains added up to their languages."""
    found: dict[str, dict[str, float]] = {}
    for kind, parts in shares.items():
        found[kind] = {}
        for key in sorted(parts, key=language_of):
            language = language_of(key)
            found[kind][language] = found[kind].get(language, 0.0) + parts[key]
    return found


def interleave(
    counts: Mapping[str, int], seed: int, slice_rows: int = 1 << 16
) -> Iterator[npt.NDArray[np.uint8]]:
    """An order of rows in which every stretch has about the whole's mixture.

    Row i of n of a language is put at (i + a random part of 1) / n of the way: stratified, so a
    stretch of m rows misses a language's share by a row or two, where a plain shuffle would miss
    it by about the square root of m.

    Args:
        counts: rows by language.
        seed: the recipe's.
        slice_rows: about so many rows at a time; the order does not depend on it.

    Yields:
        ``[k]`` for the next rows in training order, which language's next row each is, as an index
        into the sorted languages; within a language rows stay in order.
    """
    slices = max(-(-sum(counts.values()) // slice_rows), 1)
    begun = dict.fromkeys(sorted(counts), 0)
    keys = {language: rng(seed, "interleave", language).integers(1 << 63) for language in begun}
    for number in range(slices):
        end = (number + 1) / slices
        places, which = [], []
        for index, (language, start) in enumerate(begun.items()):
            n = counts[language]
            stop = min(int(end * n) + 1, n)
            found = _places(np.arange(start, stop), n, int(keys[language]))
            if number + 1 < slices:
                found = found[found < end]
            begun[language] = start + len(found)
            places.append(found)
            which.append(np.full(len(found), index, np.uint8))
        yield np.concatenate(which)[np.argsort(np.concatenate(places), kind="stable")]


def _places(rows: Ints, n: int, key: int) -> Ints:
    """Where rows stand on the way from 0 to 1; rising with the row."""
    drawn = scramble(scramble(rows.astype(np.uint64)) ^ np.uint64(key))
    return np.asarray((rows + (drawn >> np.uint64(11)) * 2.0**-53) / max(n, 1))


def check_shares(
    asked: Mapping[str, float], tokens: Mapping[str, int], tolerance: float
) -> dict[str, Any]:
    """Hold the shares counted from the rows against the asked ones.

    Returns:
        ``{"asked": …, "counted": …}`` by language.

    Raises:
        MixtureError: where they differ by more than the tolerance.
    """
    total = sum(tokens.values())
    counted = {language: tokens.get(language, 0) / max(total, 1) for language in sorted(asked)}
    worst = max(asked, key=lambda language: abs(asked[language] - counted[language]))
    if abs(asked[worst] - counted[worst]) > tolerance:
        raise MixtureError(
            "The shares of the rows as written are not the asked ones.",
            where=f"tokens.shares.{worst}",
            found=f"asked {asked[worst]:.4f}, counted {counted[worst]:.4f} of {total:,} tokens",
            fix="raise tokens.budget_tokens (documents are taken whole) or tokens.tolerance",
        )
    return {"asked": dict(sorted(asked.items())), "counted": counted}
