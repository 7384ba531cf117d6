"""What a training stage leaves: the model whole and plain, adapters in it and also beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from hanhua.core.errors import TrainingError
from hanhua.model.checkpoint import probe_logits, save_model, saved_dtype
from hanhua.model.load import load_model, read_config
from hanhua.model.lora import add_adapters, merge_adapters
from hanhua.model.lora_files import save_adapter
from hanhua.model.nf4 import dequantise
from hanhua.model.routing import taken_again, written_down
from hanhua.train import parallel
from hanhua.train.config import OptimConfig
from hanhua.train.fill import model_without_weights
from hanhua.train.loop import TrainResult

MERGED_MOST = {"float32": 1e-4, "bfloat16": 5e-2}
"""How far merging may move the logits, root mean square of the difference over that of the logits,
by the dtype the model is saved in. In fp32 only the order of sums differs; in bf16 every merged
weight is rounded once, by up to 2^-9 of itself."""


def load_to_train(folder: Path, config: OptimConfig) -> Any:
    """The model to start from; frozen weights are never held wider than they are stored.

    Where many processes share it, it comes without weights: each takes its part in the loop.
    """
    stored = read_config(folder).dtype if config.lora is not None else None
    dtype = stored if isinstance(stored, torch.dtype) else torch.float32
    return (
        load_model(folder, dtype) if parallel.size() == 1 else model_without_weights(folder, dtype)
    )


def save_trained(
    model: Any, result: TrainResult, config: OptimConfig, out: Path, *, tokenizer_from: Path,
    chat_template: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Save ``model/`` and, for LoRA, first ``adapter/``; merge, read back, compare logits.

    Args:
        model: as the loop left it; what is saved may be another, see ``_whole``.
        result: of the loop.
        config: the section.
        out: the artifact.
        tokenizer_from: see :func:`hanhua.model.checkpoint.save_model`.
        chat_template: likewise.

    Returns:
        What ``save_model`` returns, and for LoRA ``lora``: ``trained_parameters`` and
        ``merge_difference`` (see ``MERGED_MOST``); nothing on processes behind the first.

    Raises:
        TrainingError: when the merged model, or what is read back, computes something else.
    """
    folder = out / "model"
    if not parallel.first():
        return {}
    if parallel.size() > 1 or _lost_digits(model, result, config, tokenizer_from):
        model = _whole(model, config, tokenizer_from)
    if config.lora is None:
        return save_model(
            model, folder, weights=result.weights, tokenizer_from=tokenizer_from,
            chat_template=chat_template,
        )  # fmt: skip
    model.to("cpu")
    dequantise(model)
    model.float()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in result.weights:
                parameter.copy_(result.weights[name])
    with written_down(model) as routes:
        unmerged = probe_logits(model)
    save_adapter(model, config.lora, out / "adapter")
    merge_adapters(model)
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    saved = save_model(
        model, folder, weights=weights, tokenizer_from=tokenizer_from, chat_template=chat_template
    )
    with taken_again(model, routes):
        difference = relative_difference(probe_logits(model), unmerged)
    if not difference <= MERGED_MOST[saved["dtype"]]:
        raise TrainingError(
            "The merged model computes other logits than the one with adapters.", where=folder,
            found=f"{difference:.3g} of the logits, root mean square, in {saved['dtype']}",
            fix="train with a lower learning_rate or lora.alpha; the checkpoint is kept",
        )  # fmt: skip
    trained = sum(weight.numel() for weight in result.weights.values())
    return {**saved, "lora": {"trained_parameters": trained, "merge_difference": difference}}


def _lost_digits(model: Any, result: TrainResult, config: OptimConfig, source: Path) -> bool:
    """Whether frozen weights were rounded for the arithmetic, of a model that is saved in fp32.

    (In 4 bits the adapters made up for what was lost: they belong to the rounded weights.)
    """
    if config.lora is None or config.lora.base_bits or result.precision == "fp32":
        return False
    small = saved_dtype(sum(p.numel() for p in model.parameters())) == torch.float32
    return small and read_config(source).dtype != torch.bfloat16


def _whole(trained: Any, config: OptimConfig, source: Path) -> Any:
    """A model as it was before training, on this process alone, in place of the trained one."""
    stored = read_config(source).dtype
    whole = load_model(source, stored if isinstance(stored, torch.dtype) else torch.float32)
    whole.generation_config = trained.generation_config
    if config.lora is not None:
        add_adapters(whole, config.lora, 0, whole.dtype)
    return whole


def relative_difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Root mean square of a difference over that of what was expected."""
    return float((found - expected).norm() / expected.norm())
