"""Steering the mixture while it trains, so that a wish is met at the end. Off by default.

Behind each measurement of held-out text both languages' losses are projected to the end
(``projection.py``), from the last phase alone, as earlier ones train other weights at other rates.
Once a part of it is behind us (``wait_share``), the share to go on with is chosen: the most of the
target language that keeps the limit on the source, or the least that brings the target down to its
limit. A share moves by no more than a step at a time and never out of its bounds: a projection is a
guess that the next measurement corrects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hanhua.core.errors import RecipeError
from hanhua.core.wish import Wish, parse_wish
from hanhua.tokens.loader import Batch
from hanhua.tokens.mixed import MixedRows
from hanhua.tokens.rows import PackedRows
from hanhua.train.config import OptimConfig, SteerConfig
from hanhua.train.projection import Moment, Projection, heats, project
from hanhua.train.schedule import Plan, learning_rate
from hanhua.train.steer_state import DIGITS, OutOfReach, SteerState

GRID = 201
CAUTION = 0.8
"""Of all projections, the part that may be more hopeful than the one that is gone by."""


class Steering:
    """Chooses the rows of each step, and the shares.

    Args:
        config: the section.
        training: the section around it.
        rows: what to read.
        spare: rows beyond their shares, for what is asked for above them.
        plan: of the steps.
        seed: the recipe's.
        languages: target and source.

    Raises:
        RecipeError: when the rows lack one of the languages, the wish is about another, or rows or
            shares cannot be had within the bounds.
    """

    def __init__(
        self, config: SteerConfig, training: OptimConfig, rows: PackedRows,
        spare: PackedRows | None, plan: Plan, seed: int, languages: tuple[str, str],
    ) -> None:  # fmt: skip
        self.config, self.training, self.plan = config, training, plan
        self.target, self.source = languages
        self.wish: Wish = parse_wish(config.wish)
        self.mixed = MixedRows(rows, seed, config.max_passes, spare)
        _check(self.wish, languages, rows.languages)
        counted = rows.meta["tokens_by_language"]
        self.first = {name: counted.get(name, 0) / rows.n_tokens for name in rows.languages}
        self.pair = self.first[self.target] + self.first[self.source]
        self._check_room()
        self.last = plan.phases[-1]
        rates = np.array([self._rate(step) for step in range(plan.steps)])
        taught = rates * [plan.rows_in(step) for step in range(plan.steps)]
        ahead = np.append(np.cumsum(taught[::-1])[::-1], 0.0)
        self.ahead = ahead * rows.n_tokens / len(rows)
        self.heats = heats(rates[self.last.start : self.last.stop])

    def _check_room(self) -> None:
        """Refuse now what would fail on the way."""
        if self.config.low > self.pair:
            raise RecipeError(
                "Other languages leave less than the least share.", where="pretrain.steer.low",
                found=f"{self.config.low:g}, {self.target} and {self.source} have {self.pair:.3g}",
                fix=f"lower it below {self.pair:.3g}",
            )  # fmt: skip
        held = sum(self.mixed.most.values())
        if self.plan.total_rows > held:
            raise RecipeError(
                "The run reads more rows than steering may read.",
                where="pretrain.steer.max_passes",
                found=f"{self.config.max_passes:g} passes are {held:,} rows, the run reads "
                f"{self.plan.total_rows:,}",
                fix="raise it to pretrain.epochs or more, or lower epochs or steps",
            )  # fmt: skip

    def _rate(self, step: int) -> float:
        """Of the last phase; before it 0."""
        return learning_rate(self.training, self.last, step) if step >= self.last.start else 0.0

    def begin(self) -> SteerState:
        """Before the first step: the rows' own shares, brought within the bounds."""
        low, high = self.config.low, min(self.config.high, self.pair)
        return SteerState(shares=self._shares(float(np.clip(self.first[self.target], low, high))))

    def _shares(self, share: float) -> dict[str, float]:
        """All shares where the target has this one: other languages keep theirs."""
        pair = {self.target: share, self.source: self.pair - share}
        return {name: round(pair.get(name, own), 12) for name, own in self.first.items()}

    def batch(self, state: SteerState, step: int) -> tuple[Batch, SteerState]:
        """The rows of a step (from 0), and the state when they are learnt."""
        batch, mixed = self.mixed.read(state.mixed, self.plan.rows_in(step), state.shares)
        rate = self._rate(step)
        exposure = {
            name: state.exposure.get(name, 0.0)
            + rate * (mixed.tokens[name] - state.mixed.tokens.get(name, 0))
            for name in mixed.tokens
        }
        return batch, replace(state, mixed=mixed, exposure=exposure)

    def see(
        self, state: SteerState, step: int, start: Mapping[str, float], losses: Mapping[str, float]
    ) -> SteerState:
        """The state behind a measurement, with the shares to go on with.

        Args:
            state: before.
            step: steps behind us.
            start: losses before the first step.
            losses: measured now.
        """
        if not all(map(math.isfinite, losses.values())):
            return state  # nothing can be told from it; guard and gate see it too
        if step <= self.last.start:
            return replace(state, begun=dict(losses))
        now = {
            "step": step, "exposure": dict(state.exposure), "losses": dict(losses),
        }  # fmt: skip
        state = replace(state, begun=state.begun or dict(start), seen=(*state.seen, now))
        fits = {name: self._project(name, state) for name in (self.target, self.source)}
        share, beyond = state.shares[self.target], None
        done = (step - self.last.start) / (self.last.stop - self.last.start)
        if done >= self.config.wait_share and step < self.plan.steps:
            share = self._choose(fits, start, state, step)
            beyond = self._out_of_reach(fits, start, state, step)
        projected = {
            name: [round(float(end), DIGITS) for end in np.quantile(ends, (0.5, 0.0, 1.0))]
            for name, fit in fits.items()
            for ends in [self._ends(name, fit, state, step, np.array([share]))]
        }
        return replace(
            state, shares=self._shares(share), projected=projected, out_of_reach=beyond
        )  # fmt: skip

    def _project(self, language: str, state: SteerState) -> Projection:
        moments = []
        for one in state.seen:
            parts = {name: part / self.ahead[0] for name, part in one["exposure"].items()}
            own = parts[language]
            moments.append(
                Moment(
                    own, sum(parts.values()) - own, self._heat(one["step"]), one["losses"][language]
                )
            )
        return project(state.begun[language], moments)

    def _ends(
        self, language: str, fit: Projection, state: SteerState, step: int, shares: Any
    ) -> Any:
        """``[fits, n]`` losses at the end, if the rest has these shares of the target."""
        rest = self.ahead[step] / self.ahead[0]
        all_new = rest * (shares if language == self.target else self.pair - shares)
        own = state.exposure[language] / self.ahead[0]
        whole = sum(state.exposure.values()) / self.ahead[0]
        return fit.at(own + all_new, whole - own + rest - all_new, self._heat(self.plan.steps))

    def _heat(self, step: int) -> tuple[float, ...]:
        """Behind so many steps, with each lag."""
        return tuple(self.heats[:, step - 1 - self.last.start].tolist())

    def _choose(
        self, fits: Mapping[str, Projection], start: Mapping[str, float], state: SteerState,
        step: int,
    ) -> float:  # fmt: skip
        """The share nearest to the wish, within the bounds and a step from where it is.

        By a projection that most others lie below: what was lost is not won back as easily.
        """
        now, most = state.shares[self.target], self.config.max_move
        low = max(self.config.low, now - most)
        high = min(self.config.high, self.pair, now + most)
        shares = np.linspace(low, high, GRID)
        language = self.wish.language
        ends = np.quantile(self._ends(language, fits[language], state, step, shares), CAUTION, 0)
        met = shares[ends <= self.wish.limit(start)]
        if language == self.target:
            return float(met.min() if len(met) else shares[-1])
        return float(met.max() if len(met) else shares[0])

    def _out_of_reach(
        self, fits: Mapping[str, Projection], start: Mapping[str, float], state: SteerState,
        step: int,
    ) -> OutOfReach | None:  # fmt: skip
        """What to say where by no fit any share within the bounds would meet the wish."""
        language, limit = self.wish.language, self.wish.limit(start)
        shares = np.linspace(self.config.low, min(self.config.high, self.pair), GRID)
        ends = self._ends(language, fits[language], state, step, shares)
        if float(ends.min()) <= limit:
            return None
        middle = np.median(ends, 0)
        found = {
            "language": language, "limit": round(limit, DIGITS),
            "least": round(float(middle.min()), DIGITS),
            "share": round(float(shares[middle.argmin()]), DIGITS),
        }  # fmt: skip
        before = state.out_of_reach or {"since_step": step, "times": 0}
        return {**found, "since_step": before["since_step"], "times": before["times"] + 1}

    def facts(
        self, state: SteerState, start: Mapping[str, float], end: Mapping[str, float]
    ) -> dict[str, Any]:
        """What the record says of it.

        Args:
            state: at the end.
            start: losses before the first step.
            end: of the model that is saved.
        """
        limit = self.wish.limit(start)
        ended = end[self.wish.language]
        tokens = state.mixed.tokens
        total = max(sum(tokens.values()), 1)
        return {"steer": {
            "wish": self.wish.text, "asked": {n: round(s, DIGITS) for n, s in self.first.items()},
            "counted": {name: round(n / total, DIGITS) for name, n in tokens.items()},
            "passes": {
                name: round(n / len(self.mixed.of[name]), 3)
                for name, n in state.mixed.read.items() if len(self.mixed.of[name])
            },
            "last": {name: round(share, DIGITS) for name, share in state.shares.items()},
            "limit": round(limit, DIGITS), "ended": round(ended, DIGITS), "kept": ended <= limit,
        }}  # fmt: skip


