"""Small runs that stand in for the large one: the same walk, other shares, fewer tokens.

A small run is the recipe's own walk up to ``pretrain``: the same base, corpus, vocabulary and
start, made once and shared. What differs, and why:

*Length.* A cosine that is cut off is not a shorter cosine, so the moments of one run cannot stand
for runs that were that long. The default (``mix.schedule: own``) makes whole short runs, each with
the recipe's own schedule and phases to its end, at a few lengths, each half the next: every point
is the end of a run as the user would make it. ``steady`` is cheaper: one run a share that warms up
and then stays at the mean of the recipe's learning rates, as the trunk of warmup-stable-decay
(arXiv 2405.18392), measured at many moments. What the last decay gains is missing from them, in
both languages: they tell how mixtures differ, and less well whether a limit will be kept.

*Ahead.* A law of a few short lengths does not know what comes later: a model on its way into a new
language passes a bend. So two shares are also run for longer (``mix.ahead``); what the law misses
there is set right for all shares.

*Order.* Rows are drawn from documents of several times as many tokens as a small run reads, in one
seeded order whatever the share: two mixtures read the same rows of a language, one only further
than the other; shorter runs read the first rows of the longer. What differs between runs is then
the mixture, not the luck of the draw. Whole documents would be luck: most of a corpus may stand in
documents of many rows, so a small run would read a few dozen of them, one after the other, where
the large run reads thousands, shuffled.

*Guard.* A rare language's rows look like spikes to it, and it would refuse the very text that the
mixture is about. It is off.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hanhua.core.config import Machine
from hanhua.core.errors import UsageError
from hanhua.core.progress import Progress, duration
from hanhua.mix.collect import one_count, one_share, read_run
from hanhua.mix.config import MixConfig
from hanhua.mix.points import Point, Study
from hanhua.mix.saved import HERE
from hanhua.tokens.config import TokensConfig
from hanhua.train.config import OptimConfig, TrainConfig, WatchConfig
from hanhua.train.schedule import lay_out, learning_rate

LEAST_STEPS = 256
"""Of the longest small run, where its length is not given."""
PART_OF_BUDGET = 10
SHORTEST_STEPS = 10
"""Of any small run: fewer are all warm-up."""
POOL = 8
"""Times the longest small run's tokens: from documents of so many its rows are drawn."""
TOLERANCE = 0.05
"""Small budgets miss a share by a document; the law is fitted on counted shares."""
NEVER = 10**9
LEAST_AHEAD = 1.5
"""Times the longest small run's tokens: less tells nothing that it does not."""
NEAR = {"own": 1.3, "steady": 1.02}
"""Times a token count: up to it another is the same. Lengths are further apart, and so are moments;
the first few rows of two mixtures are not filled alike."""


@dataclass(frozen=True, slots=True)
class Small:
    """One small run to make.

    Args:
        share: of the target language, asked for.
        tokens: section of the rows.
        training: section of the training.
        budget: tokens that it reads, about.
        seed: of the documents' order, counted from the recipe's.
        rate: peak learning rate, where it is not the recipe's.
    """

    share: float
    tokens: TokensConfig
    training: TrainConfig
    budget: int
    seed: int = 0
    rate: float | None = None

    def title(self, target: str) -> str:
        """For people: share, length, and seed and learning rate where they aren't the recipe's."""
        more = f", seed +{self.seed}" if self.seed else ""
        more += f", learning rate {self.rate:g}" if self.rate else ""
        return f"{self.share:.0%} {target}, {self.budget:,} tokens{more}"


@dataclass(frozen=True, slots=True)
class Made:
    """What a small run left.

    Args:
        tokens: the artifact of the rows.
        pretrain: the artifact of the training.
        fresh: whether any of it was made now, not before.
    """

    tokens: Path
    pretrain: Path
    fresh: bool


