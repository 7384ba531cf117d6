"""Which of the pieces learnt are worth an id: those that text of many kinds uses.

Learning counts occurrences, so a phrase that one collection repeats ranks with a word that all of
them use. A vocabulary meets other text than it was learnt from, so about twice as many pieces are
learnt as wanted, and the others are taken away again, the least useful first. A piece's use is

    U = sum over sources of affinity(source)^2 * (occurrences per million characters)^0.5

times two for a single character (three byte tokens without it, where a longer piece falls apart
into two). The root is what prefers a piece of many sources to one of a single source; exponents
were chosen on collections that nothing was learnt from (benchmarks, 2026-11-25). A piece goes only
when no other is made from it, and its occurrences then count for its two parts.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hanhua.vocab.count import Ints
from hanhua.vocab.symbols import Learnt

POWER = 0.5
SINGLE = 2.0
Floats = npt.NDArray[np.float64]


def rank(
    learnt: Sequence[Learnt], uses: Mapping[str, Ints], chars: Floats, weights: Floats
) -> list[Learnt]:
    """The pieces, most useful first; a piece stands behind the two that it was merged from.

    Args:
        learnt: pieces in the order learnt.
        uses: occurrences of each by source, with all of them in the vocabulary.
        chars: characters of each source.
        weights: of each source, e.g. the squares of :meth:`Survey.affinity`.

    Returns:
        All of them: the first N are the N to take.
    """
    scale = 1e6 / np.maximum(chars, 1.0)
    rates = {p.piece: uses[p.piece] * scale for p in learnt if p.piece in uses}
    nothing = np.zeros(len(chars))
    by_name = {piece.piece: piece for piece in learnt}
    needed = dict.fromkeys(by_name, 0)
    for piece in learnt:
        for part in piece.parts:
            if part in needed:
                needed[part] += 1

    def use(name: str) -> float:
        value = float(weights @ rates.get(name, nothing) ** POWER)
        return value * (1.0 if by_name[name].parts else SINGLE)

    order = {name: i for i, name in enumerate(by_name)}
    heap = [(use(name), -order[name], name) for name, count in needed.items() if not count]
    heapq.heapify(heap)
    removed: list[Learnt] = []
    while heap:
        _, _, name = heapq.heappop(heap)
        removed.append(by_name[name])
        for part in by_name[name].parts:
            if part not in needed:
                continue
            rates[part] = rates.get(part, nothing) + rates.get(name, nothing)
            needed[part] -= 1
            if not needed[part]:
                heapq.heappush(heap, (use(part), -order[part], part))
    return removed[::-1]
