"""Where a model moved: drift by position in the text, by source, by piece and by text.

All of it is sums of the divergences that ``drift.measure`` keeps at every position, so the parts
add up to the whole. Positions are the base's tokens, the same for every model of a run; by
position and by piece the unit is therefore bits per token, while by source and by text it is bits
per byte, like the whole. Intervals are a bootstrap over texts, since positions of one text move
together.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hanhua.eval.compare import ratio, tidy

if TYPE_CHECKING:
    from hanhua.eval.drift import TextDrift

PIECES = 20
"""Pieces that are told, those with the largest share of the divergence first."""

TEXTS = 6
"""Texts that are told, those that moved most per byte first."""

MIN_TOKENS = 8
"""A shorter text is not among those told: one token would make it first."""


def where_it_moved(found: Sequence[TextDrift], seed: int, draws: int) -> dict[str, Any]:
    """Parts of the divergence.

    Args:
        found: texts with their positions; of an older version without them, only sources.
        seed: of the bootstraps.
        draws: of the bootstraps.

    Returns:
        ``by_source``, a mapping, and the lists ``by_position`` (``first`` and ``last``, counted
        from 1; doubling), ``by_piece`` (with its ``n`` occurrences, the ``texts`` that they stand
        in and its ``share`` of all divergence) and ``by_text`` (the most moved), each with value,
        low and high as far as they have an interval.
    """
    texts = [t for t in found if t.kl]
    return {
        "by_source": {name: _of_source([t for t in found if t.source == name], seed, draws)
                      for name in sorted({t.source for t in found})},
        "by_position": _by_position(texts, seed, draws),
        "by_piece": _by_piece(texts, seed, draws),
        "by_text": _by_text(texts),
    }  # fmt: skip


def _of_source(found: Sequence[TextDrift], seed: int, draws: int) -> dict[str, Any]:
    sizes = [t.n_bytes for t in found]
    bits = [_bits(t.nats) for t in found]
    return _ratio(bits, sizes, seed, draws) | {"n_docs": len(found), "n_bytes": sum(sizes)}


def _by_position(texts: Sequence[TextDrift], seed: int, draws: int) -> list[dict[str, Any]]:
    """Bits per token at positions 1, 2-3, 4-7, 8-15 …, where there are any."""
    rows = []
    longest = max((len(t.kl) for t in texts), default=0)
    for power in range(longest.bit_length()):
        first, last = 2**power, min(2 ** (power + 1) - 1, longest)
        parts = [part for t in texts if (part := t.kl[first - 1 : last])]
        bits, n = [_bits(math.fsum(part)) for part in parts], [len(part) for part in parts]
        rows.append({
            "first": first, "last": last, "n": sum(n), "texts": len(parts),
            **_ratio(bits, n, seed, draws),
        })  # fmt: skip
    return rows


def _by_piece(texts: Sequence[TextDrift], seed: int, draws: int) -> list[dict[str, Any]]:
    """Bits per occurrence of the pieces that stand where most of the divergence is."""
    total: defaultdict[str, float] = defaultdict(float)
    of_text: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for place, text in enumerate(texts):
        for piece, nats in zip(text.pieces, text.kl, strict=True):
            total[piece] += nats
            of_text[piece][place].append(nats)
    whole = math.fsum(total.values())
    if whole <= 0:
        return []
    order = sorted(total, key=lambda piece: (-total[piece], piece))
    rows = []
    for piece in order[:PIECES]:
        parts = list(of_text[piece].values())
        bits, n = [_bits(math.fsum(part)) for part in parts], [len(part) for part in parts]
        rows.append({
            "piece": piece, "n": sum(n), "texts": len(parts), "share": tidy(total[piece] / whole),
            **_ratio(bits, n, seed, draws),
        })  # fmt: skip
    return rows


def _by_text(texts: Sequence[TextDrift]) -> list[dict[str, Any]]:
    long = [t for t in texts if t.n_tokens >= MIN_TOKENS and t.nats > 0]
    order = sorted(long, key=lambda t: (-t.nats / t.n_bytes, t.id))
    return [
        {"id": t.id, "source": t.source, "value": tidy(_bits(t.nats) / t.n_bytes),
         "n_tokens": t.n_tokens, "n_bytes": t.n_bytes}
        for t in order[:TEXTS]
    ]  # fmt: skip


def _ratio(
    bits: Sequence[float], sizes: Sequence[int], seed: int, draws: int
) -> dict[str, float | None]:
    """Value with its interval; one text says nothing of how texts differ, so it has none."""
    found = ratio(bits, sizes, seed, draws).as_dict()
    return found if len(bits) > 1 else {**found, "low": None, "high": None}


def _bits(nats: float) -> float:
    return nats / math.log(2)
