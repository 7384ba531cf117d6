"""The ``pretrain`` and ``finetune`` sections."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hanhua.core.config import Section, Share


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
    clip: Annotated[float, Field(ge=0, description="longest gradient; 0: never clipped")] = 1.0
    betas: Annotated[
        tuple[float, float], Field(strict=False, description="Adam's two averages")
    ] = (0.9, 0.95)
    eps: Annotated[float, Field(gt=0, description="Adam's epsilon")] = 1e-8
    embedding_lr_scale: Annotated[
        float, Field(gt=0, description="learning rate of embeddings and head, times this")
    ] = 1.0
    precision: Annotated[
        Literal["auto", "bf16", "fp32"],
        Field(description="of the arithmetic; auto: bf16 where the processor multiplies it, fp32 "
              "elsewhere; master weights and optimiser are always fp32"),
    ] = "auto"  # fmt: skip
    phases: Annotated[
        tuple[PhaseConfig, ...],
        Field(strict=False, min_length=1, description="one after another"),
    ] = (PhaseConfig(),)

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


class FinetuneConfig(OptimConfig):
    """Instruction tuning: the same loop, with a loss on the assistant's tokens only."""

    learning_rate: Annotated[float, Field(gt=0, description="peak learning rate")] = 3e-4
    batch_tokens: Annotated[int, Field(gt=0, description="tokens in an optimiser step")] = 4096
    weight_decay: Annotated[
        float, Field(ge=0, description="for matrices only; never norms, biases or embeddings")
    ] = 0.0
    seq_len_tokens: Annotated[
        int, Field(ge=16, description="longest conversation; a longer one loses its last turns")
    ] = 512
    rehearsal_share: Annotated[
        float,
        Field(ge=0, lt=1, description="part of the predicted tokens that is pretraining text (the "
              "tokens stage's rows), so that the languages are not unlearnt; 0: none"),
    ] = 0.25  # fmt: skip
