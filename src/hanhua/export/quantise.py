"""A model's weights in fewer bits: written by one of the methods, and loaded to be measured."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from hanhua.core.errors import ModelError
from hanhua.core.progress import Progress, Silent
from hanhua.eval.forward import CausalModel
from hanhua.export.calibration import calibration
from hanhua.export.gguf import need_gguf, write_gguf
from hanhua.export.gguf_read import load_gguf, types_in
from hanhua.export.gptq import load_gptq, need_auto_round, write_gptq
from hanhua.export.llama_cpp import LlamaCpp
from hanhua.export.methods import Method
from hanhua.export.torch_weights import load_torch, memory_bytes, write_torch
from hanhua.model.experts import has_experts
from hanhua.model.load import load_tokenizer, read_config
from hanhua.text.document import Document

_EXACT = {"float16": "f16", "bfloat16": "bf16"}
"""Stored type -> GGUF type that holds it whole; f32 for any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is quantised, and with what.

    Args:
        model: the model folder.
        name: of the model, in files that state one.
        llama: llama.cpp, for k-quants.
        texts: to calibrate on, by language.
        shares: of the languages in it.
        rows, length: of calibration.
        device: to load on.
        progress: bars.
    """

    model: Path
    name: str = ""
    llama: LlamaCpp = field(default_factory=LlamaCpp)
    texts: Mapping[str, Iterable[Document]] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    rows: int = 128
    length: int = 512
    device: str = "cpu"
    progress: Progress = field(default_factory=Silent)


def check_dense(folder: Path) -> None:
    """Refuse a mixture of experts, before anything is measured.

    transformers' int8 and nf4 leave experts as they are, which are most of it; auto-round spells
    their names otherwise than Mixtral's publishers; and llama.cpp's layout of them isn't written.

    Raises:
        ModelError: when it is one.
    """
    config = read_config(folder)
    if has_experts(config.to_dict()):
        raise ModelError(
            "A mixture of experts can't be stored in fewer bits here.", where=folder,
            found=f"model_type {config.model_type!r}; its experts would stay as they are",
            fix="export it whole with `hanhua export`",
        )  # fmt: skip


def quantise(method: Method, job: Job, out: Path) -> dict[str, Any]:
    """Write the model by one method.

    Args:
        method: of :data:`hanhua.export.methods.METHODS`.
        job: the model.
        out: the folder to make: a GGUF file, or a Hugging Face folder.

    Returns:
        ``method``, ``bytes`` on disk, ``seconds``, ``loads``; ``types`` of a GGUF file,
        ``calibration`` tokens by language.

    Raises:
        DependencyError: without what the method needs.
        ModelError: when the model does not fit the method.
    """
    check_dense(job.model)
    out.mkdir(parents=True, exist_ok=True)
    started, more = time.monotonic(), {}
    if method.family == "gguf":
        path = gguf_path(method, out)
        more["types"] = write_gguf(
            job.model, path, method.name, name=job.name, progress=job.progress
        )["types"]
    elif method.family == "k":
        more["types"] = _k_quant(method, job, out)
    elif method.family == "gptq":
        need_auto_round()
        length = min(job.length, int(read_config(job.model).max_position_embeddings))
        rows, more["calibration"] = calibration(
            load_tokenizer(job.model), job.texts, job.shares, job.rows, length
        )
        write_gptq(job.model, out, rows)
    else:
        write_torch(job.model, out, method.name)
    size = sum(path.stat().st_size for path in out.iterdir() if path.is_file())
    seconds = round(time.monotonic() - started, 2)
    return {"method": method.name, "bytes": size, "loads": method.loads, "seconds": seconds, **more}


def _k_quant(method: Method, job: Job, out: Path) -> dict[str, int]:
    need_gguf()
    stored = str(read_config(job.model).dtype).removeprefix("torch.")
    whole, path = out / ".whole.gguf", gguf_path(method, out)
    try:
        write_gguf(
            job.model, whole, _EXACT.get(stored, "f32"), name=job.name, progress=job.progress
        )
        job.llama.quantise(whole, path, method.name)
    finally:
        whole.unlink(missing_ok=True)
    path.chmod(0o644)
    return types_in(path)


def gguf_path(method: Method, out: Path) -> Path:
    """Where the file of a GGUF method lies in its folder."""
    return out / f"model-{method.name}.gguf"


def load_quantised(method: Method, out: Path, model: Path, device: str = "cpu") -> CausalModel:
    """What :func:`quantise` wrote, to be measured as any model is.

    GGUF and GPTQ files are unpacked to float32, which gives the weights that their engines compute
    with; int8 and nf4 run as transformers runs them.

    Args:
        method: by which it was made.
        out: its folder.
        model: the folder it was made from.
        device: to measure on.
    """
    if method.family in ("gguf", "k"):
        return load_gguf(gguf_path(method, out), model, device)
    return load_gptq(out, device) if method.family == "gptq" else load_torch(out, device)


def weight_memory(method: Method, out: Path, loaded: CausalModel) -> int:
    """Bytes that the weights take in memory where the method's engine runs them."""
    if method.family == "torch":
        return memory_bytes(loaded.model)
    if method.family == "gptq":
        return sum(path.stat().st_size for path in out.glob("*.safetensors"))
    return gguf_path(method, out).stat().st_size


@torch.inference_mode()
def tokens_per_second(loaded: CausalModel, tokens: int = 32, repeats: int = 3) -> dict[str, Any]:
    """Greedy tokens a second for one user in transformers, with key/value cache.

    Returns:
        ``median``, ``low``, ``high`` of the repeats, ``n`` of them, ``tokens`` of each,
        ``engine``, ``threads``.
    """
    from hanhua.export.huggingface import greedy_tokens

    ids = loaded.tokenizer("Once upon a time 从前")["input_ids"]
    greedy_tokens(loaded.model, ids, 2)
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        greedy_tokens(loaded.model, ids, tokens)
        found.append(tokens / (time.perf_counter() - started))
    return speed_row(found, tokens, "transformers", torch.get_num_threads())


def speed_row(found: list[float], tokens: int, engine: str, threads: int) -> dict[str, Any]:
    """Speeds of repeats as a row."""
    ordered = sorted(found)
    return {"median": round(ordered[len(ordered) // 2], 1), "low": round(ordered[0], 1),
            "high": round(ordered[-1], 1), "n": len(ordered), "tokens": tokens, "engine": engine,
            "threads": threads}  # fmt: skip


def llama_speed(
    llama: LlamaCpp, path: Path, ids: list[int], tokens: int = 32, repeats: int = 3
) -> dict[str, Any]:
    """The same of a GGUF file in llama.cpp, on one thread, with ``memory_bytes`` it grew by."""
    answer = llama.answers(path, n_ctx=len(ids) + tokens, speed=(ids, tokens, repeats))
    row = speed_row([tokens / s for s in answer["seconds"]], tokens,
                    f"llama.cpp (llama-cpp-python {answer['version']})", 1)  # fmt: skip
    return row | {"memory_bytes": answer["grown_bytes"]}
