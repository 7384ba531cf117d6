"""The two ends of a model: which weights embed ids and which give logits, told from its config.

Every architecture names them in its own way (``model.embed_tokens``, ``transformer.wte``,
``gpt_neox.embed_in``), so the model is built without memory and asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedConfig,
)

from hanhua.core.errors import ModelError


@dataclass(frozen=True, slots=True)
class Ends:
    """Names of the weights at a model's ends.

    Args:
        input: the embedding.
        output: the head's matrix.
        bias: the head's bias, where it has one.
        tied: embedding and head are one matrix.
        prefix: what a file of the bare body leaves out of its names, e.g. "transformer.".
        params: numbers in the whole model, tied ones once.
        shape: of the embedding, [rows, width].
        names: of all weights.
    """

    input: str
    output: str
    bias: str | None
    tied: bool
    prefix: str
    params: int
    shape: tuple[int, int]
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Found:
    """The ends as a checkpoint's files spell them; None where it holds no such weight."""

    input: str
    output: str | None
    bias: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are there."""
        return tuple(name for name in (self.input, self.output, self.bias) if name)


def locate(ends: Ends, shapes: Mapping[str, tuple[int, ...]], where: Path) -> Found:
    """Find the ends in a checkpoint.

    A file may leave out the body's prefix (GPT-2's does), or have an older name for the head
    that transformers translates as it loads (GPT-NeoX's ``embed_out``): then the one matrix of
    the right shape that the model has no name for is meant.

    Args:
        ends: what the model calls them.
        shapes: of every weight in the files.
        where: for the message.

    Raises:
        ModelError: when the embedding, or the head of an untied model, isn't there.
    """
    bare = ends.prefix
    known = ends.names | {name.removeprefix(bare) for name in ends.names}
    strangers = [name for name, shape in shapes.items() if name not in known]

    def find(wanted: str) -> str | None:
        spelt = [name for name in (wanted, wanted.removeprefix(bare)) if name in shapes]
        if spelt:
            return spelt[0]
        alike = [name for name in strangers if shapes[name] == ends.shape]
        return alike[0] if len(alike) == 1 else None

    found_input, found_output = find(ends.input), find(ends.output)
    if found_input is None or (found_output is None and not ends.tied):
        raise ModelError(
            "The weights hold no embedding or no head by the names that this model has.",
            where=where, found=f"{ends.input}: {found_input}, {ends.output}: {found_output}",
            fix="fetch config.json and the weights again, from one revision of one model",
        )  # fmt: skip
    bias = None
    if ends.bias is not None:
        own = found_output.removesuffix("weight") + "bias" if found_output else ends.bias
        bias = own if own in shapes else None
    return Found(found_input, found_output, bias)


def open_config(folder: Path) -> PreTrainedConfig:
    """The config of a causal model of any type that transformers knows, without running its code.

    Raises:
        ModelError: none there, or transformers refuses it.
    """
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # errors of several libraries
        raise ModelError(
            "No config.json of a model that transformers knows.", where=folder, found=error,
            fix="give the folder that holds config.json and model.safetensors",
        ) from error  # fmt: skip


def empty_model(config: PreTrainedConfig) -> Any:
    """The model of a config, on the meta device: modules, names and shapes, no memory.

    Raises:
        ModelError: when transformers has no causal language model of this type, or can't build it.
    """
    try:
        if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
            raise ValueError(f"{type(config).__name__} has no causal language model")
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except Exception as error:  # whatever a model's own code raises on a config that it can't be
        raise ModelError(
            "transformers can't build a causal language model from this config.",
            where=f"model_type {config.model_type!r}", found=error,
            fix="choose a decoder-only language model that transformers knows",
        ) from error  # fmt: skip


def find_ends(config: PreTrainedConfig) -> Ends:
    """Build the model without memory and ask for its ends.

    Raises:
        ModelError: when it has no such ends.
    """
    return ends_of(empty_model(config))


def ends_of(model: Any) -> Ends:
    """The ends of a model, which may be an empty one.

    Raises:
        ModelError: when it has no such ends.
    """
    config = model.config
    modules = {id(module): name for name, module in model.named_modules()}
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if not _is_plain(embedding, nn.Embedding) or not _is_plain(head, nn.Linear):
        raise ModelError(
            "This model has no embedding and head to put rows behind.",
            where=f"model_type {config.model_type!r}",
            found=f"{type(embedding).__name__} and {type(head).__name__}",
            fix="choose a decoder-only language model",
        )
    tied = bool(getattr(config, "tie_word_embeddings", False))
    extra = head.weight.numel() if tied and head.weight is not embedding.weight else 0
    return Ends(
        input=f"{modules[id(embedding)]}.weight",
        output=f"{modules[id(head)]}.weight",
        bias=None if head.bias is None else f"{modules[id(head)]}.bias",
        tied=tied,
        prefix=f"{model.base_model_prefix}.",
        params=sum(p.numel() for p in model.parameters()) - extra,
        shape=(embedding.weight.shape[0], embedding.weight.shape[1]),
        names=frozenset(model.state_dict()),
    )


def _is_plain(module: Any, kind: type[nn.Module]) -> bool:
    """Whether a module is of a kind, without further weights that would have to grow too."""
    if not isinstance(module, kind):
        return False
    return {name for name, _ in module.named_parameters()} <= {"weight", "bias"}


@torch.no_grad()
def embedding_factor(embedding: nn.Embedding) -> float:
    """What an embedding multiplies its rows with as it looks them up: 1, or Gemma's sqrt(width).

    Raises:
        ModelError: when it does something else to them.
    """
    row = embedding.weight.abs().amax(1).argmax()
    stored, given = embedding.weight[row], embedding(row)
    largest = stored.abs().argmax()
    factor = float(given[largest]) / float(stored[largest])
    if not torch.allclose(given.float(), factor * stored.float(), rtol=2e-2, atol=1e-6):
        raise ModelError(
            "This model's embedding does more than look rows up.", where=type(embedding).__name__,
            found="its output is no multiple of the row", fix="set expand.input to another method",
        )  # fmt: skip
    return factor
