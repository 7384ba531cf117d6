"""What a law's shape misses between mixtures, as far as the longest runs of all of them tell.

A law has a few parameters, and losses over shares another shape than it. What it leaves at the
length that all mixtures were run for is no luck where runs of one mixture lie closer together; it
was measured, so it can be set right: a smooth deviation is laid through what is left, with the
runs' luck about it (Gaussian regression on waves over the share). Between mixtures that were run it
is as unsure as such a deviation is. Source: the discrepancy of a model, as in Kennedy and O'Hagan,
2001, https://doi.org/10.1111/1467-9868.00294.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hanhua.mix.bootstrap import LEAST_FREEDOM
from hanhua.mix.laws import Floats

HEIGHTS = np.array([1.0, 0.9, 0.4, 0.17])
"""Of a level and of waves over the share of one, two and three half lengths."""
GROWING = np.array([10.0, 0.9, 0.4, 0.17])
"""The same of what a law misses of a longer run: most of it may be a level."""
LEAST_LUCK = 1e-4
"""Of a loss."""
UNKNOWN_LUCK = 1.0
"""Of what a law leaves, where no mixture was run twice."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A smooth deviation from a law, of one language.

    Args:
        shares: ``[s]`` of the target language, that were run for ``unit`` tokens.
        logs: ``[s]`` logarithms of the losses there, as parts of the base's.
        size: standard deviation of the deviation, before it is measured.
        luck: of one run, and of each of these losses.
        freedom: degrees of freedom that tell of the luck.
        gain: ``[k, s]`` heights of level and waves by what a law leaves at the shares.
        likely: ``[k]`` how high level and waves are likely to be, as parts of ``size``.
    """

    shares: Floats
    logs: Floats
    size: float
    luck: float
    freedom: float
    gain: Floats
    likely: Floats

    def heights(self, logs: Floats) -> Floats:
        """``[..., k]`` most likely, beside a law of these logarithms ``[..., s]`` at the shares."""
        return self.gained(self.logs - logs)

    def gained(self, left: Floats) -> Floats:
        """``[..., k]`` most likely heights where so much ``[..., s]`` is left at the shares."""
        return np.asarray(left @ self.gain.T)

    def unknown(self, draws: int, seed: int) -> tuple[Floats, Floats]:
        """What is not known of the heights, ``[draws, k]`` each: now, and more at each doubling.

        Drawn as they might have been, less what would be measured of them; how far truth and runs
        scatter is as uncertain as few of them leave it. As far again as it lies from a law the
        truth may go at each doubling beyond, level aside.
        """
        rng, few = np.random.default_rng((seed, 6)), max(len(self.shares) - 2.0, LEAST_FREEDOM)
        size, luck = (
            one * np.sqrt(freedom / rng.chisquare(freedom, (draws, 1)))
            for one, freedom in ((self.size, few), (self.luck, self.freedom))
        )
        before, more = size * self.likely * rng.standard_normal((2, draws, len(HEIGHTS)))
        seen = before @ waves(self.shares).T + luck * rng.standard_normal((draws, len(self.shares)))
        return np.asarray(before - seen @ self.gain.T), more * (np.arange(len(HEIGHTS)) > 0)


def waves(share: Floats) -> Floats:
    """``[..., k]`` a level, and waves of half lengths over the shares from 0 to 1.

    Stretched at both ends, where little of a language counts for much.
    """
    place = 2 * np.arcsin(np.sqrt(np.clip(np.asarray(share, float), 0, 1)))[..., None]
    turns = np.arange(len(HEIGHTS)) * place
    return np.asarray(np.cos(turns) * np.where(np.arange(len(HEIGHTS)), np.sqrt(2), 1))


def misfit_of(
    shares: Floats, logs: Floats, size: float, luck: float, freedom: float,
    likely: Floats = HEIGHTS,
) -> Misfit:  # fmt: skip
    """The deviation of a law that is off by about so much.

    Args:
        shares: ``[s]`` of the target language.
        logs: ``[s]`` logarithms of the losses measured, as parts of the base's.
        size: of the deviation, its standard deviation over shares.
        luck: standard deviation of one run's loss, as a part of it; 0 if not known.
        freedom: degrees of freedom that tell of it.
        likely: ``[k]`` how high level and waves are likely to be, as parts of the size.
    """
    size = max(size, LEAST_LUCK)
    luck = max(luck or UNKNOWN_LUCK * size, LEAST_LUCK)
    basis, prior = waves(shares), (size * likely) ** 2
    spread = basis @ (prior[:, None] * basis.T) + luck**2 * np.eye(len(shares))
    gain = np.linalg.solve(spread, basis * prior).T
    return Misfit(shares, logs, size, luck, max(freedom, LEAST_FREEDOM), gain, likely)


NONE = Misfit(
    np.zeros(1), np.zeros(1), 0.0, 0.0, LEAST_FREEDOM, np.zeros((len(HEIGHTS), 1)), HEIGHTS
)
"""Of a law that is taken as it is."""
