"""How a law of share and tokens bends with the size of the model.

A size enters a law in one of a few ways, each a power of the size with one exponent, two or three
at most: there are seldom more than four sizes to tell them from. Sizes are parts of the largest
that was measured, so at that size every way is the plain law.

Laws that begin at the base's loss keep to it: a size changes how far they go from it (``depth``)
and how fast (``pace``). The others take the published terms: ``A / N^a`` added (Chinchilla, arXiv
2203.15556; D-CPT's full law, arXiv 2406.01375), and tokens that count for more in a larger model,
which is the joint term ``B / (D^b N^c)`` of arXiv 2407.02118, as ``(D N^(c/b))^-b``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hanhua.mix.laws import LAWS, Floats, Law

Bend = Callable[[Law, Floats, Floats, Floats, Floats, Floats], Floats]
"""Law, its parameters, exponents, share, tokens, size -> loss over the base's."""
ANCHORED = ("anchored", "anchored_gain", "settling_gain")


@dataclass(frozen=True, slots=True)
class Way:
    """A way for a size to enter a law.

    Args:
        name: as it stands in reports.
        bend: see :data:`Bend`.
        low: least exponents.
        high: greatest exponents.
        none: exponents at which size does not matter.
    """

    name: str
    bend: Bend
    low: tuple[float, ...]
    high: tuple[float, ...]
    none: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SizedLaw:
    """A law and the way in which it bends with size.

    Args:
        law: of share and tokens.
        way: of size.
    """

    law: Law
    way: Way

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.law.name}, size by {self.way.name}"

    def form(self, parameters: Floats, share: Floats, tokens: Floats, size: Floats) -> Floats:
        """Loss over the base's.

        Args:
            parameters: ``[p + exponents, ...]``.
            share: of the language itself.
            tokens: as a part of the longest run's.
            size: as a part of the largest model's.
        """
        count = len(self.law.low)
        return self.way.bend(
            self.law, parameters[:count], parameters[count:], share, tokens, size
        )  # fmt: skip

    def at(self, size: Floats) -> Law:
        """The law of one size, or of points that each have their own."""
        return Law(
            self.name, lambda p, share, tokens: self.form(p, share, tokens, size),
            (*self.law.low, *self.way.low), (*self.law.high, *self.way.high),
            self.law.of_share + len(self.way.low), self.law.source,
        )  # fmt: skip


def same(law: Law, p: Floats, _: Floats, share: Floats, tokens: Floats, size: Floats) -> Floats:
    """One law for all sizes, in units of each base's own loss."""
    return law.form(p, share, tokens)


def depth(law: Law, p: Floats, e: Floats, share: Floats, tokens: Floats, size: Floats) -> Floats:
    """``1 + N^a (L - 1)``: how far the loss goes from the base's."""
    return np.asarray(1 + size ** e[0] * (law.form(p, share, tokens) - 1))


def pace(law: Law, p: Floats, e: Floats, share: Floats, tokens: Floats, size: Floats) -> Floats:
    """``L(r, D N^b)``: how fast it goes there."""
    return law.form(p, share, tokens * size ** e[0])


def depth_and_pace(
    law: Law, p: Floats, e: Floats, share: Floats, tokens: Floats, size: Floats
) -> Floats:
    """Both, each with an exponent of its own."""
    far = law.form(p, share, tokens * size ** e[1]) - 1
    return np.asarray(1 + size ** e[0] * far)


def level(law: Law, p: Floats, e: Floats, share: Floats, tokens: Floats, size: Floats) -> Floats:
    """``N^-a L``: the whole loss."""
    return np.asarray(size ** -e[0] * law.form(p, share, tokens))


def added(law: Law, p: Floats, e: Floats, share: Floats, tokens: Floats, size: Floats) -> Floats:
    """``L + A (N^-a - 1)``: the published term; its 1 is a part of the law's own floor."""
    return np.asarray(law.form(p, share, tokens) + np.exp(e[0]) * (size ** -e[1] - 1))


def added_and_pace(
    law: Law, p: Floats, e: Floats, share: Floats, tokens: Floats, size: Floats
) -> Floats:
    """``L(r, D N^b) + A (N^-a - 1)``: with the joint term of size and tokens."""
    return np.asarray(
        law.form(p, share, tokens * size ** e[2]) + np.exp(e[0]) * (size ** -e[1] - 1)
    )


POWER, FASTER, TERM = (-1.5, 1.5), (-2.0, 2.0), ((-8.0, 0.5), (0.02, 1.5))
SAME = Way("nothing", same, (), (), ())
LEVEL = Way("level", level, (POWER[0],), (POWER[1],), (0.0,))
OF_ANCHORED = (
    SAME,
    Way("depth", depth, (POWER[0],), (POWER[1],), (0.0,)),
    Way("pace", pace, (FASTER[0],), (FASTER[1],), (0.0,)),
    Way("depth and pace", depth_and_pace, (POWER[0], FASTER[0]), (POWER[1], FASTER[1]), (0.0, 0.0)),
)
OF_OTHERS = (
    SAME,
    LEVEL,
    Way("an added term", added, (TERM[0][0], TERM[1][0]), (TERM[0][1], TERM[1][1]), (-3.0, 0.3)),
    Way("an added term and pace", added_and_pace, (TERM[0][0], TERM[1][0], FASTER[0]),
        (TERM[0][1], TERM[1][1], FASTER[1]), (-3.0, 0.3, 0.0)),
)  # fmt: skip
SIZED: tuple[SizedLaw, ...] = tuple(
    SizedLaw(law, way)
    for law in LAWS for way in (OF_ANCHORED if law.name in ANCHORED else OF_OTHERS)
)  # fmt: skip


def sized(name: str) -> SizedLaw:
    """The sized law of a name.

    Raises:
        KeyError: when there is none.
    """
    return {one.name: one for one in SIZED}[name]
