"""Models on disk: saved as a Hugging Face folder, read back, and held against what was saved."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hanhua.core.errors import TrainingError
from hanhua.core.files import storage_errors, write_text
from hanhua.model.fuse import count_fused, fuse
from hanhua.model.load import load_model, quiet_transformers
from hanhua.model.shapes import SMALL_PARAMETERS
from hanhua.model.supported import plain_attention

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".index.json", ".gguf")
_OURS = ("config.json", "generation_config.json", "README.md", ".gitattributes")


def saved_dtype(n_parameters: int) -> torch.dtype:
    """The dtype that a model of a size is saved in."""
    return torch.float32 if n_parameters < SMALL_PARAMETERS else torch.bfloat16


def save_model(
    model: Any, folder: Path, *, weights: Mapping[str, Tensor], tokenizer_from: Path,
    chat_template: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Save a model with its tokenizer, read it back, and compare logits.

    Args:
        model: a causal LM; it holds the given weights afterwards.
        folder: where to; it may exist.
        weights: fp32 values by parameter name.
        tokenizer_from: model folder whose tokenizer files are copied byte for byte.
        chat_template: Jinja to save with the tokenizer; None: the one that is there, if any.

    Returns:
        ``dtype``, ``parameters`` and ``reload_max_difference`` of the logits.

    Raises:
        TrainingError: when what is read back computes something else.
    """
    n_parameters = sum(w.numel() for w in weights.values())
    dtype = saved_dtype(n_parameters)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.data = weights[name].to(dtype)
    model.to("cpu")
    model.config.dtype = dtype
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        copy_tokenizer(tokenizer_from, folder)
        with quiet_transformers():
            model.save_pretrained(folder)
        if chat_template is not None:
            write_text(folder / "chat_template.jinja", chat_template)
        for path in folder.rglob("*"):
            os.chmod(path, 0o755 if path.is_dir() else 0o644)
    difference = reload_difference(model, folder)
    if not difference <= 1e-3:
        raise TrainingError(
            "The saved model computes other logits than the trained one.", where=folder,
            found=f"largest difference {difference:g}", fix="report this; the checkpoint is kept",
        )  # fmt: skip
    name = str(dtype).removeprefix("torch.")
    return {"dtype": name, "parameters": n_parameters, "reload_max_difference": difference}


def set_template(model: Any, tokenizer: Any, stop: Sequence[str]) -> None:
    """Let generation end where a template's answers end: at the end token and its stop tokens."""
    ids = [tokenizer.eos_token_id, *(tokenizer.convert_tokens_to_ids(text) for text in stop)]
    known = list(dict.fromkeys(i for i in ids if i is not None))
    model.generation_config.eos_token_id = known[0] if len(known) == 1 else known


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copy everything but weights and configs, byte for byte."""
    for path in sorted(source.iterdir()):
        if path.is_file() and not path.name.endswith(_WEIGHTS) and path.name not in _OURS:
            shutil.copyfile(path, folder / path.name)


@torch.no_grad()
def reload_difference(model: Any, folder: Path) -> float:
    """The largest difference between a model's logits and those of its saved self."""
    again = load_model(folder, model.dtype)
    if count_fused(model):
        fuse(again)
    return float((probe_logits(model) - probe_logits(again)).abs().max())


@torch.no_grad()
def probe_logits(model: Any) -> Tensor:
    """Logits of 16 tokens spread over the vocabulary, ``[1, 16, V]``.

    In fp32, so that only a difference of weights is seen; the model stays in it.
    """
    vocab = model.get_input_embeddings().weight.shape[0]
    ids = (torch.arange(16, device=model.device) * 7919 % vocab)[None]
    was_training = model.training
    model.eval()
    model.set_attn_implementation(plain_attention(model))
    found: Tensor = model.float()(ids).logits
    model.train(was_training)
    return found
