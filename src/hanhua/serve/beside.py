"""Which models one server has: MODEL, and what ``--beside`` names; found, named, loaded.

A word is a stage of MODEL's run or a path. Each model gets a name of its own, since requests choose
by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanhua.core.errors import ModelError, UsageError
from hanhua.core.run_stage import stages_of
from hanhua.serve.llama_cpp import find_gguf
from hanhua.serve.run import RUNS, model_in, model_name, resolve_run

if TYPE_CHECKING:
    from hanhua.serve.models import BaseTokenizer
    from hanhua.serve.served import Served

STAGES = ("base", "expand", "pretrain", "finetune", "prefer", "quantise", "export")
"""Stages of a run that hold a model, in the order of the walk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a model lies and what the API calls it.

    Args:
        name: unique on a server.
        folder: config, tokenizer and, without a file, the weights.
        file: a GGUF file with the weights.
    """

    name: str
    folder: Path
    file: Path | None = None

    @property
    def base(self) -> Path | None:
        """The folder of the base that it grew from in its run; None where that is not known."""
        found = _run_of(self.file or self.folder) or _run_of(self.folder)
        base = _stage_model(*found, "base") if found else None
        return None if base is None or base.resolve() == self.folder.resolve() else base


def find_places(model: Path, beside: Sequence[str] = (), name: str | None = None) -> list[Place]:
    """The model, and those to serve beside it.

    Args:
        model: see :func:`hanhua.serve.run.resolve_run`.
        beside: for each a stage (``base``, ``quantise/q4_0``), a GGUF file made from the model, or
            any path that ``model`` could be.
        name: of the model; the run's or folder's name when None.

    Raises:
        ModelError: when one is not there, with the stages that the run has.
        UsageError: when one is named twice.
        ArtifactError: when a run's ledger does not read.
    """
    found = [Place(name=name or model_name(model), folder=resolve_run(model))]
    for word in beside:
        place = _find(word, found[0])
        for other in found:
            if _identity(other) == _identity(place):
                raise UsageError("This model is served already.", where=f"--beside {word}",
                                 found=f"{other.name}, from {other.file or other.folder}",
                                 fix="name another one, or leave it out")  # fmt: skip
        found.append(replace(place, name=_unused(place.name, {p.name for p in found})))
    return found


def load_all(
    places: Sequence[Place], *, device: str = "auto", dtype: str = "auto", threads: int = 0
) -> list[Served]:
    """Load models and share the CPU's threads among them, since they answer at the same time.

    Args:
        places: of the models.
        device: see :func:`hanhua.serve.served.load_served`.
        dtype: see there.
        threads: see there; with several models 0 shares out what torch would take for one.

    Returns:
        What was loaded, in the same order.
    """
    import torch

    from hanhua.serve.served import SMALL_PARAMETERS, load_served

    available = torch.get_num_threads()
    found = [
        load_served(place.folder, name=place.name, device=device, dtype=dtype, threads=threads,
                    file=place.file)
        for place in places
    ]  # fmt: skip
    largest = max(sum(p.numel() for p in served.model.parameters()) for served in found)
    if len(found) > 1 and not threads and largest >= SMALL_PARAMETERS:
        torch.set_num_threads(max(1, available // len(found)))
    return found


def base_tokenizers(
    places: Sequence[Place], say: Callable[[str], None]
) -> dict[str, BaseTokenizer]:
    """The tokenizers of the bases that models of runs grew from, by name of the model.

    Args:
        places: of the models.
        say: gets a line about one that cannot be read; the models are served without it.
    """
    from hanhua.serve.models import BaseTokenizer

    folders = {place.name: place.base for place in places}
    read: dict[Path, BaseTokenizer] = {}
    for folder in {folder for folder in folders.values() if folder}:
        try:
            read[folder] = BaseTokenizer(folder)
        except ModelError as error:
            say(f"no token counts before expansion: {error.what} ({folder})")
    return {name: read[folder] for name, folder in folders.items() if folder in read}


def _identity(place: Place) -> Path:
    return (place.file or place.folder).resolve()


def _unused(name: str, taken: set[str]) -> str:
    numbered = (f"{name}-{i}" for i in range(2, len(taken) + 3))
    return name if name not in taken else next(n for n in numbered if n not in taken)


def _find(word: str, main: Place) -> Place:
    stage, _, method = word.partition("/")
    if stage in STAGES and (not method or stage == "quantise"):
        return _stage(stage, method, main)
    for path in (Path(word), RUNS / word):
        if (path / "quantise.json").is_file():
            return _quantised(path, "", main.name, main.folder)
        if file := find_gguf(path):
            return Place(name=file.stem, folder=main.folder, file=file)
    try:
        folder = resolve_run(Path(word))
    except ModelError as error:
        raise ModelError(
            error.what, where=f"--beside {word}", found=error.found,
            fix=f"name a stage ({', '.join(STAGES)}), a GGUF file, a run folder (runs/NAME), an "
            "artifact or a Hugging Face folder",
        ) from error  # fmt: skip
    return Place(name=_path_name(Path(word), folder), folder=folder)


def _path_name(path: Path, folder: Path) -> str:
    """The name of a path's model; of one stage's artifact within a run, with the stage."""
    name, found = model_name(path), _run_of(folder)
    if not found or (path / "ledger.json").is_file() or (RUNS / path / "ledger.json").is_file():
        return name
    run, stages = found
    within = folder.resolve().relative_to(run.resolve()).parts[0]
    stage = next((s for s, entry in stages.items() if entry.get("path") == within), None)
    return f"{name}-{stage}" if stage else name


def _run_of(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The run that a model folder or file is part of, with its stages."""
    for inner in folder.resolve().parents[:3]:
        if (inner / "ledger.json").is_file():
            return inner, stages_of(inner)
    return None


