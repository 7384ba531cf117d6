"""Which documents are copies in truth: Jaccard similarity of five-character shingles, all pairs.

Exact, and it uses nothing of hanhua: letters and digits after NFKC and case folding, traditional
characters taken to simplified ones by OpenCC where asked. Pairs are found by their rarest shingles
(prefix filtering, Bayardo et al. 2007, https://doi.org/10.1145/1242572.1242591): of two sets with
J >= t the rarest (1 - t) of the shingles of each have one in common, so no pair is missed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corpus_planted import opencc

FLOOR = 0.5
SHINGLE = 5
Ints = npt.NDArray[np.int64]


def canonical(text: str, folded: bool) -> str:
    """Letters and digits alone, compatibility forms and case gone."""
    plain = re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).casefold())
    return str(opencc("t2s").convert(plain)) if folded else plain


def shingles(text: str, folded: bool) -> npt.NDArray[np.uint64]:
    """The set of a text's shingles, hashed; of a shorter text it is the text."""
    points = np.frombuffer(canonical(text, folded).encode("utf-32-le"), "<u4").astype(np.uint64)
    points = np.pad(points, (0, max(SHINGLE - len(points), 0))) if len(points) else points
    hashes = np.zeros(max(len(points) - SHINGLE + 1, 0), np.uint64)
    for step in range(SHINGLE):
        hashes = hashes * np.uint64(1_000_003 << 21 | 1) + points[step : step + len(hashes)]
    return np.unique((hashes ^ (hashes >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9))


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of documents and their similarity: first < second, J >= FLOOR."""

    first: Ints
    second: Ints
    jaccard: npt.NDArray[np.float64]


def true_pairs(texts: Sequence[str], folded: bool) -> Pairs:
    """All pairs with J >= FLOOR, exactly."""
    sets = [shingles(text, folded) for text in texts]
    sizes = np.array([len(found) for found in sets])
    owners = np.repeat(np.arange(len(sets)), sizes)
    _, numbers, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    del sets
    kept = counts[numbers] > 1  # what one document alone has is in no intersection
    owners, numbers = owners[kept], numbers[kept]
    order = np.lexsort((numbers, counts[numbers], owners))
    owners, numbers = owners[order], numbers[order]
    starts = np.searchsorted(owners, np.arange(len(sizes) + 1))
    alone = sizes - np.diff(starts)  # these stand first, being rarest
    places = np.arange(len(owners)) - starts[owners] + alone[owners]
    prefix = places <= sizes[owners] - np.ceil(FLOOR * sizes[owners])
    keys = _candidates(numbers[prefix], owners[prefix], places[prefix], sizes)
    return _verified(keys // len(sizes), keys % len(sizes), numbers, starts, sizes)


def _candidates(numbers: Ints, owners: Ints, places: Ints, sizes: Ints) -> Ints:
    """Pairs whose prefixes share a shingle, as first · documents + second."""
    order = np.lexsort((owners, numbers))
    numbers, owners, places = numbers[order], owners[order], places[order]
    left, right = sizes[owners], sizes[owners] - places  # right: it and what follows
    here, lag, found = np.arange(len(numbers)), 0, [np.zeros(0, np.int64)]
    while len(here):
        lag += 1
        here = here[here + lag < len(numbers)]
        here = here[numbers[here] == numbers[here + lag]]
        there = here + lag
        least = FLOOR / (1 + FLOOR) * (left[here] + left[there])
        good = np.minimum(right[here], right[there]) >= least - 1e-9
        found.append(owners[here][good] * len(sizes) + owners[there][good])
        if sum(map(len, found)) > 1 << 24:
            found = [np.unique(np.concatenate(found))]
    return np.unique(np.concatenate(found))


def _verified(first: Ints, second: Ints, numbers: Ints, starts: Ints, sizes: Ints) -> Pairs:
    marked = np.zeros(int(numbers.max(initial=0)) + 1, bool)
    heads, at = np.unique(first, return_index=True)
    common = np.zeros(len(first), np.int64)
    for head, low, high in zip(heads, at, np.append(at[1:], len(first)), strict=True):
        own = numbers[starts[head] : starts[head + 1]]
        marked[own] = True
        for pair in range(low, high):
            other = second[pair]
            common[pair] = np.count_nonzero(marked[numbers[starts[other] : starts[other + 1]]])
        marked[own] = False
    jaccard = common / (sizes[first] + sizes[second] - common)
    good = jaccard >= FLOOR
    return Pairs(first[good], second[good], jaccard[good])


def jaccard(one: str, other: str) -> float:
    """The similarity of two texts, traditional characters taken to simplified ones."""
    first, second = shingles(one, True), shingles(other, True)
    common = len(np.intersect1d(first, second, assume_unique=True))
    return common / max(len(first) + len(second) - common, 1)