def proxy_tokens(tokens: TokensConfig, training: TrainConfig, mix: MixConfig) -> int:
    """How many tokens the longest small run reads.

    Raises:
        UsageError: when the shortest would be hardly a step, or the longest more than the large.
    """
    wanted = max(tokens.budget_tokens // PART_OF_BUDGET, LEAST_STEPS * training.batch_tokens)
    found = mix.tokens or min(wanted, tokens.budget_tokens)
    halved = 2 ** (mix.lengths - 1) if mix.schedule == "own" else 1
    least = halved * SHORTEST_STEPS * training.batch_tokens
    if not least <= found <= tokens.budget_tokens:
        raise UsageError(
            "So many tokens make no small run.", where="mix.tokens or --tokens",
            found=f"{found:,}",
            fix=f"choose from {least:,} ({SHORTEST_STEPS} steps for the shortest run) to "
            f"{tokens.budget_tokens:,} (tokens.budget_tokens)",
        )  # fmt: skip
    return found


def shares_at(
    asked: Mapping[str, float], target: str, source: str, share: float
) -> dict[str, float]:
    """The shares of a mixture: other languages keep theirs, the source has what is left.

    Args:
        asked: the recipe's.
        target: the language to gain.
        source: the language to keep.
        share: of the target, of all tokens.

    Raises:
        UsageError: when it is less than nothing or leaves the source less than nothing.
    """
    others = {name: part for name, part in asked.items() if name not in (target, source)}
    most = round(1.0 - sum(others.values()), 12)
    if not 0.0 <= share <= most:
        raise UsageError(
            f"No mixture has this share of {target}.", where="mix.shares or --shares",
            found=f"{share:g}", fix=f"choose shares from 0 to {most:g}",
        )  # fmt: skip
    return {**others, target: share, source: round(most - share, 12)}


def small_runs(
    tokens: TokensConfig, training: TrainConfig, mix: MixConfig, shares: Mapping[str, float],
    target: str, seed: int = 0,
) -> list[Small]:  # fmt: skip
    """The small runs of one mixture, the shortest first.

    Args:
        tokens: the recipe's section.
        training: the recipe's section.
        mix: how long the small runs are and how they are measured.
        shares: of the mixture.
        target: the language to gain.
        seed: of the documents' order, counted from the recipe's.

    Raises:
        UsageError: see :func:`proxy_tokens`.
    """
    budget = proxy_tokens(tokens, training, mix)
    rows = tokens.model_copy(update={
        "shares": dict(shares), "budget_tokens": budget,
        "tolerance": max(tokens.tolerance, TOLERANCE),
        "pool_tokens": POOL * budget, "order": tokens.order + seed,
    })  # fmt: skip
    own = mix.schedule == "own"
    every = NEVER if own else max(round(budget / training.batch_tokens / mix.moments), 1)
    watch = WatchConfig(every_steps=every, docs=mix.docs, max_chars_per_doc=mix.max_chars_per_doc)
    shape = training if own else _steady(training)
    parts = [0.5**i for i in reversed(range(mix.lengths))] if own else [1.0]
    return [
        Small(shares[target], rows, shape.model_copy(update={
            "epochs": part, "steps": None, "watch": watch, "stop": None, "guard": None,
            "steer": None,
        }), round(part * budget), seed)
        for part in parts
    ]  # fmt: skip


def further(shares: Sequence[float], runs: int) -> list[float]:
    """Which of the shares run go further: the middle one, or two that leave as many outside.

    Args:
        shares: in order.
        runs: 1 or 2.
    """
    at = (len(shares) - 1) // 4 if len(shares) > 3 else 0
    return [shares[len(shares) // 2]] if runs == 1 else [shares[at], shares[-1 - at]]


def run_ahead(
    tokens: TokensConfig, training: TrainConfig, mix: MixConfig, shares: Mapping[str, float],
    target: str,
) -> Small | None:  # fmt: skip
    """The run of one mixture that goes further than those of the others, on the same rows first.

    Args:
        tokens: the recipe's section.
        training: the recipe's section.
        mix: how much further.
        shares: of the mixture.
        target: the language to gain.

    Returns:
        None where it would be no longer: the large run is as short, or runs are steady.
    """
    one = small_runs(tokens, training, mix, shares, target)[-1]
    budget = min(round(mix.ahead * one.budget), tokens.budget_tokens)
    if mix.schedule != "own" or budget < LEAST_AHEAD * one.budget:
        return None
    return replace(one, tokens=one.tokens.model_copy(update={"budget_tokens": budget}),
                   budget=budget)  # fmt: skip


def scaled_average(training: TrainConfig, part: float) -> TrainConfig:
    """The section for a run of another length: a half-life in steps is as long a part of it.

    Args:
        training: of the recipe's run.
        part: length of the other run over that of the recipe's.
    """
    average = training.average
    if average is None or average.half_life_steps is None:
        return training
    scaled = {"half_life_steps": max(round(average.half_life_steps * part, 3), 1e-3)}
    return training.model_copy(update={"average": average.model_copy(update=scaled)})


def _steady(training: TrainConfig) -> TrainConfig:
    """The section with a last phase at one learning rate: the mean of its own."""
    *before, last = training.phases
    peak = last.learning_rate or training.learning_rate
    steady = peak * mean_height(training)
    phases = (*before, last.model_copy(update={"learning_rate": steady}))
    return training.model_copy(update={"schedule": "constant", "phases": phases})


def mean_height(training: OptimConfig, steps: int = 1000) -> float:
    """The mean learning rate of the last phase behind its warm-up, as a part of its peak."""
    phase = lay_out(training, steps)[-1]
    peak = phase.config.learning_rate or training.learning_rate
    n = phase.stop - phase.start
    behind = range(phase.start + min(int(training.warmup_share * n) + 1, n - 1), phase.stop)
    rates = [learning_rate(training, phase, step) for step in behind]
    return round(sum(rates) / len(rates) / peak, 4)


def run_study(
    small: Sequence[Small], run_one: Callable[[Small], Made], *, target: str, source: str,
    progress: Progress, machine: Machine = HERE,
) -> tuple[Study, dict[float, list[Point]]]:  # fmt: skip
    """Make all small runs and read what they measured.

    Args:
        small: the runs.
        run_one: makes one, or finds it.
        target: the language to gain.
        source: the language to keep.
        progress: says which run it is and how long the rest may take.
        machine: to measure what was saved on.

    Returns:
        What the runs of the recipe's own learning rate measured; and the ends of the others, by
        learning rate.

    Raises:
        HanhuaError: whatever a stage refuses; finished runs stay.
    """
    points: dict[float, list[Point]] = {}
    others: dict[float, list[Point]] = {}
    base: Mapping[str, float] = {}
    spent = read = 0.0
    for number, one in enumerate(small):
        ahead = sum(other.budget for other in small[number:])
        left = f", about {duration(spent / read * ahead)} left" if read else ""
        progress.say(f"small run {number + 1} of {len(small)}: {one.title(target)}{left}")
        began = time.monotonic()
        made = run_one(one)
        if made.fresh:
            spent, read = spent + time.monotonic() - began, read + one.budget
        else:
            progress.say("      done before")
        base, found = read_run(
            made.tokens, made.pretrain, one.training, target, source, one.seed, machine
        )
        if one.rate is None:
            points.setdefault(one.share, []).extend(found)
        else:
            others.setdefault(one.rate, []).append(found[-1])
    near = NEAR["own" if len({one.budget for one in small}) > 1 else "steady"]
    own = [point for of_share in points.values() for point in one_share(of_share)]
    return Study(target, source, base, one_count(own, near)), others
