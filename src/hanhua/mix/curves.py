"""Two falling curves over tokens: where one overtakes the other, and how far a law carries them.

Losses fall by about as much for each doubling of the tokens, so between two measured lengths a
curve is a line over the logarithm of the tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hanhua.mix.laws import Floats

Kind = Literal["before", "within", "beyond"]
FALLS = np.geomspace(0.02, 3.0, 100)
"""Powers that are tried for a law; for each, the rest of it is a line."""
LEAST_POINTS = 4
MISS = 0.01
"""Of the loss: a law that misses the longest run by more, fitted without it, is not trusted."""
FAR = 16.0
"""Times the longest run: further off no crossing is sought."""
LEAST_FREEDOM = 2.0


@dataclass(frozen=True, slots=True)
class Overtaking:
    """Where the second of two curves comes below the first for good.

    Args:
        kind: before the shortest run, within what was run, or beyond the longest (if at all).
        tokens: where, in tokens; None but for ``within``.
        low: where it may be at the earliest; None: before the shortest run. The longest run where
            the gap is surely open at its end.
        high: where it may be at the latest; None: beyond the longest run. The shortest run where
            the gap is surely closed from there on.
        sure: whether the kind stands whatever the gaps are within their interval.
    """

    kind: Kind
    tokens: float | None
    low: float | None
    high: float | None
    sure: bool


def overtaking(tokens: Floats, gap: Floats, half_width: Floats) -> Overtaking:
    """Where a gap comes down to nothing and stays there.

    Args:
        tokens: ``[k]`` rising.
        gap: ``[k]`` second curve less first.
        half_width: ``[k]`` of the interval of each gap.
    """
    at = last_crossing(tokens, gap)
    kind: Kind = "beyond" if gap[-1] > 0 else "before" if at is None else "within"
    low, high = (last_crossing(tokens, gap + sign * half_width) for sign in (-1.0, 1.0))
    ends_behind, ends_ahead = gap[-1] > half_width[-1], gap[-1] < -half_width[-1]
    sure = {
        "beyond": ends_behind,
        "before": ends_ahead and high is None,
        "within": ends_ahead and low is not None,
    }[kind]
    if ends_behind:
        low = float(tokens[-1])
    if not ends_ahead:
        high = None
    elif high is None:
        high = float(tokens[0])
    return Overtaking(kind, at if kind == "within" else None, low, high, bool(sure))


def last_crossing(tokens: Floats, gap: Floats) -> float | None:
    """The last place where a gap comes down through nothing; None where it never does.

    Args:
        tokens: ``[k]`` rising.
        gap: ``[k]``; a gap of 0 is one that is closed.
    """
    down = np.flatnonzero((gap[:-1] > 0) & (gap[1:] <= 0))
    if not len(down):
        return None
    i = int(down[-1])
    part = gap[i] / (gap[i] - gap[i + 1])
    return float(tokens[i] * (tokens[i + 1] / tokens[i]) ** part)


def tokens_to_reach(tokens: Floats, losses: Floats, loss: float) -> float | None:
    """The first tokens at which a curve has come down to a loss; None within what was run.

    Args:
        tokens: ``[k]`` rising.
        losses: ``[k]``.
        loss: to reach. At or above that of the shortest run the answer is the shortest run.
    """
    reached = np.flatnonzero(losses <= loss)
    if not len(reached):
        return None
    i = int(reached[0])
    if i == 0:
        return float(tokens[0])
    part = (losses[i - 1] - loss) / (losses[i - 1] - losses[i])
    return float(tokens[i - 1] * (tokens[i] / tokens[i - 1]) ** part)


@dataclass(frozen=True, slots=True)
class Power:
    """``E + A (D / unit)^-b``, each ``[n]``: one law for each row of losses.

    Args:
        floor: E, not below 0.
        height: A, not below 0.
        falls: b.
        unit: tokens of the longest run.
    """

    floor: Floats
    height: Floats
    falls: Floats
    unit: float

    def at(self, tokens: Floats) -> Floats:
        """``[n, m]`` losses at ``[m]`` tokens."""
        part = (tokens / self.unit) ** -self.falls[:, None]
        return np.asarray(self.floor[:, None] + self.height[:, None] * part)


def fit_power(tokens: Floats, losses: Floats) -> Power:
    """Fit by least squares: for each power on a grid the rest is a line, and the best one counts.

    Args:
        tokens: ``[k]``.
        losses: ``[n, k]``, each row fitted by itself.
    """
    part = tokens / tokens[-1]
    rough = _best_line(part, losses, FALLS[None])[2]
    near = rough[:, None] * np.geomspace(FALLS[0] / FALLS[1], FALLS[1] / FALLS[0], 33)
    return Power(*_best_line(part, losses, near), float(tokens[-1]))


def _best_line(part: Floats, losses: Floats, falls: Floats) -> tuple[Floats, Floats, Floats]:
    """Floor, height and power ``[n]`` of the best of ``[n or 1, g]`` powers."""
    x = part ** -falls[..., None]
    off_x, off_y = x - x.mean(2, keepdims=True), losses - losses.mean(1, keepdims=True)
    height = np.maximum((off_y[:, None] * off_x).sum(2) / (off_x**2).sum(2), 0.0)
    floor = losses.mean(1)[:, None] - height * x.mean(2)
    through = (losses[:, None] * x).sum(2) / (x**2).sum(2)  # no floor below 0
    height, floor = np.where(floor < 0, through, height), np.maximum(floor, 0.0)
    missed = floor[..., None] + height[..., None] * x - losses[:, None]
    best = (missed**2).sum(2).argmin(1)
    rows = np.arange(len(losses))
    powers = np.broadcast_to(falls, height.shape)
    return floor[rows, best], height[rows, best], powers[rows, best]


@dataclass(frozen=True, slots=True)
class Ahead:
    """What laws say of the stretch behind the longest run.

    Args:
        tokens: where the curves cross; None: nowhere near, or the laws are not trusted.
        low: 5th percentile of the replicates; None where even that lies too far.
        high: 95th percentile; None: open.
        why: in a sentence.
    """

    tokens: float | None
    low: float | None
    high: float | None
    why: str


def ahead(
    tokens: Floats, first: Floats, second: Floats, spread: float, *, level: float = 0.9,
    draws: int = 400, seed: int = 0,
) -> Ahead:  # fmt: skip
    """Where the second curve would come below the first, by a power law fitted to each.

    Only said where there are four lengths, and where a law fitted without the longest run
    foretells it to within 1 %. The interval is of replicates: losses drawn about the laws, with
    what they miss widened for how few points tell of it.

    Args:
        tokens: ``[k]`` rising.
        first: ``[k]`` losses of the curve that is ahead.
        second: ``[k]`` losses of the other.
        spread: standard deviation of a loss from one draw to the next; 0 where it isn't known.
        level: of the interval.
        draws: replicates.
        seed: of the replicates.
    """
    if len(tokens) < LEAST_POINTS:
        said = f"a law needs {LEAST_POINTS} lengths, there are {len(tokens)}"
        return Ahead(None, None, None, said)
    missed = max(_miss(tokens, losses) for losses in (first, second))
    if missed > MISS:
        said = f"a power law without the longest run misses it by {missed:.1%} of the loss"
        return Ahead(None, None, None, said)
    far = tokens[-1] * np.geomspace(1.0, FAR, 200)
    rng = np.random.default_rng((seed, 3))
    gap = fit_power(tokens, second[None]).at(far) - fit_power(tokens, first[None]).at(far)
    made = [_replicates(tokens, losses, spread, draws, rng) for losses in (first, second)]
    gaps = fit_power(tokens, made[1]).at(far) - fit_power(tokens, made[0]).at(far)
    at = _first_closed(far, gap)[0]
    edges = (1 - level) / 2, (1 + level) / 2
    low, high = np.quantile(_first_closed(far, gaps), edges, method="nearest")
    if not np.isfinite(at):
        said = f"by power laws they do not cross up to {FAR:g} times the longest run"
        return Ahead(None, _finite(low), None, said)
    said = f"by power laws that foretell the longest run to within {missed:.2%}"
    return Ahead(float(at), _finite(low), _finite(high), said)


def _miss(tokens: Floats, losses: Floats) -> float:
    """How far a law fitted without the last point is off there, as a part of the loss."""
    foretold = fit_power(tokens[:-1], losses[None, :-1]).at(tokens[-1:])[0, 0]
    return float(abs(foretold / losses[-1] - 1))


def _replicates(
    tokens: Floats, losses: Floats, spread: float, draws: int, rng: np.random.Generator
) -> Floats:
    """``[draws, k]`` losses about the law."""
    predicted = fit_power(tokens, losses[None]).at(tokens)[0]
    freedom = max(len(tokens) - 3.0, LEAST_FREEDOM)
    size = max(float(np.sqrt(((losses - predicted) ** 2).sum() / freedom)), spread)
    wide = size * np.sqrt(freedom / rng.chisquare(freedom, (draws, 1)))
    return np.asarray(predicted + wide * rng.standard_normal((draws, len(tokens))))


def _first_closed(tokens: Floats, gaps: Floats) -> Floats:
    """``[n]`` the first tokens at which each row is down at 0; infinite where none is."""
    closed = gaps <= 0
    rows, i = np.arange(len(gaps)), closed.argmax(1)
    before, after = gaps[rows, i - 1], gaps[rows, i]
    inside = i > 0
    part = np.where(inside, before, 0.0) / np.where(inside, before - after, 1.0)
    between = tokens[i - 1] * (tokens[i] / tokens[i - 1]) ** part
    return np.where(closed.any(1), np.where(inside, between, tokens[0]), np.inf)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
