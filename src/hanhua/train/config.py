"""The ``pretrain`` and ``finetune`` sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hanhua.core.config import Added, Section, Share
from hanhua.core.errors import UsageError
from hanhua.core.wish import parse_wish
from hanhua.model.config import LoraConfig

Beta = Annotated[float, Field(ge=0, lt=1)]


class PhaseConfig(Section):
    """A stretch of training in which only some weights learn."""

    train: Annotated[
        Literal["new_rows", "embeddings", "all"],
        Field(description="new_rows: only rows of tokens that the base did not have; "
              "embeddings: input and output embeddings; all: every weight"),
    ] = "all"  # fmt: skip
    share: Annotated[
        float | None,
        Field(gt=0, le=1, description="part of the steps; left out: what the others leave"),
    ] = None
    learning_rate: Annotated[
        float | None, Field(gt=0, description="peak of this phase; left out: the section's")
    ] = None


class GuardConfig(Section):
    """Steps that are not learnt from, because their loss is no number or far above the others.

    Window as in OLMo-core's optimizer that skips steps (128 steps, 6 standard deviations); the
    threshold is higher because a median and its deviation are taken, which a spike cannot stretch.
    Going back and passing over the rows around a spike is PaLM's way (arXiv 2204.02311, 5.1).
    """

    window_steps: Annotated[
        int, Field(ge=8, description="steps whose losses give the level; judged from half of it on")
    ] = 128
    threshold: Annotated[
        float,
        Field(gt=0, description="a loss this many robust standard deviations (at least 1 % of the "
              "level each) above the level is a spike"),
    ] = 10.0  # fmt: skip
    max_in_a_row: Annotated[
        int, Field(ge=1, description="so many such steps in a row: back to the last kept step")
    ] = 4
    keep_every_steps: Annotated[
        int, Field(ge=1, description="steps between those to go back to; at least four a run")
    ] = 200
    max_rollbacks: Annotated[
        int, Field(ge=0, description="after so many ways back the next one stops the run")
    ] = 3


class WatchConfig(Section):
    """Held-out bits per byte while it trains."""

    every_steps: Annotated[
        int | None, Field(ge=1, description="left out: ten times a run; also at start and end")
    ] = None
    docs: Annotated[int, Field(ge=1, description="held-out documents of each language")] = 20
    max_chars_per_doc: Annotated[
        int, Field(ge=1, description="longer documents are measured on their beginning")
    ] = 1000


class StopConfig(Section):
    """When to stop early: a language that is being unlearnt."""

    language: Annotated[str, Field(min_length=2, description="whose held-out text is watched")] = (
        "en"
    )
    max_rise_bits: Annotated[
        float, Field(ge=0, description="bits per byte that it may rise above the start")
    ] = 0.05
    patience: Annotated[
        int, Field(ge=1, description="measurements in a row above that, before it stops")
    ] = 2


class SteerConfig(Section):
    """The mixture moved while it trains, so that a wish is met at the end."""

    wish: Annotated[
        str,
        Field(description="en+1%: as much of the target as keeps held-out English within 1 % of "
              "its start; zh<=1.10: as little as brings Chinese down to 1.10 bits a byte"),
    ]  # fmt: skip
    low: Annotated[Share, Field(description="least share of the target language's tokens")]
    high: Annotated[Share, Field(description="greatest")]
    max_move: Annotated[
        float, Field(gt=0, le=1, description="of the share at a measurement, at most")
    ] = 0.1
    wait_share: Annotated[
        Share, Field(description="part of the last phase that is only measured: the less of it "
                     "is behind, the worse the end can be projected, and the higher")
    ] = 0.15  # fmt: skip
    max_passes: Annotated[
        float, Field(ge=1, description="how often a language's rows may be read; it gives no more "
                     "then, and the other fills in"),
    ] = 2.0  # fmt: skip

    def spare(self, shares: Mapping[str, float], target: str, source: str) -> dict[str, float]:
        """What its bounds can ask for beyond the shares, by language, as parts of the budget.

        Args:
            shares: of tokens, by language.
            target: the language with the bounds.
            source: the one that it is weighed against.
        """
        own, other = shares.get(target, 0.0), shares.get(source, 0.0)
        most = {target: min(self.high, own + other) - own, source: own - self.low}
        moving = 1 - self.wait_share if self.low <= own <= self.high else 1.0
        return {
            name: round(part * moving, 6)
            for name, part in most.items() if part > 0 and name in shares
        }  # fmt: skip

    @model_validator(mode="after")
    def _bounds(self) -> SteerConfig:
        if self.low >= self.high:
            raise ValueError(f"low, {self.low:g}, must be below high, {self.high:g}")
        try:
            limit = parse_wish(self.wish).language
        except UsageError as error:
            raise ValueError(f"{error.message} Found {self.wish!r}") from error
        if not limit:
            raise ValueError(f"wish must be a limit such as en+1%, not {self.wish}")
        return self


class AverageConfig(Section):
    """The mean of many steps' weights, saved in place of the last step's."""

    half_life_steps: Annotated[
        float | None,
        Field(gt=0, description="exponential: a step counts half as much so many steps later; it "
              "begins at the weights that training began with"),
    ] = None  # fmt: skip
    last_share: Annotated[
        float | None, Field(gt=0, le=1, description="plain mean over this last part of the steps")
    ] = None

    @model_validator(mode="after")
    def _one(self) -> AverageConfig:
        if (self.half_life_steps is None) == (self.last_share is None):
            raise ValueError("average takes either half_life_steps or last_share")
        return self


class OptimConfig(Section):
    """What both kinds of training share."""

    learning_rate: Annotated[float, Field(gt=0, description="peak learning rate")] = 1e-3
    min_lr_share: Annotated[
        Share, Field(description="the last learning rate as a part of the peak")
    ] = 0.1
    schedule: Annotated[
        Literal["cosine", "wsd", "constant"],
        Field(description="wsd: warm up, stay, then fall in the last decay_share"),
    ] = "cosine"
    warmup_share: Annotated[Share, Field(description="part of a phase's steps to warm up")] = 0.02
    decay_share: Annotated[Share, Field(description="part of the steps to fall in, for wsd")] = 0.2
    batch_tokens: Annotated[int, Field(gt=0, description="tokens in an optimiser step")] = 8192
    epochs: Annotated[float, Field(gt=0, description="passes over the rows")] = 1.0
    steps: Annotated[int | None, Field(gt=0, description="optimiser steps; overrides epochs")] = (
        None
    )
    weight_decay: Annotated[
        float, Field(ge=0, description="for matrices only; never norms, biases or embeddings")
    ] = 0.1
    pull_to_base: Annotated[
        float,
        Added(),
        Field(ge=0, description="pull of all weights but new rows to where they began: each step "
              "moves them by learning rate times this of the way back; 0: none"),
    ] = 0.0  # fmt: skip
    average: Annotated[
        AverageConfig | None,
        Added(),
        Field(description="save a mean of many steps' weights; null: the last step's"),
    ] = None
    clip: Annotated[float, Field(ge=0, description="longest gradient; 0: never clipped")] = 1.0
    betas: Annotated[tuple[Beta, Beta], Field(strict=False, description="Adam's two averages")] = (
        0.9,
        0.95,
    )
    eps: Annotated[float, Field(gt=0, description="Adam's epsilon")] = 1e-8
    embedding_lr_scale: Annotated[
        float, Field(gt=0, description="learning rate of embeddings and head, times this")
    ] = 1.0
    new_rows_lr_scale: Annotated[
        float,
        Added(),
        Field(gt=0, description="learning rate of the rows of new tokens, times this and "
              "embedding_lr_scale"),
    ] = 1.0  # fmt: skip
    precision: Annotated[
        Literal["auto", "bf16", "fp32"],
        Field(description="of the arithmetic; auto: bf16 where the processor multiplies it, fp32 "
              "elsewhere; master weights and optimiser are always fp32"),
    ] = "auto"  # fmt: skip
    phases: Annotated[
        tuple[PhaseConfig, ...],
        Field(strict=False, min_length=1, description="one after another"),
    ] = (PhaseConfig(),)
    guard: Annotated[
        GuardConfig | None,
        Field(description="against steps that would spoil the model; null: only a loss that is "
              "not a number stops the run"),
    ] = GuardConfig()  # fmt: skip
    watch: Annotated[
        WatchConfig | None, Field(description="held-out text measured on the way; null: not at all")
    ] = None
    stop: Annotated[
        StopConfig | None,
        Field(description="stop early, and go on with the last model inside the limit; turns "
              "watch on"),
    ] = None  # fmt: skip

    router_aux_loss_coef: Annotated[
        float | None,
        Added(),
        Field(ge=0, description="mixtures of experts: weight of the loss that spreads tokens over "
              "a layer's experts; null: the model's own; 0: none"),
    ] = None  # fmt: skip

    lora: Annotated[
        LoraConfig | None,
        Field(description="train adapters instead of the weights; {} for the defaults"),
    ] = None

    @property
    def speaks_of_new_rows(self) -> bool:
        """Whether it sets something for the rows of new tokens alone."""
        return self.new_rows_lr_scale != 1.0 or any(p.train == "new_rows" for p in self.phases)

    @model_validator(mode="after")
    def _lora(self) -> OptimConfig:
        ends = [phase.train for phase in self.phases if phase.train != "all"]
        if self.lora is not None and not self.lora.embeddings and ends:
            raise ValueError(
                f"a phase trains {ends[0]}, but lora leaves embeddings as they are: "
                "set lora.embeddings: true, or take the phase out"
            )
        if self.lora is not None and not self.lora.embeddings and self.new_rows_lr_scale != 1.0:
            raise ValueError(
                "new_rows_lr_scale is set, but lora leaves embeddings as they are: "
                "set lora.embeddings: true, or take it out"
            )
        if self.lora is not None and self.pull_to_base:
            raise ValueError(
                "pull_to_base is set, but lora leaves the base as it is and its adapters begin at "
                "nothing: set weight_decay instead, or take lora out"
            )
        return self

    @model_validator(mode="after")
    def _phases(self) -> OptimConfig:
        given = sum(phase.share or 0.0 for phase in self.phases)
        open_ended = sum(phase.share is None for phase in self.phases)
        if given > 1 + 1e-6 or (not open_ended and given < 1 - 1e-6):
            raise ValueError(f"the phases' shares must sum to 1, these sum to {given:g}")
        if open_ended and given > 1 - 1e-6:
            raise ValueError("the phases' shares leave nothing for the phase without a share")
        return self


class TrainConfig(OptimConfig):
    """Continued pretraining (or pretraining from scratch) on packed rows."""

    steer: Annotated[
        SteerConfig | None,
        Added(),
        Field(description="move the mixture on the way to meet a wish; turns watch on; null: rows "
              "as they were packed"),
    ] = None  # fmt: skip
