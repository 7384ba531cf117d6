"""The controls that benchmarks/forgetting.py compares: each a change to a recipe's two sections.

All start from ``bare``: the recipe's own training with every weight learning and no control. Where
a strength depends on the length of a run it is stated as a part of it, so that a control means
the same at any number of steps: a pull that leaves e^-1 of what a first step did, not 5.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hanhua.mix.proxy import POOL, TOLERANCE, mean_height, shares_at
from hanhua.model.config import LoraConfig
from hanhua.recipe import Recipe
from hanhua.tokens.config import TokensConfig
from hanhua.train.config import AverageConfig, PhaseConfig, TrainConfig

FIRST_SHARE = 0.2
"""Of the steps, for the part of the weights that learns first."""
RESTING = 0.1
"""Of the peak: where a base's own training usually ended (10 %)."""
PULLS = {"weak": 1.0, "strong": 4.0}
"""Sum over the steps of learning rate times strength: e^-that is left of what a first step did."""
ALPHAS = (0.25, 0.5, 0.75)
"""Of the trained model against its base."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a control may look at.

    Args:
        bare: the section without any control.
        steps: of the run.
        hidden: width of the model.
    """

    bare: TrainConfig
    steps: int
    hidden: int


Change = Callable[[Setting], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Control:
    """One way to forget less.

    Args:
        name: for ``--only``.
        family: for the picture: replay, rate, partial, weights.
        what: for the table, with the training section's values in braces; empty for replay alone.
        replay: share of the source language; None: the common one.
        change: of the training section.
        new_rows: whether it needs a vocabulary that grew.
        extra: only run where it is named.
    """

    name: str
    family: str
    what: str
    replay: float | None = None
    change: Change = lambda setting: {}
    new_rows: bool = False
    extra: bool = False

    def title(self, share: float, source: str, settings: Mapping[str, Any]) -> str:
        """For the table."""
        said = f"{100 * share:g} % {source}" if share else "plain"
        return f"{said}, {self.what.format(**settings)}" if self.what else said


def _first(part: str) -> Change:
    phases = (PhaseConfig.model_validate({"train": part, "share": FIRST_SHARE}), PhaseConfig())
    return lambda setting: {"phases": phases}


def _rate(factor: float) -> Change:
    return lambda setting: {"learning_rate": factor * setting.bare.learning_rate}


def _resting(setting: Setting) -> Mapping[str, Any]:
    rate = RESTING * setting.bare.learning_rate
    return {"learning_rate": rate, "schedule": "constant", "warmup_share": 0.0}


def _lora(setting: Setting) -> Mapping[str, Any]:
    """Adapters of a rank that is low for the model at hand, and both ends, as new rows need."""
    rank = max(min(setting.hidden // 8, LoraConfig().rank), 4)
    return {"lora": LoraConfig(rank=rank, embeddings=True)}


def _pull(total: float) -> Change:
    def change(setting: Setting) -> Mapping[str, Any]:
        rates = setting.bare.learning_rate * mean_height(setting.bare) * setting.steps
        return {"pull_to_base": float(f"{total / rates:.3g}")}

    return change


def _average(part: float) -> Change:
    return lambda setting: {"average": AverageConfig(half_life_steps=part * setting.steps)}


def _tail(setting: Setting) -> Mapping[str, Any]:
    return {"average": AverageConfig(last_share=0.25)}


def _ends(setting: Setting) -> Mapping[str, Any]:
    return {"phases": (PhaseConfig(train="embeddings"),)}


CONTROLS = (
    Control("plain", "replay", "", replay=0.0),
    Control("replay-10", "replay", "", replay=0.1),
    Control("replay-25", "replay", ""),
    Control("replay-50", "replay", "", replay=0.5),
    Control("new-rows-first", "partial", "new rows first", change=_first("new_rows"),
            new_rows=True),
    Control("embeddings-first", "partial", "embeddings first", change=_first("embeddings")),
    Control("embeddings-only", "partial", "embeddings only", change=_ends),
    Control("lora", "partial", "LoRA of rank {lora[rank]}, embeddings", change=_lora),
    Control("rate-half", "rate", "rate × 0.5", change=_rate(0.5)),
    Control("rate-quarter", "rate", "rate × 0.25", change=_rate(0.25)),
    Control("no-rewarming", "rate", f"constant rate × {RESTING:g}", change=_resting),
    Control("pull-weak", "weights", "pull {pull_to_base:g}", change=_pull(PULLS["weak"])),
    Control("pull-strong", "weights", "pull {pull_to_base:g}", change=_pull(PULLS["strong"])),
    Control("average", "weights", "average, half-life 0.2", change=_average(0.2)),
    Control("average-long", "weights", "average, half-life 0.5", change=_average(0.5), extra=True),
    Control("average-last", "weights", "average of the last 0.25", change=_tail, extra=True),
    Control("rate-double", "rate", "rate × 2", change=_rate(2.0), extra=True),
)  # fmt: skip
"""In the order of the table. ``replay-25`` takes the common share, whatever that is."""
MERGED = ("plain", "replay-25")
"""Whose models are merged with the base."""
MERGE = "merge"
"""Their name for ``--only``."""
QUICK = ("plain", "replay-25", "lora", "pull-strong", MERGE)


def chosen(recipe: Recipe, only: Sequence[str]) -> list[Control]:
    """The controls to train, in the order of the table.

    Args:
        recipe: without a ``vocab`` section it has no new rows.
        only: names; empty: all but the extra ones. ``merge`` needs the models that it merges.
    """
    wanted = set(only) | (set(MERGED) if MERGE in only else set())
    return [
        one for one in CONTROLS
        if (one.name in wanted if only else not one.extra)
        and not (one.new_rows and recipe.vocab is None)
    ]  # fmt: skip


def bare(section: TrainConfig) -> TrainConfig:
    """The recipe's training with every weight learning, and no control.

    No guard: a rare language's rows look like spikes to it. No watch: saved models are measured.
    """
    nothing = dict.fromkeys(("lora", "average", "guard", "watch", "stop", "steps"))
    return section.model_copy(
        update={**nothing, "phases": (PhaseConfig(),), "pull_to_base": 0.0, "epochs": 1.0}
    )


def sections(
    recipe: Recipe, control: Control, *, tokens: int, replay: float, hidden: int
) -> tuple[TokensConfig, TrainConfig]:
    """The two sections of a control.

    Args:
        recipe: with ``tokens`` and ``pretrain``.
        control: which.
        tokens: of the run, all languages together.
        replay: the common share of the source language.
        hidden: width of the model.

    Raises:
        UsageError: when the recipe's other languages leave no room for that share.
    """
    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    asked, (target, source) = recipe.tokens.shares, (recipe.target, recipe.source)
    others = sum(share for name, share in asked.items() if name not in (target, source))
    kept = replay if control.replay is None else control.replay
    rows = recipe.tokens.model_copy(update={
        "shares": shares_at(asked, target, source, round(1 - others - kept, 12)),
        "budget_tokens": tokens, "tolerance": max(recipe.tokens.tolerance, TOLERANCE),
        "pool_tokens": POOL * tokens,
    })  # fmt: skip
    plain = bare(recipe.pretrain)
    setting = Setting(plain, math.ceil(tokens / plain.batch_tokens), hidden)
    return rows, plain.model_copy(update=dict(control.change(setting)))
