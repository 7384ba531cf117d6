"""``hanhua export``: any model as a Hugging Face folder, a GGUF file or an Ollama model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hanhua.core.artifact import Artifact
from hanhua.core.files import storage_errors, write_json, write_text
from hanhua.core.progress import Progress, Silent
from hanhua.eval.target import Target
from hanhua.export.card import CardFacts, gather, render_card
from hanhua.export.config import ExportConfig
from hanhua.export.gguf import write_gguf
from hanhua.export.gguf_proof import prove_gguf
from hanhua.export.huggingface import describe, export_hf
from hanhua.export.llama_cpp import LlamaCpp
from hanhua.export.methods import Method
from hanhua.export.ollama import write_modelfile
from hanhua.export.quantise import Job, gguf_path, quantise
from hanhua.model.load import quiet_transformers
from hanhua.vocab.tokenizer import read_tokenizer

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporting:
    """What is exported.

    Args:
        target: the model; an adapter is added to what it was trained on.
        name: of the model, in files and card.
        config: shards, sampling defaults, licence.
        llama: llama.cpp, for k-quants and for a second proof.
        artifacts: of the run that the model lies in, for its card; by stage.
        languages: gained and kept.
        progress: bars.
    """

    target: Target
    name: str
    config: ExportConfig = field(default_factory=ExportConfig)
    llama: LlamaCpp = field(default_factory=LlamaCpp)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    languages: tuple[str, str] = ("zh", "en")
    progress: Progress = field(default_factory=Silent)


def export_folder(wanted: Exporting, out: Path) -> dict[str, Any]:
    """Write a Hugging Face folder with a model card; what it does is held against its source.

    Returns:
        The content of ``export.json``.
    """
    source = plain_model(wanted.target, out)
    counts = export_hf(source, out, wanted.config)
    write_card(wanted, source, out, counts)
    _drop(source, wanted.target)
    return _finish(wanted, out, {"to": "hf", "proof": counts})


def export_gguf(wanted: Exporting, out: Path, method: Method, *, ollama: bool) -> dict[str, Any]:
    """Write a GGUF file, for Ollama with a Modelfile; what it does is held against its source.

    Args:
        wanted: the model.
        out: the folder to make.
        method: a type of GGUF.
        ollama: whether a Modelfile is written.

    Returns:
        The content of ``export.json``.
    """
    source = plain_model(wanted.target, out)
    stem = wanted.name.replace("\\", "/").rstrip("/").rpartition("/")[2] or "model"
    if method.family == "gguf":
        path = out / f"{stem}-{method.name}.gguf"
        counts = write_gguf(source, path, method.name, name=wanted.name, progress=wanted.progress)
    else:
        counts = quantise(method, Job(model=source, name=wanted.name, llama=wanted.llama), out)
        path = gguf_path(method, out).rename(out / f"{stem}-{method.name}.gguf")
    if ollama:
        write_modelfile(source, path, wanted.config.licence)
    proof = prove_gguf(source, path, method.name, wanted.llama)
    _drop(source, wanted.target)
    to = "ollama" if ollama else "gguf"
    return _finish(wanted, out, {"to": to, "type": method.name, "types": counts["types"],
                                 "proof": proof})  # fmt: skip


def plain_model(target: Target, out: Path) -> Path:
    """The model's folder; an adapter and its model become one, in a hidden folder of ``out``."""
    if target.under is None:
        return target.folder
    import torch

    from hanhua.export.huggingface import stored_dtype

    folder = out / ".merged"
    loaded = target.load("cpu")
    with quiet_transformers(), storage_errors(folder):
        loaded.model.to(getattr(torch, stored_dtype(target.under))).save_pretrained(folder)
    own = (target.folder / "tokenizer.json").is_file()
    read_tokenizer(target.folder if own else target.under).save(folder)
    return folder


def _drop(source: Path, target: Target) -> None:
    if source != target.folder:
        shutil.rmtree(source, ignore_errors=True)


def write_card(
    wanted: Exporting, source: Path, out: Path, counts: Mapping[str, int]
) -> None:  # fmt: skip
    """The model card: of the run's artifacts, else the model's own where it has one."""
    card = out / "README.md"
    own = source / "README.md"
    if not wanted.artifacts and own.is_file():
        text = own.read_text(encoding="utf-8")
    else:
        facts = CardFacts(
            target=wanted.languages[0], source=wanted.languages[1],
            licence=wanted.config.licence, **describe(out, counts), **gather(wanted.artifacts),
        )  # fmt: skip
        text = render_card(facts)
    write_text(card, text)
    card.chmod(0o644)


def _finish(wanted: Exporting, out: Path, found: dict[str, Any]) -> dict[str, Any]:
    files = sorted(p for p in out.iterdir() if p.is_file())
    found = {
        "format": FORMAT, "name": wanted.name, **found,
        "files": {path.name: path.stat().st_size for path in files},
    }  # fmt: skip
    if found["to"] != "hf":  # a hub shows every file of a Hugging Face folder
        write_json(out / "export.json", found)
        (out / "export.json").chmod(0o644)
    return found
