"""Adapters on disk, in the files that peft and what builds on it (vLLM, LLaMA-Factory) read.

Of experts peft (0.20 on) wraps the weights of a module one around the other, the later outside, and
names them by that; the numbers of all experts lie in one matrix.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from hanhua.core.files import storage_errors, write_json
from hanhua.model.config import LoraConfig
from hanhua.model.lora import Adapter, adapters, end_modules
from hanhua.model.lora_experts import ExpertAdapter

PREFIX = "base_model.model."
"""In front of a module's name in peft's files."""


def save_adapter(model: Any, config: LoraConfig, folder: Path) -> None:
    """Write ``adapter_config.json`` and ``adapter_model.safetensors``.

    A folder of its own, never the model's: transformers loads an adapter that lies beside weights
    on top of them, and these have it in them already.

    Args:
        model: with its adapters on.
        config: the ``lora`` part of the section.
        folder: where to; it may exist.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        save_file(_tensors(model, config), folder / "adapter_model.safetensors", {"format": "pt"})
        os.chmod(folder / "adapter_model.safetensors", 0o644)
        write_json(folder / "adapter_config.json", adapter_config(model, config))


def adapter_config(model: Any, config: LoraConfig) -> dict[str, Any]:
    """What peft has to know. No base is named: its path would be this machine's."""
    found = list(adapters(model))
    names = {name for name, _, adapter in found if isinstance(adapter, Adapter)}
    targets = sorted({n.rsplit(".", 1)[-1] for n in names})
    if config.targets != "auto":
        targets = sorted(config.targets)
    ends = end_modules(model)
    tied = config.embeddings and len({id(end.weight) for _, end in ends}) < len(ends)
    saved = [name.rsplit(".", 1)[-1] for name, _ in ends] if config.embeddings else None
    return {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": None,
        "inference_mode": True, "bias": "none", "init_lora_weights": True,
        "r": config.rank, "lora_alpha": config.effective_alpha, "lora_dropout": config.dropout,
        "target_modules": targets, "modules_to_save": saved,
        "fan_in_fan_out": any(isinstance(layer, Conv1D) for _, layer, _ in found),
        "use_dora": config.dora, "use_rslora": config.rslora,
        **({"ensure_weight_tying": True} if tied else {}), **_of_experts(found, config),
    }  # fmt: skip


def _of_experts(found: list[tuple[str, Any, Any]], config: LoraConfig) -> dict[str, Any]:
    """What peft has to know of experts: their weights, rank and alpha. It leaves no inputs out."""
    experts = [(name, adapter) for name, _, adapter in found if isinstance(adapter, ExpertAdapter)]
    if not experts:
        return {}
    keys, rank = sorted({_key(name) for name, _ in experts}), experts[0][1].rank
    alpha = config.scale * (rank**0.5 if config.rslora else rank)
    return {
        "target_parameters": keys, "lora_dropout": 0.0,
        "rank_pattern": dict.fromkeys(keys, rank), "alpha_pattern": dict.fromkeys(keys, alpha),
    }  # fmt: skip


def _key(name: str) -> str:
    """The end of an expert weight's name that is the same in every layer."""
    return ".".join(name.rsplit(".", 2)[-2:])


def _tensors(model: Any, config: LoraConfig) -> dict[str, Tensor]:
    """Every adapter's numbers by peft's names, in fp32."""
    found: dict[str, Tensor] = {}
    for name, module, adapter in adapters(model):
        if isinstance(adapter, ExpertAdapter):
            found |= _expert_tensors(name, module, adapter)
            continue
        found[f"{PREFIX}{name}.lora_A.weight"] = adapter.A
        found[f"{PREFIX}{name}.lora_B.weight"] = adapter.B
        if adapter.magnitude is not None:
            found[f"{PREFIX}{name}.lora_magnitude_vector"] = adapter.magnitude
    if config.embeddings:  # a tied weight is written twice, as peft gives each module its own
        for name, end in end_modules(model):
            found |= {f"{PREFIX}{name}.{key}": value for key, value in end.state_dict().items()}
    return {name: value.detach().float().clone().cpu() for name, value in found.items()}


def _expert_tensors(name: str, module: Any, adapter: ExpertAdapter) -> dict[str, Tensor]:
    """One weight: A ``[E * R, I]``, expert after expert, and B ``[O, R * E]``, rank by rank."""
    around = len(module.lora) - 1 - list(module.lora).index(adapter.weight)
    stem = f"{PREFIX}{name.rpartition('.')[0]}{'.base_layer' * around}"
    return {
        f"{stem}.lora_A.weight": adapter.A.flatten(0, 1),
        f"{stem}.lora_B.weight": adapter.B.permute(1, 2, 0).flatten(1),
    }
