"""Adapters on disk, in the files that peft and what builds on it (vLLM, LLaMA-Factory) read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from hanhua.core.files import storage_errors, write_json
from hanhua.model.config import LoraConfig
from hanhua.model.lora import adapters, end_modules

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
    names = {name for name, _, _ in found}
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
        **({"ensure_weight_tying": True} if tied else {}),
    }  # fmt: skip


def _tensors(model: Any, config: LoraConfig) -> dict[str, Tensor]:
    """Every adapter's numbers by peft's names, in fp32."""
    found: dict[str, Tensor] = {}
    for name, _, adapter in adapters(model):
        found[f"{PREFIX}{name}.lora_A.weight"] = adapter.A
        found[f"{PREFIX}{name}.lora_B.weight"] = adapter.B
        if adapter.magnitude is not None:
            found[f"{PREFIX}{name}.lora_magnitude_vector"] = adapter.magnitude
    if config.embeddings:  # a tied weight is written twice, as peft gives each module its own
        for name, end in end_modules(model):
            found |= {f"{PREFIX}{name}.{key}": value for key, value in end.state_dict().items()}
    return {name: value.detach().float().clone().cpu() for name, value in found.items()}