def open_steering(
    config: OptimConfig, rows: PackedRows, spare: PackedRows | None, plan: Plan, seed: int,
    languages: tuple[str, str] | None,
) -> Steering | None:  # fmt: skip
    """The steering that a section asks for, if it does.

    Raises:
        RecipeError: when there is nothing to steer, see :class:`Steering`.
    """
    section = getattr(config, "steer", None)
    if section is None:
        return None
    assert languages, "who trains with steering says which languages"
    return Steering(section, config, rows, spare, plan, seed, languages)


def _check(wish: Wish, languages: tuple[str, str], known: Sequence[str]) -> None:
    missing = [name for name in languages if name not in known]
    if missing or languages[0] == languages[1]:
        raise RecipeError(
            "Steering needs rows of both languages.", where="pretrain.steer",
            found=f"rows of {', '.join(known)}",
            fix=f"give {' and '.join(dict.fromkeys(languages))} shares in tokens.shares, or take "
            "steer out",
        )  # fmt: skip
    if wish.language not in languages:
        raise RecipeError(
            "The mixture is steered to a limit on one of its languages.",
            where="pretrain.steer.wish", found=wish.text,
            fix=f"write {languages[1]}+1%, {languages[1]}+0.02 or {languages[0]}<=1.10",
        )  # fmt: skip
