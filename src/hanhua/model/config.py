"""The recipe's ``base`` and ``expand`` sections: where the model comes from, how rows are added."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hanhua.core.config import ModelField, Section


class ScratchConfig(Section):
    """A small LLaMA with random weights, for learning the walk or for ablations."""

    hidden_size: Annotated[int, Field(gt=0, description="width of the residual stream")] = 288
    layers: Annotated[int, Field(gt=0, description="decoder layers")] = 6
    heads: Annotated[int, Field(gt=0, description="attention heads; divides hidden_size")] = 6
    kv_heads: Annotated[int, Field(gt=0, description="key/value heads; divides heads")] = 6
    intermediate_size: Annotated[int, Field(gt=0, description="width of the MLP")] = 768
    tie_embeddings: Annotated[bool, Field(description="one matrix for input and output rows")] = (
        True
    )
    context_tokens: Annotated[int, Field(gt=0, description="longest sequence, in tokens")] = 512
    rope_theta: Annotated[float, Field(gt=0, description="base of the rotary angles")] = 10000.0

    @model_validator(mode="after")
    def _divides(self) -> ScratchConfig:
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size {self.hidden_size} is no multiple of heads {self.heads}")
        if (self.hidden_size // self.heads) % 2:
            raise ValueError("hidden_size / heads must be even (rotary positions come in pairs)")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} is no multiple of kv_heads {self.kv_heads}")
        return self


class BaseConfig(Section):
    """The model to start from: an existing one, or random weights over a given tokenizer."""

    model: Annotated[
        ModelField | None,
        Field(description="folder, org/name, hf:org/name@revision or modelscope:org/name"),
    ] = None
    scratch: Annotated[
        ScratchConfig | None, Field(description="random weights instead of a model")
    ] = None
    tokenizer: Annotated[
        ModelField | None,
        Field(description="with scratch: tokenizer.model, tokenizer.json, or a folder of them"),
    ] = None

    @model_validator(mode="after")
    def _one_origin(self) -> BaseConfig:
        if (self.model is None) == (self.scratch is None):
            raise ValueError("give either model or scratch")
        if self.scratch is not None and self.tokenizer is None:
            raise ValueError("scratch needs a tokenizer")
        if self.model is not None and self.tokenizer is not None:
            raise ValueError("tokenizer goes with scratch; a model brings its own")
        return self


InputMethod = Literal["mean", "weighted", "random", "similar", "omp", "distill", "auto"]
OutputMethod = Literal["mean", "weighted", "random", "similar", "omp", "auto"]
Candidate = Literal["mean", "weighted", "random", "similar", "omp", "distill"]


class ExpandConfig(Section):
    """How the rows of new pieces start."""

    input: Annotated[
        InputMethod,
        Field(description="input rows. mean: of the piece's base tokens; weighted: that mean by "
              "length and place; similar, omp: from old tokens that stand in like places of the "
              "text; distill: learnt from the base's hidden states; random: like any old row; "
              "auto: try auto_methods, keep the best"),
    ] = "mean"  # fmt: skip
    output: Annotated[
        OutputMethod,
        Field(description="output rows, where the head is not tied; auto: as the input, if it can"),
    ] = "mean"
    noise: Annotated[
        float, Field(ge=0.0, le=1.0, description="seeded noise, as a part of each row's norm")
    ] = 0.01
    pad_to: Annotated[
        int, Field(gt=0, description="round the number of rows up to a multiple; 1: none")
    ] = 64
    position_decay: Annotated[
        float,
        Field(gt=0.0, le=1.0, description="weighted: a token one place further from the end that "
              "matters counts so much less; 1: length alone"),
    ] = 0.8  # fmt: skip
    similar_tokens: Annotated[
        int, Field(ge=1, le=256, description="similar: most old tokens that make a row")
    ] = 32
    omp_tokens: Annotated[
        int, Field(ge=1, le=64, description="omp: old tokens that make a row")
    ] = 16
    text_chars: Annotated[
        int, Field(gt=0, description="similar, omp, distill: characters of each language to read")
    ] = 5_000_000
    vector_dims: Annotated[
        int, Field(ge=8, le=1024, description="similar, omp: width of the auxiliary vectors")
    ] = 128
    distill_steps: Annotated[
        int, Field(gt=0, description="distill: optimiser steps of 16 short stretches of text")
    ] = 200
    auto_methods: Annotated[
        tuple[Candidate, ...],
        Field(strict=False, min_length=1, description="auto: what to try; the first wins a tie"),
    ] = ("mean", "weighted", "similar", "omp", "distill")
    auto_steps: Annotated[
        int, Field(ge=0, description="auto: training steps before the deciding measurement")
    ] = 20
    auto_learning_rate: Annotated[
        float, Field(gt=0, description="auto: of the training steps, for all weights")
    ] = 5e-4
    auto_docs: Annotated[
        int, Field(gt=0, description="auto: held-out documents of each language to measure on")
    ] = 40
    measure_docs: Annotated[
        int,
        Field(ge=0, description="held-out documents of each language on which the probability of "
              "new rows is measured; 0, or a base of over 5e8 parameters: not measured"),
    ] = 20  # fmt: skip
