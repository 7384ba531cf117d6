"""The model to start from, brought into one form: safetensors, exact tokenizer.json, modes 0644.

Weights are copied, not linked: an artifact must not change when the user's own file does.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig

from hanhua.core.errors import ModelError
from hanhua.core.files import read_json, storage_errors, write_json
from hanhua.model.config import BaseConfig, ContextConfig, ScratchConfig
from hanhua.model.context import check_taken, extended_config
from hanhua.model.ends import find_ends
from hanhua.model.load import (
    INDEX,
    check_weights,
    facts,
    load_model,
    quiet_transformers,
    read_config,
    resolve,
    weight_files,
)
from hanhua.model.scratch import new_model
from hanhua.model.supported import context_tokens
from hanhua.vocab.tokenizer import TokenizerFiles, read_tokenizer


def make_base(config: BaseConfig, out: Path, seed: int) -> dict[str, Any]:
    """Write the model folder ``out`` and return what it is.

    Args:
        config: an existing model, or a scratch section over a tokenizer.
        out: the folder to make.
        seed: for random weights.

    Returns:
        params, vocab, hidden, layers, context, tokens (ids that the tokenizer knows), origin; and
        lengthened (method, from_tokens) where the section asks for a longer context.

    Raises:
        ModelError: when the model or its tokenizer can't be used; StorageError: no room.
    """
    out.mkdir(parents=True, exist_ok=True)
    more: dict[str, Any] = {"origin": "model" if config.scratch is None else "scratch"}
    if config.scratch is not None:
        tokenizer = read_tokenizer(resolve(str(config.tokenizer)))
        _write_scratch(config.scratch, tokenizer, out, seed)
    else:
        source = resolve(str(config.model))
        tokenizer = read_tokenizer(source)
        _copy_model(source, tokenizer, out)
    if config.context is not None:
        more["lengthened"] = _lengthen(config.context, out)
        tokenizer = _with_limit(tokenizer, config.context.tokens)
    tokenizer.save(out)
    for path in out.iterdir():
        path.chmod(0o644)  # save_pretrained leaves weights readable by their owner only
    return {**facts(read_config(out)), "tokens": len(tokenizer.fast()), **more}


def _write_scratch(config: ScratchConfig, tokenizer: TokenizerFiles, out: Path, seed: int) -> None:
    with quiet_transformers(), storage_errors(out):
        new_model(config, tokenizer.fast(), seed).save_pretrained(out)


def _copy_model(source: Path, tokenizer: TokenizerFiles, out: Path) -> None:
    config = read_config(source)
    if not check_weights(source, config):
        stored = config.dtype if isinstance(config.dtype, torch.dtype) else torch.float32
        load_model(source, stored)  # it compares the names, and raises where one is missing
    _check_rows(source, config, tokenizer)
    names = [path.name for path in weight_files(source)]
    names += [name for name in (INDEX, "config.json") if (source / name).exists()]
    with storage_errors(out):
        for name in names:
            shutil.copyfile(source / name, out / name)
    write_json(out / "generation_config.json", _generation_config(source, config))


def _check_rows(source: Path, config: PreTrainedConfig, tokenizer: TokenizerFiles) -> None:
    size, rows = len(tokenizer.fast()), find_ends(config).shape[0]
    if size > rows:
        raise ModelError(
            "The tokenizer knows more tokens than the model has rows.", where=source,
            found=f"{size} tokens, vocab_size {rows}",
            fix="give the tokenizer that the model was trained with",
        )  # fmt: skip


def _lengthen(wanted: ContextConfig, out: Path) -> dict[str, Any]:
    """Write the longer context into the copy's config.json; what there was and how it grew."""
    config, path = read_config(out), out / "config.json"
    write_json(path, extended_config(read_json(path), config, wanted, path))
    check_taken(read_config(out), wanted.method, path)
    return {"method": wanted.method, "from_tokens": context_tokens(config)}


def _with_limit(tokenizer: TokenizerFiles, tokens: int) -> TokenizerFiles:
    """A limit that the tokenizer states grows along; else transformers would warn of long texts."""
    limit = tokenizer.settings.get("model_max_length")
    if limit is None or limit >= tokens:
        return tokenizer
    return replace(tokenizer, settings={**tokenizer.settings, "model_max_length": tokens})


def _generation_config(source: Path, config: PreTrainedConfig) -> dict[str, Any]:
    path = source / "generation_config.json"
    if path.exists():
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise ModelError(
                "This file is not JSON.", where=path, found=error, fix="fetch the file again"
            ) from error
    return {name: getattr(config, name, None) for name in ("bos_token_id", "eos_token_id")}
