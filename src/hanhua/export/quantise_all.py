"""Several methods on one model: each is made, measured against the model as it was, and judged."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hanhua.core.files import storage_errors, write_json
from hanhua.eval.evaluate import Evaluation
from hanhua.eval.forward import CausalModel
from hanhua.export.methods import Method
from hanhua.export.quality import broken, losses, measure
from hanhua.export.quantise import (
    Job,
    check_dense,
    gguf_path,
    llama_speed,
    load_quantised,
    quantise,
    tokens_per_second,
    weight_memory,
)
from hanhua.export.torch_weights import memory_bytes
from hanhua.model.load import load_model, load_tokenizer, weight_files

FORMAT = 1
PROOF = "proof"
"""Folder of scores, items and samples, in each method's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What every method's result is held against.

    Args:
        setting: what is measured; None: nothing is.
        source: what a recipe's evaluation wrote for the model; None: it is measured here.
        gate: limits, see :mod:`hanhua.export.quality`.
        speed: whether tokens a second are measured.
        speed_tokens: how many are made for that.
    """

    setting: Evaluation | None = None
    source: Path | None = None
    gate: Mapping[str, float] = field(default_factory=dict)
    speed: bool = False
    speed_tokens: int = 32


def quantise_all(methods: Sequence[Method], job: Job, trial: Trial, out: Path) -> dict[str, Any]:
    """Make and measure each method in a folder of its name.

    Args:
        methods: to make.
        job: the model.
        trial: what to hold it against.
        out: the folder; ``source-proof/`` in it has the measures of the model as it came.

    Returns:
        The content of ``quantise.json``: ``rows``, the model as it came first; a row that breaks
        the gate has ``broken``.
    """
    check_dense(job.model)
    source_proof = trial.source or out / f"source-{PROOF}"
    rows = [_source_row(job, trial, source_proof)]
    before = rows[0].pop("scores", None)
    for method in methods:
        folder = out / method.name
        row = quantise(method, job, folder)
        loaded = load_quantised(method, folder, job.model, job.device)
        row["memory_bytes"] = weight_memory(method, folder, loaded)
        if trial.speed:
            row["speed"] = _speed(method, folder, job, loaded, trial)
        if trial.setting is not None:
            assert before is not None
            scores = measure(
                loaded, trial.setting, folder / PROOF, f"{job.name} {method.name}", source_proof
            )
            row |= _scores(scores)
            found = losses(scores, before)
            row["change"] = {
                loss.language: {"value": loss.value, "low": loss.low, "high": loss.high}
                for loss in found if loss.kind == "loss"
            }  # fmt: skip
            row["losses"] = [asdict(loss) for loss in found]
            if lines := broken(found, trial.gate):
                row["broken"] = lines
        rows.append(row)
        del loaded
    found_all = {"format": FORMAT, "name": job.name, "gate": dict(trial.gate), "rows": rows}
    write_json(out / "quantise.json", found_all)
    return found_all


def _source_row(job: Job, trial: Trial, proof: Path) -> dict[str, Any]:
    """The model as it came; computed with in float32, as every score is."""
    stored = sum(path.stat().st_size for path in weight_files(job.model))
    model = CausalModel(load_model(job.model).to(job.device), load_tokenizer(job.model))
    row: dict[str, Any] = {
        "method": "source", "bytes": stored, "memory_bytes": memory_bytes(model.model),
        "loads": "transformers",
    }  # fmt: skip
    if trial.speed:
        row["speed"] = tokens_per_second(model, trial.speed_tokens)
    if trial.setting is not None:
        if trial.source is None:
            scores = measure(model, trial.setting, proof, job.name)
        else:
            from hanhua.core.files import read_json

            scores = dict(read_json(trial.source / "scores.json"))
        row |= _scores(scores) | {"scores": scores}
    return row


def _scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says of quality."""
    return {
        "bits_per_byte": {code: part["value"] for code, part in scores["bits_per_byte"].items()},
        "documents": {code: part["n_docs"] for code, part in scores["bits_per_byte"].items()},
        "tasks": {task["name"]: task["accuracy"] for task in scores["tasks"]},
    }


def _speed(
    method: Method, folder: Path, job: Job, loaded: CausalModel, trial: Trial
) -> dict[str, Any] | None:
    """In the engine that runs the method, where it is here; None: it is not."""
    if method.family in ("gguf", "k"):
        if job.llama.python is None:
            return None
        ids = [*loaded.tokenizer("Once upon a time 从前")["input_ids"]]
        return llama_speed(job.llama, gguf_path(method, folder), ids, trial.speed_tokens)
    return tokens_per_second(loaded, trial.speed_tokens) if method.family == "torch" else None


def set_aside(folder: Path) -> Path:
    """Give what broke the gate a name that says so; returns it."""
    aside = folder.with_name(f"{folder.name}.refused")
    with storage_errors(aside):
        os.replace(folder, aside)
    return aside
