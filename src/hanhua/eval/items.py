"""Items on disk: one JSON object for each document or question, so that models pair up later."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from hanhua.core.errors import ArtifactError
from hanhua.core.files import write_text

T = TypeVar("T")


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON lines, keys sorted."""
    lines = (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
    write_text(path, "".join(lines))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read them back.

    Raises:
        ArtifactError: missing or broken.
    """
    try:
        # Not splitlines: U+2028 and the like may stand in a JSON string.
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    except (OSError, ValueError) as error:
        raise ArtifactError(
            "The base's evaluation lacks what this one is compared with.", where=path, found=error,
            fix="delete the folder of eval-base and run the same command again",
        ) from error  # fmt: skip


def read_as(kind: type[T], path: Path) -> list[T]:
    """Read rows as a dataclass whose lists are tuples.

    Raises:
        ArtifactError: missing, broken, or of another form.
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    rows = read_lines(path)
    try:
        return [kind(**{name: _frozen(row[name]) for name in names}) for row in rows]
    except KeyError as error:
        raise ArtifactError(
            "This file of items has another form.", where=path, found=f"no {error}",
            fix="delete the folder of eval-base and run the same command again",
        ) from error  # fmt: skip


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
