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


class ExpandConfig(Section):
    """How the rows of new pieces start."""

    input: Annotated[
        Literal["mean", "random"],
        Field(description="input rows: mean of the piece's base tokens, or base mean plus noise"),
    ] = "mean"
    output: Annotated[
        Literal["mean", "random"], Field(description="output rows, where the head is not tied")
    ] = "mean"
    noise: Annotated[
        float, Field(ge=0.0, le=1.0, description="seeded noise, as a part of each row's norm")
    ] = 0.01
    pad_to: Annotated[
        int, Field(gt=0, description="round the number of rows up to a multiple; 1: none")
    ] = 64
