"""Stages of a run by their names, as its ledger has them: ``runs/NAME/pretrain``.

A run folder may hold several artifacts of one stage, made from different settings. The ledger says
which one belongs to the run as it stands; the newest on disk may be another's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hanhua.core.errors import ArtifactError
from hanhua.core.files import read_json

LEDGER = "ledger.json"


def stages_of(run: Path) -> dict[str, Any]:
    """The stages of a run, by name, as its ledger has them.

    Raises:
        ArtifactError: when the ledger does not read.
    """
    path = run / LEDGER
    try:
        found = dict(read_json(path)["stages"])
        if not all(isinstance(entry["path"], str) for entry in found.values()):
            raise ValueError("a stage's path is no text")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            "The run's ledger does not read.", where=path, found=error,
            fix="run the recipe again; finished stages are kept",
        ) from error  # fmt: skip
    return found


def stages_beside(path: Path) -> dict[str, Path]:
    """The artifacts of the run that a path like ``runs/NAME/STAGE`` speaks of.

    Returns:
        folders by stage; empty where the path is there itself or its parent is no run.

    Raises:
        ArtifactError: when the run's ledger does not read.
    """
    run = path.parent
    if path.exists() or not (run / LEDGER).is_file() or (run / "record.json").is_file():
        return {}
    return {name: run / str(entry["path"]) for name, entry in stages_of(run).items()}
