"""Which documents are copies of which: exact ones by content key, near ones by signature.

Of copies the best by rank is kept (``keys.rank_of``), and a document goes only if it is like one
that is *kept*: documents are taken best first, each is held against the kept ones that share a
band with it, and stays if none is like it. So no chain of small changes can take away what is
like nothing that is left (union-find over pairs does), and the outcome depends on the documents
alone: not on their order, nor on how many workers read them.

Memory: one byte a document, and about 16 for each band that a document shares with another. A
sort of a whole column would need 24 bytes a document; beyond the budget it is done in parts by
the first bits of the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hanhua.text.copies.keys import KeyFiles, Numbers, rank_order
from hanhua.text.copies.minhash import BANDS, FUNCTIONS

MIN_SHINGLES = 8
"""Texts with fewer are too short to be like another one by chance-free measure."""
MAX_COMPARED = 512
"""Kept documents of one band that a document is held against, best first."""
_SORT_BYTES = 48
_READ_AT_ONCE = 1 << 20


@dataclass(slots=True)
class Copies:
    """What goes.

    Args:
        alive: bool [documents]: False for what goes.
        near: number -> (number of the kept one, share of the signature that agrees).
        exact: number -> number of the kept one.
        compared: pairs of signatures held against each other.
    """

    alive: npt.NDArray[np.bool_]
    exact: dict[int, int] = field(default_factory=dict)
    near: dict[int, tuple[int, float]] = field(default_factory=dict)
    compared: int = 0


def find_copies(
    keys: KeyFiles, *, exact: bool = True, min_agreement: float | None = 0.75,
    budget_bytes: int = 1 << 30,
) -> Copies:  # fmt: skip
    """Decide which documents are copies.

    Args:
        keys: of all documents, closed.
        exact: drop documents with the same content key.
        min_agreement: drop documents whose signatures agree in this share; None: none.
        budget_bytes: memory for sorting.
    """
    found = Copies(np.ones(keys.documents, dtype=np.bool_))
    parts = max(1, -(-keys.documents * _SORT_BYTES // max(budget_bytes, 1)))
    if exact:
        for part in range(parts):
            _drop_exact(keys, found, part, parts)
    if min_agreement is not None:
        buckets, documents = _shared_bands(keys, found, parts)
        _drop_near(keys, found, buckets, documents, min_agreement)
    return found


def _drop_exact(keys: KeyFiles, found: Copies, part: int, parts: int) -> None:
    numbers, content = [], []
    for start, values in keys.parts("content", _READ_AT_ONCE):
        mine = np.nonzero(values["high"] % np.uint64(parts) == part)[0]
        numbers.append(mine + start)
        content.append(values[mine])
    if not numbers:
        return
    number, value = np.concatenate(numbers), np.concatenate(content)
    order = np.lexsort((value["low"], value["high"]))
    shared, group = _runs(value[order])
    number, group = number[order][shared], group[shared]
    order = rank_order(np.asarray(keys.column("rank")[number]), group)
    number, group = number[order], group[order]
    first = np.append(True, group[1:] != group[:-1])[: len(group)]
    kept = number[first][np.cumsum(first) - 1]
    found.alive[number[~first]] = False
    found.exact.update(zip(number[~first].tolist(), kept[~first].tolist(), strict=True))


def _runs(
    values: npt.NDArray[np.generic],
) -> tuple[npt.NDArray[np.bool_], Numbers]:
    """Of sorted values: which occur more than once, and the number of each one's run."""
    new = np.append(True, values[1:] != values[:-1])[: len(values)]
    last = np.append(new[1:], True)[: len(values)]
    return ~(new & last), np.cumsum(new) - 1


def _shared_bands(keys: KeyFiles, found: Copies, parts: int) -> tuple[Numbers, Numbers]:
    """(bucket, document) of every document that shares a band's key with another."""
    buckets, documents, offset = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    for band in range(BANDS):
        for part in range(parts):
            bucket, document = _groups(keys, found.alive, f"band-{band:02d}", part, parts)
            buckets.append(bucket + offset)
            documents.append(document)
            offset += int(bucket[-1]) + 1 if len(bucket) else 0
    return np.concatenate(buckets), np.concatenate(documents)


def _groups(
    keys: KeyFiles, alive: npt.NDArray[np.bool_], name: str, part: int, parts: int
) -> tuple[Numbers, Numbers]:
    """The documents that share a key of one band with another, by group."""
    numbers, values = [], []
    long_enough = keys.parts("shingles", _READ_AT_ONCE)
    for (start, value), (_, shingles) in zip(
        keys.parts(name, _READ_AT_ONCE), long_enough, strict=True
    ):
        wanted = alive[start : start + len(value)] & (shingles >= MIN_SHINGLES)
        mine = np.nonzero(wanted & (value % np.uint64(parts) == part))[0]
        numbers.append(mine + start)
        values.append(value[mine])
    if not numbers:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    number, value = np.concatenate(numbers), np.concatenate(values)
    order = np.argsort(value, kind="stable")
    shared, group = _runs(value[order])
    return group[shared], number[order][shared]


def _drop_near(
    keys: KeyFiles, found: Copies, buckets: Numbers, documents: Numbers, min_agreement: float
) -> None:
    """Take the documents best first; one that is like a kept one goes."""
    least = int(np.ceil(min_agreement * FUNCTIONS))
    short = keys.column("short")
    kept_in: dict[int, list[int]] = {}
    for document, mine in _by_rank(keys, buckets, documents):
        others = dict.fromkeys(k for bucket in mine for k in kept_in.get(bucket, ()))
        if others:
            candidates = np.fromiter(others, dtype=np.int64, count=len(others))
            agree = (short[candidates] == short[document]).sum(axis=1)
            found.compared += len(candidates)
            best = int(agree.argmax())
            if agree[best] >= least:
                found.alive[document] = False
                share = round(float(agree[best]) / FUNCTIONS, 3)
                found.near[document] = (int(candidates[best]), share)
                continue
        for bucket in mine:
            there = kept_in.setdefault(bucket, [])
            if len(there) < MAX_COMPARED:
                there.append(document)


def _by_rank(
    keys: KeyFiles, buckets: Numbers, documents: Numbers
) -> Iterator[tuple[int, list[int]]]:
    """Every document that shares a band, best first, with its buckets."""
    order = np.argsort(documents, kind="stable")
    buckets = buckets[order]
    numbers, starts = np.unique(documents[order], return_index=True)
    ends = np.append(starts[1:], len(buckets))
    for place in rank_order(np.asarray(keys.column("rank")[numbers])).tolist():
        yield int(numbers[place]), buckets[starts[place] : ends[place]].tolist()
