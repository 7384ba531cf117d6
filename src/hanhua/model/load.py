"""Find, check and load a model. Whatever is wrong is said in one message before torch sees it.

transformers fills missing weights with random numbers and only warns; here the shapes of every
weight in the safetensors headers are held against the config first, which costs no memory.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from hanhua.core.config import is_hub_id
from hanhua.core.errors import ModelError
from hanhua.core.files import read_json
from hanhua.model.hub import download
from hanhua.vocab.tokenizer import read_tokenizer

SUPPORTED = ("llama", "mistral", "qwen2", "qwen3")
"""Model types with ``model.embed_tokens`` and ``lm_head`` and SwiGLU decoder layers."""

INDEX = "model.safetensors.index.json"


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
    """The config of a model folder, of a type that hanhua can expand and train.

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
    if kind not in SUPPORTED:
        raise ModelError(
            "This kind of model is not supported.", where=path, found=f"model_type {kind!r}",
            fix=f"choose a model of type {', '.join(SUPPORTED)}",
        )  # fmt: skip
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # validation errors of several libraries
        raise ModelError(
            "transformers refuses this config.json.", where=path, found=error,
            fix="mend the field that it names, or fetch the file again",
        ) from error  # fmt: skip


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder, in the order of their names.

    Raises:
        ModelError: none, or one that the index names is missing.
    """
    index = folder / INDEX
    if index.exists():
        names = sorted(set(read_json(index)["weight_map"].values()))
    else:
        names = ["model.safetensors"]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        pickles = sorted(p.name for p in folder.glob("*.bin"))
        raise ModelError(
            "The weights are missing.", where=folder / missing[0],
            found=f"only {', '.join(pickles)}" if pickles else "no such file",
            fix="fetch the model again"
            + (", or save it as safetensors (pickles are not read)" if pickles else ""),
        )  # fmt: skip
    return [folder / name for name in names]


def _shapes(folder: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    found: dict[str, tuple[tuple[int, ...], str]] = {}
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():
                    found[name] = (tuple(file.get_slice(name).get_shape()), path.name)
        except (SafetensorError, OSError) as error:
            raise ModelError(
                "These weights do not read.", where=path, found=error,
                fix="fetch the file again; it is cut off or was changed",
            ) from error  # fmt: skip
    return found


def check_weights(folder: Path, config: PreTrainedConfig) -> None:
    """Hold every weight's shape against what the config asks for.

    Raises:
        ModelError: naming the first weight that is missing, has another shape or is no part of
            the model.
    """
    found = _shapes(folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    may_lack = set(getattr(model, "all_tied_weights_keys", None) or ())
    for name, shape in sorted(expected.items()):
        if name not in found:
            if name in may_lack and config.tie_word_embeddings:
                continue
            raise _misfit("A weight is missing.", folder, name, f"none; {list(shape)} expected")
        if found[name][0] != shape:
            text = f"{list(found[name][0])}; config.json asks for {list(shape)}"
            raise _misfit("A weight does not fit config.json.", folder / found[name][1], name, text)
    extra = sorted(n for n in found if n not in expected and not n.endswith("rotary_emb.inv_freq"))
    if extra:
        raise _misfit("A weight is no part of this model.", folder / found[extra[0]][1], extra[0],
                      f"{len(extra)} such weights")  # fmt: skip


def _misfit(what: str, where: Path, name: str, found: str) -> ModelError:
    return ModelError(
        what, where=f"{where}: {name}", found=found,
        fix="fetch config.json and the weights again, from one revision of one model",
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
    check_weights(folder, config)
    with quiet_transformers():
        model = AutoModelForCausalLM.from_pretrained(
            folder, config=config, dtype=dtype, trust_remote_code=False, use_safetensors=True
        )
    loaded: PreTrainedModel = model.eval()
    return loaded


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


def facts(model_folder: Path, config: PreTrainedConfig) -> dict[str, Any]:
    """Size of a model as its files tell it, without loading: for records and for ``plan``.

    Tied weights are counted once.
    """
    total = 0
    for shape, _ in _shapes(model_folder).values():
        count = 1
        for side in shape:
            count *= side
        total += count
    return {
        "params": total,
        "vocab": int(config.vocab_size),
        "hidden": int(config.hidden_size),
        "layers": int(config.num_hidden_layers),
        "context": int(config.max_position_embeddings),
    }
