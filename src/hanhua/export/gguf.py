"""A model as one GGUF file: config, tokenizer with its scores or merges, template and weights.

Written directly with the ``gguf`` package, tensor by tensor, so that no more than one tensor lies
in memory; llama.cpp is not needed. Rounding is that of llama.cpp's reference (compared byte for
byte with its own program, see tests).

In types of 4 and 5 bits the head, or the embedding where it is the head too, is kept in 8 bits, as
llama.cpp keeps it in 6: it decides between tokens, and a localised vocabulary has many. Rows that
no block fits into are kept in 16 bits.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from hanhua.core.errors import DependencyError, ModelError
from hanhua.core.files import storage_errors
from hanhua.core.progress import Progress, Silent
from hanhua.export.gguf_layout import ROPE_FACTORS, Layout, Matrix, layout
from hanhua.export.gguf_vocab import add_vocab, vocab_metadata
from hanhua.model.load import check_weights, read_config, weight_files
from hanhua.vocab.tokenizer import read_tokenizer

BLOCK = 32
"""Weights in a block of every type that is written here."""
_ENDS = ("output.weight", "token_embd.weight")
_FILE_TYPES = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16"}
_LARGEST_F16 = 65504.0


@dataclass(frozen=True, slots=True)
class _Weight:
    """A tensor on its way: transformers' name, llama.cpp's, the file it lies in, its shape."""

    theirs: str
    name: str
    file: Path
    shape: tuple[int, ...]


def need_gguf() -> Any:
    """The package.

    Raises:
        DependencyError: when it isn't installed.
    """
    if importlib.util.find_spec("gguf") is None:
        raise DependencyError(
            "GGUF files need a package that is not installed.", found="no gguf",
            fix='pip install "hanhua[gguf]"',
        )  # fmt: skip
    import gguf

    return gguf


def write_gguf(
    folder: Path, out: Path, kind: str, *, name: str = "", pure: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write a model folder as one GGUF file; it is there whole or not at all.

    Args:
        folder: the model, with its tokenizer.
        out: the file to make.
        kind: a type of :data:`hanhua.export.methods.DIRECT`, such as "q4_0".
        name: of the model, in the file.
        pure: the head in the same type as the rest.
        progress: a bar by tensors.

    Returns:
        ``types``: how many tensors of each type; ``bytes``; ``parameters``.

    Raises:
        DependencyError: without the ``gguf`` extra.
        ModelError: when llama.cpp would compute something else, or not give the same ids.
        StorageError: no room or no right to write.
    """
    gguf = need_gguf()
    config = read_config(folder)
    check_weights(folder, config)
    laid = layout(config, folder)
    vocab = vocab_metadata(read_tokenizer(folder), int(config.vocab_size), folder)
    weights = _weights(folder, laid)
    types = {w.name: _type(w.name, w.shape, kind, laid, pure) for w in weights}
    aside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        writer = gguf.GGUFWriter(aside, laid.arch)
        try:
            _describe(gguf, writer, laid, kind, name)
            add_vocab(writer, vocab)
            _tensors(gguf, writer, laid, weights, types, progress or Silent())
        except BaseException:
            writer.close()
            aside.unlink(missing_ok=True)
            raise
        writer.close()
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(aside, out)
        out.chmod(0o644)
    counts: dict[str, int] = {}
    for type_ in types.values():
        counts[type_] = counts.get(type_, 0) + 1
    return {
        "types": dict(sorted(counts.items())), "bytes": out.stat().st_size,
        "parameters": sum(int(np.prod(w.shape)) for w in weights),
    }  # fmt: skip


def _weights(folder: Path, laid: Layout) -> list[_Weight]:
    found = {}
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            for theirs in file.keys():
                if theirs.endswith("rotary_emb.inv_freq"):  # of old files; follows from the config
                    continue
                whole = theirs if theirs.startswith(("model.", "lm_head.")) else f"model.{theirs}"
                if (name := laid.name(whole)) is not None:
                    shape = tuple(file.get_slice(theirs).get_shape())
                    found[name] = _Weight(theirs, name, path, shape)
    if not laid.tied and "output.weight" not in found:
        raise ModelError("The weights hold no head.", where=folder, found="no lm_head.weight",
                         fix="fetch the weights again")  # fmt: skip
    return sorted(found.values(), key=lambda w: _order(w.name))


