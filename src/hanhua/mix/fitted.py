"""A law of one language that was fitted: what it says of losses, set right by what was measured.

What it leaves over shares at the longest length of all mixtures is set right by a smooth deviation
(:mod:`hanhua.mix.misfit`), and so is what it misses of runs that are ahead of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hanhua.mix.bootstrap import drifts
from hanhua.mix.laws import Floats, Form, named
from hanhua.mix.misfit import NONE, Misfit, waves
from hanhua.mix.table import LEAST, Ahead, Table


@dataclass(frozen=True)
class Fitted:
    """A law that was fitted.

    Args:
        law: its name.
        held_out_error: mean absolute error on what was left out, as a part of the loss.
        errors: law -> the same, of all that were tried.
        parameters: ``[p]``.
        draws: law -> ``[draws, p]`` of bootstrap replicates. Laws that do nearly as well as the
            chosen one have a part in them, so that intervals know that the law may be another.
        spread: standard deviation of one measured loss about the law, of what degrees of freedom
            the law leaves; between seeds, if more.
        drift: how far the law, fitted without the last tokens, misses them, as a part of the loss.
        seed_spread: the same between seeds alone, as a part of the base's loss; 0 if not known.
        misfit: what the law leaves over shares at the longest length, which is set right.
        ahead: mixtures that were run further than the others.
        growth: what the law misses there, which is set right too, with each doubling on the way to
            them and beyond.
    """

    law: str
    held_out_error: float
    errors: dict[str, float] = field(repr=False)
    parameters: Floats = field(repr=False)
    draws: dict[str, Floats] = field(repr=False)
    spread: float
    drift: float
    seed_spread: float
    _table: Table = field(repr=False)
    misfit: Misfit = NONE
    ahead: Ahead | None = None
    growth: Misfit = NONE

    @property
    def is_target(self) -> bool:
        """Whether it is the language to gain."""
        return self._table.is_target

    @property
    def base(self) -> float:
        """Loss before the first step."""
        return self._table.base

    def predict(self, share: float | Floats, tokens: float | Floats) -> Floats:
        """Losses at shares of the target language and tokens; arrays broadcast."""
        return self._at(self.law, self.parameters, share, tokens)

    def predict_draws(self, share: float | Floats, tokens: float | Floats) -> Floats:
        """``[draws, ...]`` the same by every bootstrap replicate."""
        more = max(np.ndim(share), np.ndim(tokens))
        shape = -1, *(1,) * more
        ends = np.cumsum([len(drawn) for drawn in self.draws.values()])
        unknown = self._unknown(int(ends[-1]))
        found = np.concatenate([
            self._at(law, drawn.T.reshape(drawn.shape[1], *shape), share, tokens, off)
            for (law, drawn), *off in zip(
                self.draws.items(), *(np.split(part, ends[:-1]) for part in unknown), strict=True
            )
        ])  # fmt: skip
        times = np.broadcast_to(np.asarray(tokens, float) / self._table.unit, found.shape[1:])
        own, reached = int(self.is_target), 1.0
        if self.ahead is not None:
            reached = self.ahead.tokens
        return found * drifts(self.drift, times, len(found), own, reached)

    def ended(self, share: float | Floats, tokens: float) -> bool:
        """Whether the law leaves no loss at one of the shares: it does not reach so far."""
        part, share = np.asarray(tokens / self._table.unit), np.asarray(share, float)
        own = share if self.is_target else 1 - share
        return bool((self.form(self.law)(self.parameters, own, part) <= LEAST).any())

    def off_ahead(self) -> list[float]:
        """By how much the law misses the runs that are ahead, as parts of their losses."""
        heights = self._heights(self.law, self.parameters, ())
        return [float(off) for off in np.exp(-self._missed(self.law, self.parameters, heights)) - 1]

    def form(self, law: str) -> Form:
        """The law of a name, as a function."""
        return named(law).form

    def _at(
        self, law: str, parameters: Floats, share: float | Floats, tokens: float | Floats,
        unknown: Sequence[Floats] = (),
    ) -> Floats:  # fmt: skip
        """Losses by a law, set right by what it leaves over shares and by the run ahead."""
        share = np.asarray(share, float)
        part = np.maximum(np.asarray(tokens, float) / self._table.unit, 1e-12)
        heights = self._heights(law, parameters, unknown)
        found = self._shaped(law, parameters, share, part, heights)
        if self.ahead is not None:
            grown = np.atleast_2d(self.growth.gained(self._missed(law, parameters, heights)))
            grown = grown + (unknown[2] if unknown else 0.0)
            found = found * np.exp(self.ahead.doublings(part) * _over(share, grown, parameters))
        return np.asarray(self.base * found)

    def _missed(self, law: str, parameters: Floats, heights: Sequence[Floats]) -> Floats:
        """``[..., s]`` what is missed of the runs ahead."""
        assert self.ahead is not None
        flat = parameters.reshape(len(parameters), -1, 1) if parameters.ndim > 1 else parameters
        tokens = np.asarray(self.ahead.tokens)
        return self.ahead.miss(self._shaped(law, flat, self.ahead.shares, tokens, heights))

    def _shaped(
        self, law: str, parameters: Floats, share: Floats, part: Floats, heights: Sequence[Floats]
    ) -> Floats:
        """As parts of the base's loss. What long runs tell fades towards half their length."""
        found = self.form(law)(parameters, share if self.is_target else 1 - share, part)
        found, doublings = np.maximum(found, LEAST), np.log2(part)  # some fall below 0 far beyond
        for own, times in zip(
            heights, (np.clip(1 + doublings, 0, 1), np.maximum(doublings, 0)), strict=False
        ):
            found = found * np.exp(times * _over(share, own, parameters))
        return np.asarray(found)

    def _unknown(self, draws: int) -> list[Floats]:
        """``[draws, k]`` each, not known: of the misfit, of its growth, and of that set right."""
        now, more = self.misfit.unknown(draws, int(self.is_target))
        if self.ahead is None:
            return [now, more]
        return [now, np.zeros_like(more), self.growth.unknown(draws, 2 + int(self.is_target))[0]]

    def _heights(self, law: str, parameters: Floats, unknown: Sequence[Floats]) -> list[Floats]:
        """``[draws, k]`` of the deviation beside a law, and what it may grow by at a doubling."""
        own = self.misfit.shares if self.is_target else 1 - self.misfit.shares
        found = self.form(law)(parameters.reshape(len(parameters), -1, 1), own, np.ones(len(own)))
        heights = self.misfit.heights(np.log(np.maximum(found, LEAST)))
        return [heights + unknown[0], unknown[1]] if unknown else [heights]


def _over(share: Floats, heights: Floats, parameters: Floats) -> Floats:
    """A deviation of such heights ``[draws, k]``, in the shape of a law's losses at the shares."""
    off = np.einsum("...k,dk->d...", waves(share), heights)
    flat = (1,) * max(parameters.ndim - 2 - share.ndim, 0)
    return np.asarray(off.reshape(len(off), *flat, *share.shape) if parameters.ndim > 1 else off[0])
