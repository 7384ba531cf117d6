"""The scores of a run or of one of its models, found by name."""

from __future__ import annotations

from pathlib import Path

from hanhua.core.errors import InputError
from hanhua.core.run_stage import LEDGER, stages_beside, stages_of

MODELS = ("prefer", "finetune", "pretrain", "expand", "base")
"""Of a run, whose scores speak for it: the last one first."""


def scores_of(path: Path) -> Path:
    """The scores of ``RUN`` (its last model's) or ``RUN/STAGE``; any other path as it is.

    Raises:
        ArtifactError: when the run's ledger does not read.
        InputError: when that run has no scores, or none of that stage.
    """
    whole = (path / LEDGER).is_file() and not (path / "record.json").is_file()
    stages = stages_of(path) if whole else {}
    folders = {name: path / str(entry["path"]) for name, entry in stages.items()}
    folders = folders or stages_beside(path)
    if not folders:
        return path
    measured = [name for name in MODELS if f"eval-{name}" in folders]
    wanted = measured[:1] if whole else [path.name.removeprefix("eval-")]
    if not wanted or wanted[0] not in measured:
        raise InputError(
            "This run has no scores." if whole else "This run has no scores of that stage.",
            where=path, found=", ".join(measured) or "no eval stage",
            fix=f"name one of its models, such as {measured[0]}" if measured
            else "run its recipe further, with an eval section",
        )  # fmt: skip
    return folders[f"eval-{wanted[0]}"]


def named(folder: Path, model: str) -> str:
    """The name of a model whose scores are in a folder: behind that of its run, if it is of one."""
    is_stage = (folder / "record.json").is_file() and (folder.parent / LEDGER).is_file()
    return f"{folder.resolve().parent.name}/{model}" if is_stage else model
