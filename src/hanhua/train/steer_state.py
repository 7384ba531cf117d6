"""Where the steering of a mixture stands (``steer.py``); goes into every checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hanhua.tokens.mixed import MixedState

DIGITS = 6
Exposure = Mapping[str, float]
OutOfReach = Mapping[str, Any]
"""``language``, its ``limit``, the ``least`` loss thought possible at the end and the ``share`` of
the target that gives it, and at how many ``times`` in a row, ``since_step``, that was so."""


@dataclass(frozen=True, slots=True)
class SteerState:
    """Where steering stands.

    Args:
        shares: of tokens by language, now; empty before the first step.
        mixed: where reading stands.
        exposure: tokens times learning rate, by language, in the last phase so far.
        begun: losses by language when that phase began, or measured last before.
        seen: measurements in it, oldest first: ``step``, ``exposure`` and ``losses`` of each.
        projected: losses at the end by language, at the shares now: the middle, the least and the
            greatest of all fits.
        out_of_reach: that no share within the bounds is thought to meet the wish, if so.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    mixed: MixedState = field(default_factory=MixedState)
    exposure: Exposure = field(default_factory=dict)
    begun: Mapping[str, float] = field(default_factory=dict)
    seen: Sequence[Mapping[str, Any]] = ()
    projected: Mapping[str, Sequence[float]] = field(default_factory=dict)
    out_of_reach: OutOfReach | None = None

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> SteerState:
        """From a checkpoint's JSON; an older one has none."""
        return cls(**(dict(found) | {"mixed": MixedState(**found.get("mixed", {}))}))

    def told(self) -> dict[str, Any]:
        """For the log."""
        shares = {name: round(share, DIGITS) for name, share in self.shares.items()}
        beyond = {"out_of_reach": dict(self.out_of_reach)} if self.out_of_reach else {}
        return {"shares": shares, "projected": dict(self.projected), **beyond}
