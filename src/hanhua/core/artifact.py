"""Artifacts: content-addressed folders that exist whole or not at all.

An artifact is built in ``.building/``, gets ``record.json`` last and is then renamed. Its
fingerprint covers the stage, the section and the *content* of everything it read: never a path,
the machine or the time.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from hanhua.core.config import Added, Apart, Outside, is_hub_id
from hanhua.core.errors import ArtifactError, InputError
from hanhua.core.files import canonical_json, read_json, sha256_file, sha256_text, write_json

RECORD = "record.json"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One finished stage on disk."""

    path: Path
    stage: str
    fingerprint: str
    record: Mapping[str, Any]

    @classmethod
    def load(cls, path: Path) -> Artifact:
        """Open an artifact folder.

        Raises:
            ArtifactError: when it has no readable record.
        """
        try:
            record = read_json(path / RECORD)
            return cls(path, record["stage"], record["fingerprint"], record)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                "This artifact has no readable record.", where=path / RECORD, found=error,
                fix="delete the folder and run the same command again",
            ) from error  # fmt: skip

    @property
    def counts(self) -> Mapping[str, Any]:
        """What the stage counted."""
        return dict(self.record.get("counts", {}))

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What the stage measured."""
        return dict(self.record.get("metrics", {}))


class Digests:
    """SHA-256 of outside files, remembered by path, size, time and inode between commands."""

    def __init__(self, cache: Path | None = None) -> None:
        self.cache = cache
        self.known: dict[str, str] = {}
        if cache and cache.exists():
            try:
                self.known = dict(read_json(cache))
            except (OSError, ValueError):
                self.known = {}
        self.before = len(self.known)

    def of(self, path: Path) -> str:
        """The digest of one file."""
        info = path.stat()
        key = f"{path}|{info.st_size}|{info.st_mtime_ns}|{info.st_ino}"
        if key not in self.known:
            self.known[key] = sha256_file(path)
        return self.known[key]

    def save(self) -> None:
        """Remember for the next command; losing this costs only time, so a no stops nothing."""
        if self.cache and len(self.known) != self.before:
            with suppress(OSError):
                write_json(self.cache, self.known)
            self.before = len(self.known)


def outside_files(pattern: str, where: str) -> list[Path]:
    """The files that a path, folder or glob names, sorted.

    Raises:
        InputError: when it names none.
    """
    path = Path(pattern)
    if path.is_dir():
        found = [p for p in path.rglob("*") if p.is_file() and not _hidden(p, path)]
    elif any(mark in pattern for mark in "*?[") and not path.exists():
        found = [Path(p) for p in glob.glob(pattern, recursive=True) if os.path.isfile(p)]
    else:
        found = [path] if path.is_file() else []
    if not found:
        raise InputError(
            "This folder holds no file." if path.is_dir() else "No such file.",
            where=where, found=pattern,
            fix="put the files there, or mend the path (relative paths start at the recipe's "
            "folder)" if path.is_dir()
            else "mend the path (relative paths start at the recipe's folder)",
        )  # fmt: skip
    return sorted(found)


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def identity(config: BaseModel, digests: Digests, where: str) -> dict[str, Any]:
    """A section as what it means: outside files by name and content, everything else by value."""
    found: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if value == field.default and any(isinstance(m, Added) for m in field.metadata):
            continue
        if any(isinstance(m, Apart) for m in field.metadata):
            continue
        mark = _mark(field.annotation, field.metadata)
        found[name] = _identify(value, mark, digests, f"{where}.{name}")
    return found


def _mark(annotation: Any, metadata: Iterable[Any] = ()) -> Outside | None:
    """The Outside mark of a field, also inside ``list[...]`` and ``... | None``."""
    for mark in metadata:
        if isinstance(mark, Outside):
            return mark
    if get_origin(annotation) is Annotated:
        return _mark(get_args(annotation)[0], annotation.__metadata__)
    return next((m for m in map(_mark, get_args(annotation)) if m), None)


def _identify(value: Any, mark: Outside | None, digests: Digests, where: str) -> Any:
    if isinstance(value, BaseModel):
        return identity(value, digests, where)
    if isinstance(value, (list, tuple)):
        return [_identify(v, mark, digests, f"{where}[{i}]") for i, v in enumerate(value)]
    if isinstance(value, Mapping):
        return {str(k): _identify(v, mark, digests, f"{where}.{k}") for k, v in value.items()}
    if mark and value is not None:
        if mark.kind == "model" and not Path(value).exists() and is_hub_id(value):
            return value
        return [{"name": p.name, "sha256": digests.of(p)} for p in outside_files(value, where)]
    return value


def fingerprint(stage: str, version: int, section: Mapping[str, Any], inputs: Mapping[str, str],
                context: Mapping[str, Any]) -> str:  # fmt: skip
    """The name of what a stage will make: 64 hex digits.

    Args:
        stage: the stage's name.
        version: the stage's version.
        section: the identity of its section.
        inputs: role -> fingerprint of the artifact that fills it.
        context: seed, target and source language.
    """
    return sha256_text(canonical_json([stage, version, section, inputs, context]))


def file_digests(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and digest of every file in a folder, by relative path."""
    return {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def lost_files(folder: Path) -> list[str]:
    """Files that an artifact's record names and that are gone, as paths within it.

    Empty where there is no readable record: what should be there is not known then.
    """
    try:
        names = [str(name) for name in read_json(folder / RECORD)["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [name for name in names if not (folder / name).is_file()]


def check_whole(artifact: Artifact) -> None:
    """Hold an artifact's files against the sizes in its record.

    Raises:
        ArtifactError: naming the first file that is missing or has another size.
    """
    for name, facts in artifact.record.get("files", {}).items():
        path = artifact.path / name
        size = path.stat().st_size if path.exists() else None
        if size != facts["bytes"]:
            raise ArtifactError(
                "This artifact was changed after it was made.", where=path,
                found="missing" if size is None else f"{size} bytes, {facts['bytes']} expected",
                fix=f"delete the folder {artifact.path.name} and run the same command again",
            )  # fmt: skip
