"""Weights from a model folder into a model that many processes share, each reading its own part.

A model of 70 billion parameters is 140 GB in bf16: loaded whole by each of eight processes it
would not fit the memory of their machine. So it is made without weights, cut, and then every
process copies its rows of each tensor out of the mapped safetensors files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from hanhua.model.load import (
    check_weights,
    load_model,
    quiet_transformers,
    read_config,
    weight_files,
)
from hanhua.model.lora import adapters, lengths
from hanhua.train.shard import Root, first_row, local


def model_without_weights(folder: Path, dtype: torch.dtype) -> Any:
    """A causal LM whose parameters have shapes only; its buffers are real.

    Raises:
        ModelError: when the folder's weights don't fit its config.
    """
    config = read_config(folder)
    check_weights(folder, config)
    with quiet_transformers(), _meta_parameters():
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    return model.eval()


@contextmanager
def _meta_parameters() -> Iterator[None]:
    """New parameters go to the meta device (``torch.device("meta")`` would take buffers too)."""
    register = nn.Module.register_parameter

    def to_meta(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None and not parameter.is_meta:
            parameter = nn.Parameter(parameter.to("meta"), parameter.requires_grad)
        register(module, name, parameter)

    nn.Module.register_parameter = to_meta  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


@torch.no_grad()
def fill(root: Root, folder: Path, device: str) -> None:
    """Give a sharded model without weights those of a folder.

    Args:
        root: of :func:`hanhua.train.shard.shard`.
        folder: safetensors of the same model.
        device: of this process.
    """
    empty = {name for name, parameter in root.model.named_parameters() if parameter.is_meta}
    buffers = dict(_stored_buffers(root.model))
    root._apply(  # type: ignore[no-untyped-call]
        lambda t: torch.empty_like(t, device=device) if t.is_meta else t.to(device)
    )
    with _stored(folder, empty | buffers.keys()) as stored:
        for name, buffer in buffers.items():
            buffer.copy_(stored(name)[:])
        for name, parameter in root.model.named_parameters():
            if name in empty:
                part, start = local(parameter), first_row(parameter)
                part.copy_(stored(name)[start : start + part.shape[0]])
        for name, layer, adapter in adapters(root.model):
            if adapter.magnitude is not None:
                weight = stored(f"{name}.weight")[:]
                turned = weight.t() if isinstance(layer, Conv1D) else weight
                adapter.magnitude.copy_(lengths(turned))


def _stored_buffers(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """What is in the files beside weights, such as a router's corrections (DeepSeek-V3)."""
    for name, module in model.named_modules():
        for own, buffer in module.named_buffers(recurse=False):
            if own not in module._non_persistent_buffers_set:
                yield (f"{name}.{own}" if name else own), buffer


@contextmanager
def _stored(folder: Path, names: set[str]) -> Iterator[Any]:
    """A function from a parameter's name to its stored tensor, read when it is sliced."""
    with ExitStack() as stack:
        files = [stack.enter_context(safe_open(p, framework="pt")) for p in weight_files(folder)]
        where = {name: file for file in files for name in file.keys()}
        if names <= where.keys():
            yield lambda name: where[name].get_slice(name)
            return
    # names of another format, which transformers maps: read it its way
    dtype = read_config(folder).dtype
    model = load_model(folder, dtype if isinstance(dtype, torch.dtype) else torch.float32)
    whole = dict(model.named_parameters()) | dict(model.named_buffers())
    yield lambda name: whole[name].detach()