def _order(name: str) -> tuple[int, int, str]:
    """Embedding, blocks in order, the rest behind them."""
    parts = name.split(".")
    if parts[0] == "blk":
        return 1, int(parts[1]), name
    return (0 if parts[0] == "token_embd" else 2), 0, name


def _type(name: str, shape: tuple[int, ...], kind: str, laid: Layout, pure: bool) -> str:
    """The type a tensor is stored in."""
    if len(shape) < 2:
        return "F32"
    if kind in _FILE_TYPES:
        return kind.upper()
    if shape[-1] % BLOCK:
        return "F16"
    head = _ENDS[1] if laid.tied else _ENDS[0]
    return "Q8_0" if name == head and not pure else kind.upper()


def _describe(gguf: Any, writer: Any, laid: Layout, kind: str, name: str) -> None:
    if name:
        writer.add_name(name)
    for method, value in laid.numbers.items():
        getattr(writer, method)(value)
    scaling = {"linear": gguf.RopeScalingType.LINEAR, "yarn": gguf.RopeScalingType.YARN}
    if (rope := laid.rope.get("rope_type")) in scaling:
        writer.add_rope_scaling_type(scaling[rope])
        writer.add_rope_scaling_factor(float(laid.rope["factor"]))
    if rope == "yarn":
        writer.add_rope_scaling_orig_ctx_len(int(laid.rope["original_max_position_embeddings"]))
    writer.add_file_type(gguf.LlamaFileType[_FILE_TYPES.get(kind, f"MOSTLY_{kind.upper()}")])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _tensors(
    gguf: Any, writer: Any, laid: Layout, weights: list[_Weight], types: dict[str, str],
    progress: Progress,
) -> None:  # fmt: skip
    if laid.factors is not None:
        writer.add_tensor_info(ROPE_FACTORS, laid.factors.shape, np.float32, laid.factors.nbytes)
    for weight in weights:
        _announce(gguf, writer, weight, types[weight.name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    if laid.factors is not None:
        writer.write_tensor_data(laid.factors)
    with progress.bar("weights", len(weights), "tensor") as bar:
        for weight, values in _read(weights):
            whole = weight.theirs if "." in weight.theirs else f"{weight.theirs}.weight"
            values = np.ascontiguousarray(laid.to_theirs(whole, values))
            type_ = types[weight.name]
            _check_range(weight.theirs, values, type_)
            writer.write_tensor_data(gguf.quants.quantize(values, gguf.GGMLQuantizationType[type_]))
            bar.advance(1)


def _announce(gguf: Any, writer: Any, weight: _Weight, type_: str) -> None:
    """Tell the writer a tensor's shape, type and bytes before its data."""
    kind = gguf.GGMLQuantizationType[type_]
    if type_ in ("F32", "F16"):
        dtype: Any = np.float32 if type_ == "F32" else np.float16
        n_bytes = int(np.prod(weight.shape)) * np.dtype(dtype).itemsize
        writer.add_tensor_info(weight.name, weight.shape, np.dtype(dtype), n_bytes, kind)
        return
    shape = gguf.quants.quant_shape_to_byte_shape(weight.shape, kind)
    writer.add_tensor_info(weight.name, shape, np.dtype(np.uint8), int(np.prod(shape)), kind)


def _read(weights: list[_Weight]) -> Iterator[tuple[_Weight, Matrix]]:
    """Every tensor in float32, one at a time; files stay open, mapped and unread."""
    with ExitStack() as stack:
        files: dict[Path, Any] = {}
        for weight in weights:
            if weight.file not in files:
                files[weight.file] = stack.enter_context(safe_open(weight.file, framework="pt"))
            yield weight, files[weight.file].get_tensor(weight.theirs).to(torch.float32).numpy()


def _check_range(name: str, values: Matrix, type_: str) -> None:
    """Refuse what the type can't hold: 16-bit floats end at 65504, and so do scales of blocks."""
    largest = float(np.abs(values).max(initial=0.0))
    if not np.isfinite(largest) or (type_ not in ("F32", "BF16") and largest > _LARGEST_F16):
        raise ModelError(
            "This weight does not fit the type.", where=name,
            found=f"{largest:g}, stored as {type_}", fix="use f32 or bf16, or mend the model",
        )  # fmt: skip
