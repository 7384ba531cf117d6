"""Cut runs where a byte-level base never merges across: at the borders of its own split.

Asking the base's pre-tokenizer about two million runs one by one takes most of a minute. It tells
characters apart by their class, and all Han of the block that nearly all text is written in are of
one, so a run of those is asked about once for its length and what leads it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hanhua.vocab.count import GAP, Ints, Runs, text_of
from hanhua.vocab.family import Family

_FIRST, _LAST = 0x4E00, 0x9FA5
"""The Han of Unicode 1.1: regexes that name a range of Han hold all of them."""
_HAN = chr(_FIRST)


def cut_runs(runs: Runs, family: Family) -> Runs:
    """The runs, cut; parts of one run share its row.

    Args:
        runs: as counted.
        family: a base that cuts.
    """
    ends = np.flatnonzero(runs.codes == GAP)
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    if not len(ends):
        return runs
    at = _cuts(runs, family, starts, ends)
    if not len(at):
        return runs
    parts = np.bincount(np.searchsorted(ends, at), minlength=len(ends)) + 1
    codes = np.insert(runs.codes, at, np.uint32(GAP))
    return replace(runs, codes=codes, rows=np.repeat(runs.rows, parts))


def _cuts(runs: Runs, family: Family, starts: Ints, ends: Ints) -> Ints:
    """Places in front of which to cut, in order."""
    codes = runs.codes
    han = (codes >= _FIRST) & (codes <= _LAST)
    total = np.concatenate([np.zeros(1, np.int64), np.cumsum(han)])
    lengths = ends - starts
    rest = total[ends] - total[np.minimum(starts + 1, ends)]
    plain = rest == np.maximum(lengths - 1, 0)
    leads = np.where(han[starts], 0, codes[starts]).astype(np.int64)
    key = leads << 32 | lengths
    found: list[npt.NDArray[np.int64]] = []
    where = np.flatnonzero(plain)
    where = where[np.argsort(key[where], kind="stable")]
    kinds, first = np.unique(key[where], return_index=True)
    for kind, lo, hi in zip(kinds.tolist(), first, np.append(first, len(where))[1:], strict=True):
        lead, length = chr(kind >> 32) if kind >> 32 else _HAN, kind & 0xFFFFFFFF
        borders = _borders(family, lead + _HAN * (length - 1))
        found += [starts[where[lo:hi]] + border for border in borders]
    for i in np.flatnonzero(~plain).tolist():
        borders = _borders(family, text_of(codes[starts[i] : ends[i]]))
        if borders:
            found.append(starts[i] + np.array(borders))
    return np.sort(np.concatenate(found)) if found else np.zeros(0, np.int64)


def _borders(family: Family, run: str) -> list[int]:
    at, found = 0, []
    for part in family.split(run):
        at += len(part)
        found.append(at)
    return found[:-1]
