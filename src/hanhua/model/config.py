"""The recipe's ``base`` and ``expand`` sections, and ``lora`` of the sections that train: where the
model comes from, how rows are added, what is trained in place of its weights.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hanhua.core.config import Added, ModelField, Section


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


class ContextConfig(Section):
    """A longer context for the base; training on rows of that length is what makes use of it."""

    tokens: Annotated[int, Field(gt=0, description="longest text, in tokens, that there shall be")]
    method: Annotated[
        Literal["linear", "ntk", "yarn", "llama3"],
        Field(description="how rotary positions stretch. linear: all angles shrink alike; ntk: a "
              "larger rope_theta, so that slow angles shrink most; yarn: slow angles shrink, fast "
              "ones stay, attention is sharpened; llama3: like yarn, without the sharpening"),
    ] = "yarn"  # fmt: skip


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
    context: Annotated[
        ContextConfig | None, Field(description="a longer context than the model has"), Added()
    ] = None

    @model_validator(mode="after")
    def _one_origin(self) -> BaseConfig:
        if (self.model is None) == (self.scratch is None):
            raise ValueError("give either model or scratch")
        if self.scratch is not None and self.tokenizer is None:
            raise ValueError("scratch needs a tokenizer")
        if self.model is not None and self.tokenizer is not None:
            raise ValueError("tokenizer goes with scratch; a model brings its own")
        if self.context is not None and self.scratch is not None:
            raise ValueError("context goes with a model; scratch has context_tokens")
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


class LoraConfig(Section):
    """Adapters in place of the weights: far fewer numbers to train, merged into them at the end.

    Rank 64 at twice as much alpha on every linear layer is what Chinese-LLaMA-Alpaca-2 published
    for its continued pretraining (https://github.com/ymcui/Chinese-LLaMA-Alpaca-2,
    ``scripts/training/run_pt.sh``). Every layer, and alpha at twice the rank, is also what
    https://arxiv.org/abs/2405.09673 recommends after comparing.
    """

    rank: Annotated[int, Field(gt=0, description="inner width of the adapters")] = 64
    alpha: Annotated[
        float | None,
        Field(gt=0, description="the adapters' output counts alpha / rank times; left out: twice "
              "the rank, or 16 with rslora (the same factor, 2, at rank 64)"),
    ] = None  # fmt: skip
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="part of the adapters' inputs that is left out")
    ] = 0.0
    targets: Annotated[
        Literal["auto"] | Annotated[tuple[str, ...], Field(strict=False, min_length=1)],
        Field(description="auto: every linear layer but the head; or the ends of the layers' "
              "names, such as [q_proj, v_proj]"),
    ] = "auto"  # fmt: skip
    dora: Annotated[
        bool, Field(description="learn lengths of the weights' rows apart from their directions")
    ] = False
    rslora: Annotated[
        bool, Field(description="divide alpha by the rank's root instead of the rank")
    ] = False
    embeddings: Annotated[
        bool,
        Field(description="train input embeddings and head in full beside the adapters, as new "
              "rows need"),
    ] = False  # fmt: skip

    base_bits: Annotated[
        Literal[4] | None,
        Added(),
        Field(description="4: hold the frozen layers in 4 bits (QLoRA); needs the pip extra gpu"),
    ] = None

    @property
    def effective_alpha(self) -> float:
        """Alpha as given, or what stands for it."""
        if self.alpha is not None:
            return self.alpha
        return 16.0 if self.rslora else 2.0 * self.rank

    @property
    def scale(self) -> float:
        """The factor of an adapter's output (rsLoRA: https://arxiv.org/abs/2312.03732)."""
        return float(self.effective_alpha / (self.rank**0.5 if self.rslora else self.rank))
