"""How many pieces? The curve of what they save on text that they were not learnt from, and N.

Every piece shortens the text and lengthens the embedding and the head. Compute per character is
tokens per character times parameters that a token meets, so the best N is where that product is
least; for a large model the rows are cheap and the product falls on and on, so N also stops where
a thousand more pieces save less than ``min_gain`` of the tokens: such rare pieces are seen too
seldom to be trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from hanhua.core.progress import Progress
from hanhua.vocab.config import VocabConfig
from hanhua.vocab.cost import Cost
from hanhua.vocab.count import Runs
from hanhua.vocab.extend import Extended, Pool, extend, grow, open_pool, shortened
from hanhua.vocab.family import Family
from hanhua.vocab.script import Script

MOST = 65_536
_STEP = 64


@dataclass(frozen=True, slots=True)
class Point:
    """One size on the curve.

    Args:
        pieces: how many are added.
        tokens_per_char: of held-out text.
        gain_per_thousand: tokens saved by the last thousand pieces up to here, as a part.
        flops_per_char: forward FLOPs a character.
    """

    pieces: int
    tokens_per_char: float
    gain_per_thousand: float
    flops_per_char: float


def curve(
    family: Family, extended: Extended, texts: Sequence[str], cost: Cost, sizes: Iterable[int]
) -> list[Point]:
    """Tokens per character of held-out text with the first so many pieces, for several sizes."""
    chars = sum(map(len, texts))
    found: list[Point] = []
    for size in sorted({0, *sizes}):
        files = shortened(family, extended, size) if size else family.files
        encoded = files.backend.encode_batch_fast(list(texts), add_special_tokens=False)
        rate = sum(len(e.ids) for e in encoded) / max(chars, 1)
        gain = 0.0
        if found and found[-1].tokens_per_char:
            steps = (size - found[-1].pieces) / 1000
            gain = 1 - (rate / found[-1].tokens_per_char) ** (1 / steps)
        flops = rate * cost.flops_per_token(extended.base_tokens + size)
        found.append(Point(size, round(rate, 6), round(gain, 6), round(flops, 1)))
    return found


def sizes_up_to(most: int) -> list[int]:
    """Sizes to draw a curve through, denser where it is steep, all multiples of 64 but the last."""
    parts = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8)
    return sorted({size for part in parts if (size := int(most * part) // _STEP * _STEP)} | {most})


def sized(
    family: Family, script: Script, config: VocabConfig, runs: Runs, texts: Sequence[str],
    cost: Cost, progress: Progress | None = None,
) -> tuple[Extended, list[Point]]:  # fmt: skip
    """Extend by ``config.add`` pieces, or by the number that the curve says; and the curve."""
    if config.add == "auto":
        return choose(family, script, config, runs, texts, cost, progress)
    extended = extend(family, script, config, runs, progress)
    return extended, curve(family, extended, texts, cost, sizes_up_to(config.add))


def choose(
    family: Family, script: Script, config: VocabConfig, runs: Runs, texts: Sequence[str],
    cost: Cost, progress: Progress | None = None,
) -> tuple[Extended, list[Point]]:  # fmt: skip
    """Pick N from the curve and extend by it.

    Args:
        family: the base.
        script: of the target.
        config: limits; ``add`` is "auto".
        runs: what to learn from.
        texts: held-out text of the target.
        cost: the model that pays.
        progress: shows the pieces learnt.

    Returns:
        The extension by the chosen number, and the curve that it was chosen from.
    """
    pool = open_pool(family, script, config, runs, MOST, overshoot=1.0)
    pool.draw(MOST, progress)
    most = _available(pool)
    widest = grow(pool, most)
    points = curve(family, widest, texts, cost, sizes_up_to(most))
    chosen = best(points, config.min_gain, extended_to=widest.base_tokens)
    return grow(pool, chosen), points


def _available(pool: Pool) -> int:
    """How many pieces the text surely holds; a twentieth is kept for dead ones."""
    return max(min(MOST, int(len(pool.learnt) * 0.95)) // _STEP * _STEP, 1)


def best(points: Sequence[Point], min_gain: float, extended_to: int = 0) -> int:
    """The size with the least compute a character, before pieces save too little.

    The vocabulary (``extended_to`` base tokens and the pieces) comes out as a multiple of 64.
    """
    worth = [p for p in points[1:] if p.gain_per_thousand >= min_gain] or list(points[1:2])
    least = min(worth, key=lambda point: point.flops_per_char).pieces
    return max(least - (extended_to + least) % _STEP, 1)


def as_rows(points: Iterable[Point]) -> list[dict[str, float]]:
    """The curve for a report."""
    return [asdict(point) for point in points]
