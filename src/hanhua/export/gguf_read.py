"""A GGUF file back as a model of transformers, its weights as llama.cpp computes with them.

So a quantised file is measured by the same functions as any model, without llama.cpp. Config and
tokenizer come from the folder it was made from; that the file says the same is compared first.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from hanhua.core.errors import ArtifactError, ModelError
from hanhua.eval.forward import CausalModel
from hanhua.export.gguf import need_gguf
from hanhua.export.gguf_layout import ROPE_FACTORS, layout
from hanhua.export.gguf_vocab import VocabMetadata, vocab_metadata
from hanhua.model.load import load_tokenizer, quiet_transformers, read_config
from hanhua.vocab.tokenizer import read_tokenizer


def load_gguf(path: Path, folder: Path, device: str = "cpu") -> CausalModel:
    """The model of a GGUF file in float32, ready to be measured.

    Args:
        path: the file.
        folder: the model folder it was made from: config and tokenizer.
        device: to measure on.

    Raises:
        ModelError: when the file is none, or of another model.
    """
    with quiet_transformers():
        model: Any = AutoModelForCausalLM.from_config(read_config(folder), dtype=torch.float32)
    state = read_weights(path, folder)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    other = [name for name, tensor in state.items() if shapes.get(name) != tensor.shape]
    missing, unexpected = ([], other) if other else model.load_state_dict(state, strict=False)
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    if set(missing) - tied or unexpected:
        raise ModelError("This GGUF file is of another model.", where=path,
                         found=f"missing {missing[:4]}, unexpected {unexpected[:4]}",
                         fix="name the folder that it was made from")  # fmt: skip
    model.tie_weights()
    return CausalModel(model.to(device), load_tokenizer(folder))


def read_weights(path: Path, folder: Path) -> dict[str, torch.Tensor]:
    """The weights by transformers' names, in float32 and in its order of rows."""
    gguf = need_gguf()
    config = read_config(folder)
    laid = layout(config, folder)
    with quiet_transformers(), torch.device("meta"):
        names = list(AutoModelForCausalLM.from_config(config).state_dict())
    theirs = {laid.name(name): name for name in names}
    found = {}
    for tensor in _open(gguf, path).tensors:
        if tensor.name == ROPE_FACTORS:
            continue
        if tensor.name not in theirs:
            raise ModelError("This GGUF file is of another model.", where=path, found=tensor.name,
                             fix="name the folder that it was made from")  # fmt: skip
        name = theirs[tensor.name]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        values = values.reshape(tuple(int(n) for n in reversed(tensor.shape)))
        try:
            values = laid.to_ours(name, values.astype(np.float32, copy=False))
        except ValueError as error:  # heads of another number or size
            raise ModelError("This GGUF file is of another model.", where=path,
                             found=f"{tensor.name}: {error}",
                             fix="name the folder that it was made from") from error  # fmt: skip
        found[name] = torch.from_numpy(np.array(values, order="C"))  # the file is read-only
    return found


def _open(gguf: Any, path: Path) -> Any:
    try:
        return gguf.GGUFReader(path)
    except Exception as error:  # whatever the package raises on a broken file
        raise ModelError("This is no whole GGUF file.", where=path, found=error,
                         fix="write it again") from error  # fmt: skip


def header_of(path: Path) -> tuple[int, bool]:
    """How many positions a file's model knows (0: not told), and whether it has a chat template.

    Raises:
        ModelError: when the file is none; DependencyError: without the package gguf.
    """
    fields = _open(need_gguf(), path).fields
    lengths = [
        field.contents() for name, field in fields.items() if name.endswith(".context_length")
    ]
    template = fields.get("tokenizer.chat_template")
    return int(lengths[0]) if lengths else 0, bool(template and template.contents())


def types_in(path: Path) -> dict[str, int]:
    """How many tensors of each type a file holds."""
    found: dict[str, int] = {}
    for tensor in _open(need_gguf(), path).tensors:
        found[tensor.tensor_type.name] = found.get(tensor.tensor_type.name, 0) + 1
    return dict(sorted(found.items()))


def check_vocab(path: Path, folder: Path) -> int:
    """Hold a file's tokenizer against the folder's: tokens, kinds, scores, merges, split, ends.

    Returns:
        How many tokens were compared.

    Raises:
        ArtifactError: naming what differs.
    """
    config = read_config(folder)
    expected = vocab_metadata(read_tokenizer(folder), int(config.vocab_size), folder)
    fields = _open(need_gguf(), path).fields
    found = {name.removeprefix("tokenizer."): field.contents() for name, field in fields.items()
             if name.startswith("tokenizer.")}  # fmt: skip
    for key, value in _wanted(expected).items():
        if found.get(key) != value:
            raise ArtifactError(
                "The GGUF file does not hold the model's tokenizer.", where=path.name,
                found=f"{key}: {json.dumps(found.get(key), ensure_ascii=False)[:120]}",
                fix="report this as a bug; nothing was exported",
            )  # fmt: skip
    return len(expected.rows)


def _wanted(vocab: VocabMetadata) -> dict[str, Any]:
    """What the file must say, by key."""
    wanted: dict[str, Any] = {
        "ggml.model": vocab.model, "ggml.pre": vocab.pre,
        "ggml.tokens": [row.text for row in vocab.rows],
        "ggml.token_type": [row.kind for row in vocab.rows],
        "ggml.add_bos_token": vocab.add_bos, "ggml.add_eos_token": vocab.add_eos,
    }  # fmt: skip
    if vocab.merges:
        wanted["ggml.merges"] = list(vocab.merges)
    else:
        wanted["ggml.scores"] = [float(np.float32(row.score)) for row in vocab.rows]
    if vocab.chat_template is not None:
        wanted["chat_template"] = vocab.chat_template
    long_ = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    return wanted | {f"ggml.{long_[name]}_token_id": i for name, i in vocab.special.items()}
