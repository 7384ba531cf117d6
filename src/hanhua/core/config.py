"""What every recipe section shares: strict, frozen models, and fields that point outside.

A field that names a file holds its absolute path once the recipe is loaded; in the identity
of a stage it stands for the content of the files, never for where they lie.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
MODEL_FOLDERS = (
    ("export", "hf"), ("prefer", "model"), ("finetune", "model"), ("pretrain", "model"),
    ("expand", "model"), ("base", "model"),
)  # fmt: skip
"""Where a run keeps its models, the last first."""

_HUB_ID = re.compile(r"^(?:(?:hf|modelscope):)?[\w.-]+/[\w.-]+(?:@[\w./-]+)?$")


class Section(BaseModel):
    """A section of the recipe: unknown keys are refused, values are never coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True)


@dataclass(frozen=True, slots=True)
class Outside:
    """Marks a field whose value is a path (or glob) or a model reference outside the run."""

    kind: Literal["files", "model"]


@dataclass(frozen=True, slots=True)
class Added:
    """Marks a field that came after artifacts had been made without it.

    As long as it has its default it is no part of an identity, so they stay good.
    """


@dataclass(frozen=True, slots=True)
class Apart:
    """Marks a field that changes nothing that is made, so it is part of no identity."""


def expand(value: str, root: Path) -> str:
    """Expand ``${NAME}``, ``${NAME:-default}`` and ``~``; make a relative path absolute to root."""

    def variable(match: re.Match[str]) -> str:
        found = os.environ.get(match[1]) or match[2]
        if found is None:
            raise ValueError(f"the environment variable {match[1]} is not set")
        return found

    text = os.path.expanduser(_VARIABLE.sub(variable, value))
    return os.path.normpath(root / text)


def is_hub_id(value: str) -> bool:
    """Whether a model reference can only mean a hub: hf:a/b, modelscope:a/b, or a/b."""
    return _HUB_ID.match(value) is not None and not value.startswith((".", "/", "~", "$"))


def _root(info: ValidationInfo) -> Path:
    context = info.context or {}
    return Path(context.get("root", "."))


def _files(value: str, info: ValidationInfo) -> str:
    return expand(value, _root(info))


def _model(value: str, info: ValidationInfo) -> str:
    local = expand(value, _root(info))
    if Path(local).exists() or not is_hub_id(value):
        return str(model_in_run(Path(local)))
    return value


def model_in_run(path: Path) -> Path:
    """The newest model of a run folder (its export first); any other path as it is.

    Raises:
        ValueError: when that model is damaged; another one is never taken in its place.
    """
    try:
        stages = json.loads((path / "ledger.json").read_text(encoding="utf-8"))["stages"]
    except (OSError, ValueError, KeyError, TypeError):
        return path
    for stage, folder in MODEL_FOLDERS:
        if stage in stages:
            found = path / str(stages[stage]["path"]) / folder
            if not (found / "config.json").is_file():
                raise ValueError(
                    f"the model of the run's stage {stage} is not whole: there is no {found}"
                    "/config.json (run that recipe again, or name another stage's folder)"
                )
            return found
    return path


FilesField = Annotated[str, Outside("files"), AfterValidator(_files)]
"""A path, folder or glob, relative to the recipe's folder."""

ModelField = Annotated[str, Outside("model"), AfterValidator(_model)]
"""A local model folder, a Hugging Face id (``org/name`` or ``hf:org/name@revision``) or
``modelscope:org/name``."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""A part of a whole, from 0 to 1."""


AcceleratorName = Literal[
    "cpu", "a100-40gb", "a100-80gb", "h100-80gb", "h200-141gb", "l40s", "rtx-3090", "rtx-4090",
    "mi300x",
]  # fmt: skip
"""Devices whose figures are in :mod:`hanhua.train.cost.accelerators`."""


class Machine(Section):
    """How and where to run. Never changes what is computed, so never part of an identity."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=0, description="0: as many as the machine has cores")] = 0
    workers: Annotated[int, Field(ge=0, description="processes for text work; 0: one a core")] = 0
    cluster: Annotated[
        str | None,
        Field(description="clean text on Daft: the address of a Ray cluster, local for Ray on this "
              "machine, native for Daft alone"),
    ] = None  # fmt: skip
    memory_mib: Annotated[
        int, Field(gt=0, description="for sorting the keys of documents; more is done in parts")
    ] = 1024
    micro_batch_tokens: Annotated[
        int | None,
        Field(gt=0, description="tokens that go through the model at once; left out: 8,192 on a "
              "GPU, 2,048 on a CPU, where more are no faster"),
    ] = None  # fmt: skip
    compile: Annotated[
        bool, Field(description="compile decoder blocks (torch.compile); pays on GPUs")
    ] = False
    activation_checkpointing: Annotated[
        Literal["none", "selective", "full"],
        Field(description="what the backward pass computes again to save memory: nothing; all of "
              "a decoder block but its products with weights; all of it"),
    ] = "none"  # fmt: skip
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 2.0
    background_checkpoints: Annotated[
        bool | None,
        Field(description="write checkpoints from a copy in memory while training goes on; left "
              "out: on GPUs, not on a CPU"),
    ] = None  # fmt: skip
    trackers: Annotated[
        tuple[Literal["tensorboard", "wandb", "swanlab", "trackio"], ...],
        Field(strict=False, description="where training's numbers go besides log.jsonl; each needs "
              "the pip extra of its name, and writes to this machine only"),
    ] = ()  # fmt: skip
    tracker_folder: Annotated[FilesField, Field(description="where the trackers write")] = (
        "trackers"
    )
    devices: Annotated[
        int, Field(gt=0, description="devices, one process each, that `hanhua plan` reckons with")
    ] = 1
    accelerator: Annotated[
        AcceleratorName | None,
        Field(description="kind of device that `hanhua plan` reckons with; left out: this "
              "machine's"),
    ] = None  # fmt: skip
    mfu: Annotated[
        float | None,
        Field(gt=0, le=1, description="share of an accelerator's peak that `hanhua plan` assumes; "
              "left out: 0.4"),
    ] = None  # fmt: skip
    price_per_device_hour: Annotated[
        float | None, Field(ge=0, description="what a device costs an hour, for `hanhua plan`")
    ] = None
    currency: Annotated[str, Field(description="of the price")] = "USD"

    def micro_tokens(self, cuda: bool) -> int:
        """Tokens at once: what the recipe says, or what suits the device."""
        return self.micro_batch_tokens or (8192 if cuda else 2048)
