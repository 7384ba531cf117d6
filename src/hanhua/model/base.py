"""The model to start from, brought into one form: safetensors, exact tokenizer.json, modes 0644.

Weights are copied, not linked: an artifact must not change when the user's own file does.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig

from hanhua.core.errors import ModelError
from hanhua.core.files import storage_errors, write_json
from hanhua.model.config import BaseConfig, ScratchConfig
from hanhua.model.load import (
    INDEX,
    check_weights,
    facts,
    quiet_transformers,
    read_config,
    resolve,
    weight_files,
)
from hanhua.model.scratch import new_model
from hanhua.vocab.tokenizer import TokenizerFiles, read_tokenizer


def make_base(config: BaseConfig, out: Path, seed: int) -> dict[str, Any]:
    """Write the model folder ``out`` and return what it is.

    Args:
        config: an existing model, or a scratch section over a tokenizer.
        out: the folder to make.
        seed: for random weights.

    Returns:
        params, vocab, hidden, layers, context, tokens (ids that the tokenizer knows), origin.

    Raises:
        ModelError: when the model or its tokenizer can't be used; StorageError: no room.
    """
    out.mkdir(parents=True, exist_ok=True)
    if config.scratch is not None:
        tokenizer = read_tokenizer(resolve(str(config.tokenizer)))
        _write_scratch(config.scratch, tokenizer, out, seed)
        origin = "scratch"
    else:
        source = resolve(str(config.model))
        tokenizer = read_tokenizer(source)
        _copy_model(source, tokenizer, out)
        origin = "model"
    tokenizer.save(out)
    for path in out.iterdir():
        path.chmod(0o644)  # save_pretrained leaves weights readable by their owner only
    found = read_config(out)
    size = len(tokenizer.fast())
    return {**facts(out, found), "tokens": size, "origin": origin}


def _write_scratch(config: ScratchConfig, tokenizer: TokenizerFiles, out: Path, seed: int) -> None:
    with quiet_transformers(), storage_errors(out):
        new_model(config, tokenizer.fast(), seed).save_pretrained(out)


def _copy_model(source: Path, tokenizer: TokenizerFiles, out: Path) -> None:
    config = read_config(source)
    check_weights(source, config)
    _check_rows(source, config, tokenizer)
    names = [path.name for path in weight_files(source)]
    names += [name for name in (INDEX, "config.json") if (source / name).exists()]
    with storage_errors(out):
        for name in names:
            shutil.copyfile(source / name, out / name)
    write_json(out / "generation_config.json", _generation_config(source, config))


def _check_rows(source: Path, config: PreTrainedConfig, tokenizer: TokenizerFiles) -> None:
    size = len(tokenizer.fast())
    if size > config.vocab_size:
        raise ModelError(
            "The tokenizer knows more tokens than the model has rows.", where=source,
            found=f"{size} tokens, vocab_size {config.vocab_size}",
            fix="give the tokenizer that the model was trained with",
        )  # fmt: skip


def _generation_config(source: Path, config: PreTrainedConfig) -> dict[str, Any]:
    path = source / "generation_config.json"
    if path.exists():
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise ModelError(
                "This file is not JSON.", where=path, found=error, fix="fetch the file again"
            ) from error
    return {"bos_token_id": config.bos_token_id, "eos_token_id": config.eos_token_id}
