"""One language of a study as arrays, and what was run of one mixture beyond the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hanhua.core.errors import InputError
from hanhua.mix.bootstrap import between_seeds
from hanhua.mix.laws import Floats
from hanhua.mix.orders import line_up
from hanhua.mix.points import Study

LEAST = 1e-5
"""Of a loss as a part of the base's, where its logarithm is taken."""


@dataclass(frozen=True, slots=True)
class Table:
    """One language of a study as arrays.

    Args:
        share: ``[n]`` of this language in what was trained on.
        tokens: ``[n]`` as a part of ``unit``.
        loss: ``[n]`` as a part of ``base``, orders of the documents lined up.
        runs: ``[n]`` number of the run.
        orders: ``[n]`` number of the documents' order.
        base: loss before the first step.
        unit: tokens of the longest run.
        is_target: whether ``share`` is the study's share itself.
        floor: how far losses of one mixture scatter between orders, and degrees of freedom.
    """

    share: Floats
    tokens: Floats
    loss: Floats
    runs: Floats
    orders: Floats
    base: float
    unit: float
    is_target: bool
    floor: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Ahead:
    """Mixtures that were run further than the others, and how far the law misses there.

    Args:
        shares: ``[s]`` of the target language.
        own: ``[s]`` of this language.
        tokens: as a part of the table's unit, more than 1.
        losses: ``[s]`` as parts of the base's.
    """

    shares: Floats
    own: Floats
    tokens: float
    losses: Floats

    def miss(self, found: Floats) -> Floats:
        """``[s]`` logarithms of the losses measured over what a law says of them."""
        return np.asarray(np.log(self.losses / np.maximum(found, LEAST)))

    def doublings(self, tokens: Floats) -> Floats:
        """Beyond the longest of the other runs, as a part of those up to this one."""
        return np.asarray(np.log2(np.maximum(tokens, 1)) / np.log2(self.tokens))


def as_table(study: Study, language: str) -> Table:
    """One language of a study as arrays.

    Raises:
        InputError: when it has fewer than two mixtures or four points of the language.
    """
    points = [
        point for point in study.points
        if 0 < point.tokens <= study.longest and language in point.losses
    ]  # fmt: skip
    is_target = language == study.target
    if len(points) < 4 or len({point.share for point in points}) < 2:
        raise InputError(
            "Too little was measured to fit a law.", where=f"losses of {language}",
            found=f"{len(points)} points at {len({p.share for p in points})} mixtures",
            fix="run at least two mixtures with two evaluations each; four mixtures are better",
        )  # fmt: skip
    base = study.base.get(language, 0.0)
    losses = np.array([point.losses[language] for point in points])
    if not base > 0 or not (np.isfinite(losses) & (losses > 0)).all():
        raise InputError(
            "A law needs the base's loss, and losses that are positive numbers.",
            where=f"losses of {language}", found=f"base {base}, least {losses.min()}",
            fix="measure the base before the first step, and leave out runs that diverged",
        )  # fmt: skip
    share = np.array([point.share for point in points])
    tokens = np.array([point.tokens for point in points])
    _, runs = np.unique([point.run for point in points], return_inverse=True)
    _, orders = np.unique([point.seed for point in points], return_inverse=True)
    unit = float(tokens.max())
    own = share if is_target else 1 - share
    lined = line_up(own, tokens, losses / base, orders)
    floor = between_seeds(own, tokens, losses / base, runs)
    return Table(own, tokens / unit, lined, runs, orders, base, unit, is_target, floor)


def ahead_of(study: Study, language: str, table: Table) -> Ahead | None:
    """The longest of what was run of a few mixtures only, beyond the others; None if nothing was.

    Args:
        study: what was measured.
        language: its target or its source.
        table: of the language.
    """
    points = [one for one in study.points if one.tokens > study.longest and language in one.losses]
    if not points:
        return None
    most = max(one.tokens for one in points)
    found = sorted((one.share, one.losses[language]) for one in points if one.tokens == most)
    shares, losses = np.array(found).T
    own = shares if table.is_target else 1 - shares
    return Ahead(shares, own, most / table.unit, losses / table.base)