def _stage_model(run: Path, stages: dict[str, Any], stage: str) -> Path | None:
    path = stages.get(stage, {}).get("path")
    return model_in(run / str(path)) if path else None


def _stage(stage: str, method: str, main: Place) -> Place:
    found = _run_of(main.folder)
    if found is None:
        raise ModelError(
            "A stage can only be named beside a model of a run.", where=f"--beside {stage}",
            found=f"{main.folder} is part of none",
            fix=f"serve a run (runs/NAME), or give a path (a folder of that name is ./{stage})",
        )  # fmt: skip
    run, stages = found
    name = f"{main.name}-{stage}"
    if stage == "quantise" and stage in stages:
        source = str(dict(stages[stage].get("inputs") or {}).get("model"))
        made_from = _stage_model(run, stages, source) or main.folder
        return _quantised(run / str(stages[stage].get("path")), method, main.name, made_from)
    folder = _stage_model(run, stages, stage)
    if folder is None:
        there = [s for s in STAGES if (s == "quantise" and s in stages)
                 or _stage_model(run, stages, s)]  # fmt: skip
        raise ModelError(
            "The run has no model of this stage." if stage not in stages else
            "The model of this stage is gone.", where=run,
            found=f"{stage}; it has {', '.join(there)}", fix="name one that it has",
        )  # fmt: skip
    return Place(name=name, folder=folder)


def _quantised(root: Path, method: str, name: str, source: Path) -> Place:
    """One method's result in a folder of several."""
    from hanhua.export.methods import METHODS
    from hanhua.export.quantise import gguf_path

    there = [m for m in METHODS if (root / m).is_dir()]
    if (method and method not in there) or (not method and len(there) != 1):
        raise ModelError(
            "Several quantised models are here." if there and not method else
            "There is no such quantised model.", where=root,
            found=f"{method + '; it has ' if method else ''}{', '.join(there) or 'none'}",
            fix=f"name one: --beside quantise/{there[0]}, or the path {root / there[0]}" if there
            else "quantise the model: hanhua quantise",
        )  # fmt: skip
    found = METHODS[method or there[0]]
    folder = root / found.name
    if found.family in ("gguf", "k"):
        return Place(name=f"{name}-{found.name}", folder=source, file=gguf_path(found, folder))
    return Place(name=f"{name}-{found.name}", folder=folder)
