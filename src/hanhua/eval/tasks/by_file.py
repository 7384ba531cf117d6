"""Sets with a file for each subject: AGIEval, GAOKAO-Bench, BBH."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hanhua.core.artifact import outside_files
from hanhua.core.errors import InputError
from hanhua.eval.tasks.rows import WHERE, placed, sound

_DATA = (".jsonl", ".json", ".parquet")


def subject_files(path: str, wanted: Sequence[str], known: Sequence[str], name: str) -> list[Path]:
    """The files of the subjects, sorted.

    Args:
        path: a folder, file or glob.
        wanted: subjects; empty for all that are there.
        known: the subjects of the set.
        name: of the set, for errors.

    Raises:
        InputError: no file of a known subject, or none of a wanted one.
    """
    found = {subject_of(p): p for p in outside_files(path, WHERE) if _is_data(p)}
    there = {subject: p for subject, p in found.items() if not known or subject in known}
    if not there:
        raise InputError(
            f"No file here is a subject of {name}.", where=path,
            found=", ".join(sorted(found)[:8]) or "no data files",
            fix=f"files are called like {known[0]}.jsonl" if known else "give the data folder",
        )  # fmt: skip
    for subject in wanted:
        if subject not in there:
            near = difflib.get_close_matches(subject, there, n=1)
            raise InputError(
                f"{name} has no file of this subject here.", where=path, found=subject,
                fix=f"did you mean {near[0]}?" if near else "leave subjects empty",
            )  # fmt: skip
    return [there[subject] for subject in sorted(wanted or there)]


def subject_of(path: Path) -> str:
    """A file's name up to its first dot."""
    return path.name.partition(".")[0]


def _is_data(path: Path) -> bool:
    return any(path.name.endswith((s, s + ".gz", s + ".zst")) for s in _DATA)


def values_of(path: Path) -> Iterator[tuple[str, Any]]:
    """(file:line, value) of a file.

    Raises:
        InputError: for a value that does not read.
    """
    yield from sound(placed(path))
