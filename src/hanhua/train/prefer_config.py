"""The ``prefer`` section."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hanhua.chat.config import TemplateName
from hanhua.chat.pair_config import PairDataConfig
from hanhua.train.config import GuardConfig, OptimConfig


class PreferConfig(OptimConfig, PairDataConfig):
    """Preference tuning: the same loop, with a loss on pairs of answers."""

    method: Annotated[
        Literal["dpo", "simpo", "orpo"],
        Field(description="dpo: against the model that it starts from; simpo and orpo: without "
              "one"),
    ] = "dpo"  # fmt: skip
    beta: Annotated[
        float | None,
        Field(gt=0, description="dpo: how closely to keep to the start, the larger the closer; "
              "simpo: factor of the difference; orpo: weight of the odds; left out: 0.1, 2 or 0.1"),
    ] = None  # fmt: skip
    gamma: Annotated[
        float | None,
        Field(ge=0, description="simpo: by how much beta times the difference per token should "
              "exceed nothing; left out: 1"),
    ] = None  # fmt: skip
    label_smoothing: Annotated[
        float,
        Field(ge=0, lt=0.5, description="dpo and simpo: part of the pairs taken to be the wrong "
              "way round"),
    ] = 0.0  # fmt: skip
    sft_weight: Annotated[
        float,
        Field(ge=0, description="dpo and simpo: weight of the better answer's own loss per token, "
              "which keeps it from becoming unlikely; orpo has it with weight 1"),
    ] = 0.0  # fmt: skip
    template: Annotated[
        TemplateName | None,
        Field(description="the chat template; null: the one that the model has"),
    ] = None
    seq_len_tokens: Annotated[
        int, Field(ge=16, description="longest question with an answer; a longer answer is cut")
    ] = 512
    learning_rate: Annotated[float, Field(gt=0, description="peak learning rate")] = 5e-6
    batch_tokens: Annotated[
        int,
        Field(gt=0, description="tokens in an optimiser step: twice seq_len_tokens for each pair"),
    ] = 16384
    weight_decay: Annotated[
        float, Field(ge=0, description="for matrices only; never norms, biases or embeddings")
    ] = 0.0
    guard: Annotated[
        GuardConfig | None,
        Field(description="against steps whose loss is a spike; null: only a loss that is not a "
              "number stops the run (a pair's gradient is bounded, and a loss near nothing spikes "
              "without harm)"),
    ] = None  # fmt: skip

    @model_validator(mode="after")
    def _of_the_method(self) -> PreferConfig:
        if self.gamma is not None and self.method != "simpo":
            raise ValueError(f"gamma belongs to simpo, and the method is {self.method}")
        for name in ("label_smoothing", "sft_weight"):
            if self.method == "orpo" and getattr(self, name):
                raise ValueError(f"{name} belongs to dpo and simpo, and the method is orpo")
        return self
