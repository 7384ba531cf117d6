"""Find, check and load a model. Whatever is wrong is said in one message before torch sees it.

transformers fills missing weights with random numbers and only warns; see
:mod:`hanhua.model.weights` for what is held against what first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from hanhua.core.config import is_hub_id
from hanhua.core.errors import ModelError
from hanhua.core.files import read_json
from hanhua.model.ends import find_ends
from hanhua.model.hub import download
from hanhua.model.supported import context_tokens, plain_attention
from hanhua.model.weights import INDEX, check_loaded, check_weights, weight_files
from hanhua.vocab.tokenizer import read_tokenizer

__all__ = [
    "INDEX", "check_weights", "facts", "load_model", "load_tokenizer", "quiet_transformers",
    "read_config", "resolve", "weight_files",
]  # fmt: skip


def resolve(ref: str | Path) -> Path:
    """The local folder of a model reference, fetched where needed.

    Args:
        ref: a folder, ``org/name``, ``hf:org/name@revision`` or ``modelscope:org/name@revision``.

    Raises:
        ModelError: no such folder, or the hub can't give it.
    """
    path = Path(ref)
    if path.exists():
        return path
    if is_hub_id(str(ref)):
        return download(str(ref))
    raise ModelError(
        "No such model.", where=ref, found="neither a folder nor a hub name",
        fix="give a model folder, org/name, hf:org/name@revision or modelscope:org/name",
    )  # fmt: skip


def read_config(folder: Path) -> PreTrainedConfig:
    """The config of a model folder, of a causal language model that transformers has.

    Raises:
        ModelError: missing, broken, or of another type.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(
            "No config.json here, so this is no model folder.", where=folder,
            found=", ".join(sorted(p.name for p in folder.iterdir())[:8])
            if folder.is_dir() else "a file",
            fix="give the folder that holds config.json and model.safetensors",
        )  # fmt: skip
    try:
        raw = read_json(path)
        kind = raw.get("model_type")
    except (ValueError, OSError, AttributeError) as error:
        raise ModelError(
            "This config.json does not parse.", where=path, found=error, fix="fetch it again"
        ) from error
    if kind not in CONFIG_MAPPING:
        raise _unknown(path, kind)
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # validation errors of several libraries
        raise ModelError(
            "transformers refuses this config.json.", where=path, found=error,
            fix="mend the field that it names, or fetch the file again",
        ) from error  # fmt: skip
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise _unknown(path, kind)
    return config


def _unknown(path: Path, kind: object) -> ModelError:
    return ModelError(
        "This kind of model is not supported.", where=path,
        found=f"model_type {kind!r} is no causal language model that transformers knows",
        fix="choose another base; code that lies beside weights is never run",
    )  # fmt: skip


def load_model(ref: str | Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Load a causal language model, in eval mode, on the CPU.

    Args:
        ref: see :func:`resolve`.
        dtype: type of the weights in memory.

    Raises:
        ModelError: with what is wrong and what to do; never runs code from the model folder.
    """
    folder = resolve(ref)
    config = read_config(folder)
    compared = check_weights(folder, config)
    with quiet_transformers():
        try:
            model, loaded = AutoModelForCausalLM.from_pretrained(
                folder, config=config, dtype=dtype, trust_remote_code=False, use_safetensors=True,
                output_loading_info=True,
            )  # fmt: skip
        except Exception as error:  # of transformers, safetensors and a model's own code
            raise ModelError(
                "transformers can't load these weights.", where=folder, found=error,
                fix="fetch config.json and the weights again, from one revision of one model",
            ) from error  # fmt: skip
    if not compared:
        check_loaded(folder, loaded)
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(plain_attention(model))
    found: PreTrainedModel = model.eval()
    return found


def load_tokenizer(ref: str | Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer of a model, exact and lossless (see :mod:`hanhua.vocab.tokenizer`).

    Raises:
        ModelError: none there, broken, or of a kind that can't be carried exactly.
    """
    return read_tokenizer(resolve(ref)).fast()


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' bars and advice out of ours; errors still raise."""
    from transformers.utils import logging as transformers_logging

    level, bar = (
        transformers_logging.get_verbosity(),
        transformers_logging.is_progress_bar_enabled(),
    )
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bar:
            transformers_logging.enable_progress_bar()


def facts(config: PreTrainedConfig) -> dict[str, Any]:
    """Size of a model as its config tells it, without weights: for records and for ``plan``.

    Tied weights are counted once. ``context`` is None where the model has no limit.
    """
    ends = find_ends(config)
    return {
        "params": ends.params,
        "vocab": ends.shape[0],
        "hidden": int(config.hidden_size),
        "layers": int(config.num_hidden_layers),
        "context": context_tokens(config),
    }
