"""GPTQ's format in 4 bits, for vLLM: made by auto-round, read back here to be measured.

transformers reads the format only through a package that wants a GPU, so the packed numbers are
unpacked by us: eight to an int32, input rows downwards; w = (q - z) * s, where zeros are stored
one lower than they are (https://github.com/AutoGPTQ/AutoGPTQ, qlinear_cuda_old.py).
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import AutoModelForCausalLM

from hanhua.core.errors import DependencyError, ModelError
from hanhua.core.files import read_json, storage_errors
from hanhua.eval.forward import CausalModel
from hanhua.export.calibration import Rows
from hanhua.model.load import load_model, load_tokenizer, quiet_transformers, weight_files
from hanhua.vocab.tokenizer import read_tokenizer

BITS = 4
GROUPS = (128, 64, 32)
"""Weights that share a scale; the first that fills every row."""


def write_gptq(folder: Path, out: Path, rows: Rows, iterations: int = 0) -> None:
    """Write a model folder in GPTQ's format.

    Args:
        folder: the model.
        out: the folder to make.
        rows: ids to calibrate on, all of one length.
        iterations: of auto-round's search for each block; 0: rounding that minds activations.

    Raises:
        DependencyError: without the ``gptq`` extra.
        ModelError: when no group size fits the model's rows.
    """
    need_auto_round()
    from auto_round import AutoRound

    logging.getLogger("autoround").setLevel(logging.ERROR)
    model: Any = load_model(folder)
    group = _group(model.config, folder)
    with quiet_transformers(), storage_errors(out):
        maker = AutoRound(
            model, load_tokenizer(folder), scheme="W4A16", group_size=group, sym=True,
            iters=iterations, seqlen=len(rows[0]), nsamples=len(rows),
            batch_size=min(4, len(rows)), dataset=[torch.tensor([row]) for row in rows],
            device_map="cpu",
        )  # fmt: skip
        maker.quantize_and_save(str(out), format="auto_gptq")
        _flatten(out)
    read_tokenizer(folder).save(out)
    for path in out.iterdir():
        path.chmod(0o644)


def need_auto_round() -> None:
    """Make sure that the package is there, before text is read for it.

    Raises:
        DependencyError: when it isn't.
    """
    if importlib.util.find_spec("auto_round") is None:
        raise DependencyError(
            "GPTQ's format is written by auto-round, which is not installed.",
            found="no auto_round", fix='pip install "hanhua[gptq]"',
        )  # fmt: skip


def _group(config: Any, folder: Path) -> int:
    widths = (config.hidden_size, config.intermediate_size)
    for size in GROUPS:
        if not any(width % size for width in widths):
            return size
    raise ModelError(
        "The rows of this model fill no group of GPTQ.", where=folder,
        found=f"{widths} weights in a row, groups of {GROUPS}", fix="use int8 or q4_0",
    )  # fmt: skip


def _flatten(out: Path) -> None:
    """auto-round puts its files one folder deeper."""
    for inner in [path for path in out.iterdir() if path.is_dir()]:
        for path in inner.iterdir():
            shutil.move(path, out / path.name)
        inner.rmdir()


def load_gptq(folder: Path, device: str = "cpu") -> CausalModel:
    """A folder in GPTQ's format as a plain model in float32, ready to be measured.

    Raises:
        ModelError: when it is of another kind.
    """
    raw = read_json(folder / "config.json")
    stated = raw.pop("quantization_config", None) or {}
    if (stated.get("quant_method"), stated.get("bits")) != ("gptq", BITS):
        raise ModelError("This is no model in GPTQ's format of 4 bits.", where=folder,
                         found=stated, fix="name the folder that hanhua quantise made")  # fmt: skip
    from transformers import CONFIG_MAPPING

    config = CONFIG_MAPPING[raw["model_type"]].from_dict(raw)
    with quiet_transformers():
        model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(_plain(folder), strict=False)
    model.tie_weights()
    return CausalModel(model.to(device), load_tokenizer(folder))


def _plain(folder: Path) -> dict[str, Tensor]:
    parts: dict[str, Tensor] = {}
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            parts |= {name: file.get_tensor(name) for name in file.keys()}
    found = {}
    for name, tensor in parts.items():
        stem, _, kind = name.rpartition(".")
        if kind == "qweight":
            found[f"{stem}.weight"] = unpack(
                tensor, parts[f"{stem}.qzeros"], parts[f"{stem}.scales"], parts[f"{stem}.g_idx"]
            )
        elif kind in ("weight", "bias"):
            found[name] = tensor.float()
    return found


def unpack(qweight: Tensor, qzeros: Tensor, scales: Tensor, g_idx: Tensor) -> Tensor:
    """A packed matrix in float32, ``[O, I]``.

    Args:
        qweight: int32 ``[I / 8, O]``.
        qzeros: int32 ``[G, O / 8]``.
        scales: ``[G, O]``.
        g_idx: which of the G groups an input is in, ``[I]``.
    """
    shifts = torch.arange(0, 32, BITS, dtype=torch.int32)
    mask = 2**BITS - 1
    q_IO = ((qweight[:, None, :] >> shifts[None, :, None]) & mask).reshape(-1, qweight.shape[1])
    z_GO = ((qzeros[:, :, None] >> shifts[None, None, :]) & mask).reshape(qzeros.shape[0], -1) + 1
    groups = g_idx.long()
    weight_IO = (q_IO - z_GO[groups]).float() * scales.float()[groups]
    weight_OI: Tensor = weight_IO.T.contiguous()
    return weight_OI
