"""Weights in 8 or 4 bits that transformers loads by itself: torchao's int8, bitsandbytes' nf4.

Both keep embedding, head and norms as they are. int8 has one scale for each row of a matrix; nf4
is NormalFloat-4 in blocks of 64 with scales that are quantised again
(https://arxiv.org/abs/2305.14314).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from hanhua.core.errors import DependencyError, ModelError
from hanhua.core.files import storage_errors
from hanhua.eval.forward import CausalModel
from hanhua.model.load import check_weights, load_tokenizer, quiet_transformers, read_config
from hanhua.vocab.tokenizer import read_tokenizer

NF4_BLOCK = 64


def write_torch(folder: Path, out: Path, method: str) -> None:
    """Write a model folder whose matrices are in fewer bits.

    Args:
        folder: the model.
        out: the folder to make; may be there, empty.
        method: "int8" or "nf4".

    Raises:
        DependencyError: without the method's extra.
        ModelError: for nf4, when rows do not fill its blocks.
    """
    config = read_config(folder)
    check_weights(folder, config)
    how = _int8() if method == "int8" else _nf4(config, folder)
    with quiet_transformers(), storage_errors(out):
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, quantization_config=how, trust_remote_code=False
        )
        model.save_pretrained(out)
    read_tokenizer(folder).save(out)
    for path in out.iterdir():
        path.chmod(0o644)


def load_torch(folder: Path, device: str = "cpu") -> CausalModel:
    """A folder that :func:`write_torch` made, ready to be measured."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    with quiet_transformers():
        model: Any = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False)
    return CausalModel(model.to(device), load_tokenizer(folder))


def memory_bytes(model: Any) -> int:
    """Bytes of a model's weights in memory, those of quantised ones as they are packed."""
    seen = {id(p): p for p in model.parameters()}
    return sum(map(_bytes, seen.values()))


def _bytes(tensor: Any) -> int:
    if hasattr(tensor, "__tensor_flatten__"):
        return sum(_bytes(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])
    state = getattr(tensor, "quant_state", None)
    found = int(tensor.numel() * tensor.element_size())
    if state is not None:
        found += sum(_bytes(v) for v in state.as_dict(packed=False).values()
                     if isinstance(v, torch.Tensor))  # fmt: skip
    return found


def _int8() -> Any:
    try:
        from torchao.quantization import Int8WeightOnlyConfig
    except ImportError as error:
        raise _missing("int8 weights need torchao.", "int8", error) from error
    from transformers import TorchAoConfig

    return TorchAoConfig(Int8WeightOnlyConfig())


def _nf4(config: Any, folder: Path) -> Any:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise _missing("nf4 weights need bitsandbytes.", "gpu", error) from error
    from transformers import BitsAndBytesConfig

    for width in (config.hidden_size, config.intermediate_size):
        if width % NF4_BLOCK:
            raise ModelError(
                "The rows of this model do not fill the blocks of nf4.", where=folder,
                found=f"{width} weights in a row, blocks of {NF4_BLOCK}",
                fix="use int8 or a GGUF type",
            )  # fmt: skip
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )  # fmt: skip


def _missing(what: str, extra: str, error: ImportError) -> DependencyError:
    return DependencyError(what, found=error, fix=f'pip install "hanhua[{extra}]"')
