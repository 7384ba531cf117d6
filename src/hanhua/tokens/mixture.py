"""Which documents, in which order, so that the *tokens* come out in the asked shares.

Weights over documents or files give shares of documents or files; what a model learns from is
tokens. So documents are taken from a seeded shuffle of each language until that language's part
of the budget is full, the corpus is repeated whole before any part of it is taken again, and
the shares are counted afterwards from the rows that were written.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hanhua.core.errors import MixtureError

Ids = npt.NDArray[np.uint32]
LOOKAHEAD = 256
"""How many documents too long for what is left are passed over in search of one that fits."""
SLACK = 0.0005
"""A language is full when this part of its tokens is missing."""


def rng(seed: int, *names: str | int) -> np.random.Generator:
    """A generator of its own for each purpose, so that one draw never shifts another."""
    words = [zlib.crc32(n.encode()) if isinstance(n, str) else n for n in names]
    return np.random.default_rng([seed, *words])


def fill(stream: Iterable[Ids], room: int) -> tuple[list[Ids], int]:
    """Take whole documents in order until the room is full.

    A document that does not fit is passed over for a later one that does; where none fits, the
    shortest of them is taken if that comes nearer to the mark than leaving it.

    Args:
        stream: encoded documents.
        room: tokens wanted.

    Returns:
        The documents and how many were passed over.
    """
    chosen: list[Ids] = []
    left, passed = room, 0
    shortest: Ids | None = None
    for ids in stream:
        if len(ids) <= left:
            chosen.append(ids)
            left -= len(ids)
        else:
            passed += 1
            shortest = ids if shortest is None or len(ids) < len(shortest) else shortest
        if left <= SLACK * room or passed > LOOKAHEAD:
            break
    if shortest is not None and len(shortest) < 2 * left:
        chosen.append(shortest)
    return chosen, passed


def take(
    stream: Iterable[Ids], target: int, *, language: str, max_epochs: float, seed: int
) -> list[list[Ids]]:
    """One language's documents, by epoch: whole epochs first, then a part of one.

    Args:
        stream: encoded documents in a seeded order; read only as far as needed.
        target: tokens wanted.
        language: for messages, and for the order of later epochs.
        max_epochs: how often the whole may be repeated.
        seed: the recipe's.

    Raises:
        MixtureError: when the language would have to be repeated more often than that.
    """
    first, passed = fill(stream, target)
    total = sum(map(len, first))
    epochs = [first]
    if passed or total >= target * (1 - SLACK):
        return epochs
    if not total:
        raise MixtureError(
            f"The corpus has no {language} text.", where="tokens.shares", found=f"{language}: 0",
            fix=f"add a {language} source to corpus.sources or take {language} out of the shares",
        )  # fmt: skip
    check_epochs(language, target, total, max_epochs)
    left = target - total
    while left > SLACK * target:
        order = rng(seed, "epoch", language, len(epochs)).permutation(len(first))
        more, _ = fill((first[i] for i in order), left)
        epochs.append(more)
        left -= sum(map(len, more))
        if not more:
            break
    return epochs


def check_epochs(language: str, target: int, total: int, max_epochs: float) -> None:
    """Refuse to repeat a corpus more often than asked.

    Raises:
        MixtureError: with the numbers and three ways out.
    """
    needed = target / total
    if needed > max_epochs:
        raise MixtureError(
            f"There is not enough {language} text for its share.",
            where=f"tokens.shares.{language}",
            found=f"{target:,} tokens asked, {total:,} in the corpus: {needed:.2f} epochs, "
            f"tokens.max_epochs is {max_epochs:g}",
            fix=f"lower tokens.budget_tokens to at most {int(total * max_epochs * 0.999):,} tokens "
            f"of {language}, lower its share, add {language} text, or raise tokens.max_epochs",
        )


def interleave(counts: Mapping[str, int], seed: int) -> list[tuple[str, int]]:
    """An order of rows in which every stretch has about the whole's mixture.

    Row i of n of a language is put at (i + a random part of 1) / n of the way: stratified, so a
    stretch of m rows misses a language's share by a row or two, where a plain shuffle would miss
    it by about the square root of m.

    Args:
        counts: rows by language.
        seed: the recipe's.

    Returns:
        (language, row of that language) in training order; within a language rows stay in order.
    """
    places = [
        ((i + offset) / n, language, i)
        for language, n in sorted(counts.items())
        for i, offset in enumerate(rng(seed, "interleave", language).random(n))
    ]
    return [(language, i) for _, language, i in sorted(places)]


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


def shuffled(items: Sequence[Any], seed: int, *names: str | int) -> list[Any]:
    """A seeded shuffle, as a new list."""
    return [items[i] for i in rng(seed, *names).permutation(len(items))]
