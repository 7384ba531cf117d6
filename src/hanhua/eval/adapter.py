"""A LoRA adapter on disk and the model it belongs to, as one model in memory.

Reads the files that ``lora_files.py`` and peft write; the sum is the one that training used. What
is not read (other kinds of adapters, patterns of ranks but experts') is refused by name, never
left out.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from hanhua.core.errors import ModelError
from hanhua.core.files import read_json
from hanhua.eval.forward import CausalModel
from hanhua.model.load import load_model, load_tokenizer
from hanhua.model.lora import lengths, matrix
from hanhua.model.lora_experts import expert_weights, is_experts
from hanhua.model.lora_files import PREFIX

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
AROUND = ".base_layer"
"""What peft puts into a name for each weight of a module whose adapter is wrapped around it."""
REFUSED = ("alpha_pattern", "rank_pattern", "trainable_token_indices", "layer_replication")


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no model."""
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()


def base_of(folder: Path) -> str | None:
    """The model that an adapter's config names, if it names one."""
    return _config(folder).get("base_model_name_or_path") or None


def load_adapted(folder: Path, base: Path | str, device: str = "cpu") -> CausalModel:
    """Load a model and add an adapter to its weights, in float32.

    Args:
        folder: with adapter_config.json and adapter_model.safetensors; its own tokenizer counts
            where it has one.
        base: what the adapter was trained on.
        device: to measure on.

    Raises:
        ModelError: an adapter of another kind, or of another model.
    """
    config = _config(folder)
    model: Any = load_model(base, dtype=torch.float32)
    try:
        tensors = load_file(folder / WEIGHTS)
    except Exception as error:  # of safetensors, or no such file
        raise ModelError("This adapter's weights do not read.", where=folder / WEIGHTS,
                         found=error, fix="fetch the adapter again") from error  # fmt: skip
    with torch.no_grad():
        for name, parts in _by_module(folder, tensors).items():
            try:
                module = model.get_submodule(name.replace(AROUND, ""))
                if is_experts(module):
                    _add_to_experts(module, name.count(AROUND), parts, config)
                else:
                    _add(module, parts, config)
            except (AttributeError, RuntimeError) as error:
                raise ModelError(
                    "This adapter does not fit the model.", where=folder, found=f"{name}: {error}",
                    fix="name the model that it was trained on with --adapter-on",
                ) from error  # fmt: skip
    own = any((folder / f).is_file() for f in ("tokenizer.json", "tokenizer.model"))
    return CausalModel(model.to(device), load_tokenizer(folder if own else base))


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = dict(read_json(folder / CONFIG))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError("This adapter's config does not parse.", where=folder / CONFIG,
                         found=error, fix="fetch the adapter again") from error  # fmt: skip
    experts = set(found.get("target_parameters") or ())
    other = next((key for key in REFUSED if set(found.get(key) or ()) - experts), None)
    if found.get("peft_type") != "LORA" or other or found.get("bias", "none") != "none":
        raise ModelError(
            "This kind of adapter is not read.", where=folder / CONFIG,
            found=other or f"{found.get('peft_type')}, bias {found.get('bias')}",
            fix="merge it into its model with the tool that made it, and name the merged model",
        )  # fmt: skip
    return found


def _by_module(folder: Path, tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Module name -> what the adapter says of it: A, B, magnitude, or weight as a whole."""
    ends = {".lora_A.weight": "A", ".lora_B.weight": "B", ".lora_magnitude_vector": "magnitude",
            ".lora_magnitude_vector.weight": "magnitude", ".weight": "weight"}  # fmt: skip
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        end = next((e for e in ends if key.endswith(e)), None)
        if end is None or not key.startswith(PREFIX) or "lora_embedding" in key:
            raise ModelError(
                "This adapter holds something that is not read.", where=folder / WEIGHTS, found=key,
                fix="merge it into its model with the tool that made it",
            )  # fmt: skip
        name = key.removeprefix(PREFIX).removesuffix(end)
        found.setdefault(name, {})[ends[end]] = tensor.float()
    return found


def _add(layer: Any, parts: dict[str, Tensor], config: dict[str, Any]) -> None:
    if "weight" in parts:
        layer.weight.copy_(parts["weight"])
        return
    low, high = parts["A"], parts["B"]
    rank, alpha = low.shape[0], float(config["lora_alpha"])
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    total = matrix(layer).float() + scale * (high @ low)
    if "magnitude" in parts:
        total *= (parts["magnitude"].flatten() / lengths(total))[:, None]
    matrix(layer).copy_(total)


def _add_to_experts(
    module: Any, around: int, parts: dict[str, Tensor], config: dict[str, Any]
) -> None:
    """Of one weight of a layer's experts, as ``lora_files.py`` lays it out."""
    keys = {key.rpartition(".")[2]: key for key in config.get("target_parameters") or ()}
    name = [weight for weight in expert_weights(module) if weight in keys][-1 - around]
    held, a, b = getattr(module, name), parts["A"], parts["B"]
    experts = held.shape[0]
    rank, pattern = a.shape[0] // experts, config.get("alpha_pattern") or {}
    alpha = float(pattern.get(keys[name], config["lora_alpha"]))
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    low_ERI = a.view(experts, rank, -1)
    high_EOR = b.view(len(b), rank, experts).permute(2, 0, 1)
    delta = scale * (high_EOR @ low_ERI)
    held.add_(delta.transpose(1, 2) if module.is_transposed else delta)
