"""Finished studies of several sizes of a model, read from disk and held against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError, StorageError, UsageError
from hanhua.mix.fit_size import SAME_SIZE
from hanhua.mix.plain import short
from hanhua.mix.points import Study

FILE = "study.json"
SAME = {
    "corpus": ("corpus", "build all from one corpus section with one seed"),
    "tokenizer": ("tokenizer", "join models of one family, with one vocab section"),
    "base_tokenizer": ("tokenizer of the base", "join models of one family"),
    "vocab": ("vocab section", "use one vocab section"),
    "held_out": ("held-out documents", "use one mix.docs and one mix.max_chars_per_doc"),
    "small_runs": ("way of making small runs", "use one mix.schedule"),
    "others": ("shares of other languages", "use the same ones"),
}
"""What must be the same: key of the setting -> its name, and what to do."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Studies that can be joined.

    Args:
        studies: parameters of the model -> what was measured, in order.
        folders: parameters -> the study's folder.
    """

    studies: dict[float, Study]
    folders: dict[float, Path]

    @property
    def setting(self) -> Mapping[str, Any]:
        """Of the largest."""
        return self.studies[max(self.studies)].setting


def read_studies(folders: Sequence[Path], target: str, source: str) -> Joined:
    """Read studies and refuse those that do not go together.

    Args:
        folders: each with a ``study.json`` (a path to that file will do).
        target: the recipe's.
        source: the recipe's.

    Raises:
        StorageError: when a folder holds no study.
        InputError: when a study does not say its size, or does not go with the first.
        UsageError: when there are fewer than two, or two of one size.
    """
    found: dict[float, tuple[Path, Study]] = {}
    first: tuple[Path, Study] | None = None
    for folder in folders:
        path = folder if folder.is_file() else folder / FILE
        study = _read(path, target, source)
        first = first or (path, study)
        check_same(study.setting, first[1].setting, path, first[0])
        size = float(study.setting["parameters"])
        near = [one for one in found if max(one / size, size / one) <= SAME_SIZE]
        if near:
            raise UsageError(
                "Two studies are of one size.", where=f"{found[near[0]][0]}, {path}",
                found=f"{size:,.0f} parameters",
                fix="join one study of each size; mix.seeds makes more runs of one",
            )  # fmt: skip
        found[size] = path, study
    if len(found) < 2:
        raise UsageError(
            "One study tells nothing of size.", where="mix.join or --join",
            found=f"{len(found)} study", fix="name two sizes or more; three can check each other",
        )  # fmt: skip
    ordered = sorted(found)
    return Joined(
        {size: found[size][1] for size in ordered},
        {size: found[size][0].parent for size in ordered},
    )


def _read(path: Path, target: str, source: str) -> Study:
    if not path.is_file():
        raise StorageError(
            "No finished study is here.", where=path, found="no such file",
            fix="name the folder that hanhua mix left, runs/NAME-mix",
        )  # fmt: skip
    study = Study.read(path)
    if not study.setting.get("parameters"):
        raise InputError(
            "This study does not say the size of its model.", where=path,
            found="made by an older hanhua, or its config.json is of a kind not known",
            fix="call hanhua mix with its recipe again: nothing is trained twice",
        )  # fmt: skip
    if (study.target, study.source) != (target, source):
        raise InputError(
            "This study is of other languages.", where=path,
            found=f"{study.target} and {study.source}",
            fix=f"join studies of {target} and {source}",
        )  # fmt: skip
    return study


def check_same(
    setting: Mapping[str, Any], other: Mapping[str, Any], where: Path | str, against: Path | str
) -> None:
    """Refuse a setting whose losses, tokens or shares mean something else.

    Keys that one of the two lacks, or does not know, are passed over.

    Raises:
        InputError: naming the first thing that differs.
    """
    for key, (name, fix) in SAME.items():
        if None not in (setting.get(key), other.get(key)) and setting[key] != other[key]:
            raise InputError(
                f"The {name} is not that of the study {against}, so they cannot be joined.",
                where=where, found=_shown(setting[key], other[key]), fix=fix,
            )  # fmt: skip


def _shown(one: object, other: object) -> str:
    return " against ".join(x[:12] if isinstance(x, str) else f"{x}" for x in (one, other))


def differences(
    joined: Joined, size: float, training: Mapping[str, Any]
) -> Iterator[str]:  # fmt: skip
    """How training differs between sizes, a note for each thing.

    Args:
        joined: the studies.
        size: parameters of the recipe's model.
        training: how the recipe trains it (:func:`hanhua.mix.setting.trained_by`).
    """
    each = {one: study.setting.get("training", {}) for one, study in joined.studies.items()}
    each = {**each, size: training}
    for key in training:
        values = {one: of.get(key) for one, of in sorted(each.items())}
        if len({str(value) for value in values.values()}) > 1:
            shown = ", ".join(f"{value} at {short(one)}" for one, value in values.items())
            yield f"{key} differs with size ({shown}): part of what the law calls size"
