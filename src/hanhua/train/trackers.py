"""Where else the numbers of the log go: TensorBoard, Weights & Biases, SwanLab, trackio.

The JSON lines are always written and are what the report reads; a tracker shows the same numbers
in a tool that the user has already. None is a dependency of hanhua, each is imported when the
recipe asks for it (``machine.trackers``), and all of them write to this machine only: W&B and
SwanLab offline, to be synchronised by hand where that is wanted.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from hanhua.core.errors import DependencyError
from hanhua.core.files import storage_errors

PROJECT = "hanhua"


class Tracker(Protocol):
    """Takes numbers by step."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of one step (from 1), by name."""

    def close(self) -> None:
        """Write what is left."""


class TensorBoard:
    """Event files under ``<folder>/tensorboard/<run>``."""

    def __init__(self, folder: Path, run: str, config: Mapping[str, Any], step: int) -> None:
        writer: Any = _load("torch.utils.tensorboard", "tensorboard").SummaryWriter
        # steps that a killed run logged behind its checkpoint come again
        self.writer = writer(str(folder / "tensorboard" / run), purge_step=step + 1)
        self.writer.add_text("recipe", f"```\n{config}\n```", 0)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of one step."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()


class WeightsAndBiases:
    """An offline run under ``<folder>/wandb``; ``wandb sync`` uploads it."""

    def __init__(self, folder: Path, run: str, config: Mapping[str, Any], step: int) -> None:
        wandb = _load("wandb", "wandb")
        self.run = wandb.init(
            mode="offline", dir=str(folder), project=PROJECT, name=run, id=run, resume="allow",
            config=dict(config),
        )  # fmt: skip

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of one step."""
        self.run.log(dict(values), step=step)

    def close(self) -> None:
        """Write what is left."""
        self.run.finish()


class SwanLab:
    """An offline run under ``<folder>/swanlab``; ``swanlab sync`` uploads it."""

    def __init__(self, folder: Path, run: str, config: Mapping[str, Any], step: int) -> None:
        self.swanlab = _load("swanlab", "swanlab")
        place = folder / "swanlab"
        place.mkdir(parents=True, exist_ok=True)
        self.swanlab.init(
            project=PROJECT, experiment_name=run, config=dict(config), logdir=str(place),
            mode="offline",
        )  # fmt: skip

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of one step."""
        self.swanlab.log(dict(values), step=step)

    def close(self) -> None:
        """Write what is left."""
        self.swanlab.finish()


class Trackio:
    """A local trackio database, under ``<folder>/trackio``; ``trackio show`` draws it."""

    def __init__(self, folder: Path, run: str, config: Mapping[str, Any], step: int) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(folder / "trackio"))  # read at import
        self.trackio = _load("trackio", "trackio")
        self.trackio.init(project=PROJECT, name=run, config=dict(config), resume="allow")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of one step."""
        self.trackio.log(dict(values), step=step)

    def close(self) -> None:
        """Write what is left."""
        self.trackio.finish()


TRACKERS: Mapping[str, type[Any]] = {
    "tensorboard": TensorBoard, "wandb": WeightsAndBiases, "swanlab": SwanLab, "trackio": Trackio,
}  # fmt: skip
"""By the name in the recipe, which is also the name of the pip extra."""


class Trackers:
    """All trackers of a run, as one.

    Args:
        names: of ``TRACKERS``.
        folder: where they write.
        run: its name in them; the same for a run that goes on.
        config: shown beside the curves.
        step: steps taken before.

    Raises:
        DependencyError: naming the extra of one that is not installed.
    """

    def __init__(
        self, names: Sequence[str], folder: Path, run: str, config: Mapping[str, Any], step: int
    ) -> None:
        if names:
            with storage_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
        self.all: list[Tracker] = [TRACKERS[name](folder, run, config, step) for name in names]

    def log(self, line: Mapping[str, Any]) -> None:
        """The numbers of a line of the log."""
        values = dict(numbers(line))
        for tracker in self.all:
            tracker.log(line["step"], values)

    def close(self) -> None:
        """Write what is left."""
        for tracker in self.all:
            tracker.close()


def numbers(line: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """A log line as flat numbers: ``loss``, ``loss/zh``, ``bits_per_byte/zh``, ``skipped``."""
    for name in ("loss", "lr", "grad_norm", "tokens", "targets", "margin", "accuracy"):
        if name in line:
            yield name, line[name]
    for language, loss in line.get("losses", {}).items():
        yield f"loss/{language}", loss
    for language, bits in line.get("held_out", {}).items():
        yield f"bits_per_byte/{language}", bits
    for kind, losses in line.get("answers", {}).items():
        for name, loss in losses.items():
            yield f"answers/{kind}/{name}", loss
    yield "skipped", float("skipped" in line)


def _load(module: str, extra: str) -> Any:
    """Import a tracker's package.

    Raises:
        DependencyError: naming the pip extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DependencyError(
            f"The tracker {extra} is not installed.", where="machine.trackers", found=error,
            fix=f'pip install "hanhua[{extra}]", or take it out of machine.trackers',
        ) from error  # fmt: skip
