"""The same architecture with weights drawn anew: what training from scratch would start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from hanhua.model.checkpoint import save_model
from hanhua.model.load import quiet_transformers, read_config

RESIDUAL_WRITERS = ("o_proj.weight", "down_proj.weight")
"""Matrices that write into the residual stream, as the LLaMA kind names them. transformers starts
them like all others; scaled by depth they are what ``base.scratch`` makes (GPT-2, section 2.3)."""


def draw_anew(source: Path, out: Path, seed: int) -> dict[str, Any]:
    """Write the model folder ``out``: config and tokenizer of another, its weights at random.

    The draws are those of the architecture's own initialisation in transformers, from the seed
    alone: the global random state neither changes them nor is changed. Tied weights stay tied.

    Args:
        source: a model folder, of which no weight is read.
        out: the folder to make.
        seed: of the draws.

    Returns:
        What :func:`hanhua.model.checkpoint.save_model` returns.

    Raises:
        ModelError: when the config can't be read.
        TrainingError: when what is read back computes something else.
    """
    config = read_config(source)
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    shrink = (2 * int(config.num_hidden_layers)) ** -0.5
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(RESIDUAL_WRITERS):
                weight.mul_(shrink)
    weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    return save_model(model, out, weights=weights, tokenizer_from=source)
