"""What ``hanhua eval`` asks, found by name under one folder.

Tasks lie in ``DIR/NAME``, or in ``NAME`` one folder deeper, or DIR itself is called NAME, laid out
as published; a task of one file in ``DIR/NAME.jsonl``. DIR may also be a file: it is one task's,
all of it, whatever split it calls itself. Where a set has several tasks (agieval_zh, ntrex_en_zh),
its folder may be called by the first part of the name.

Text for bits per byte and drift lies in ``CODE.EXT``, ``CODE_*.EXT`` or any file of the folder
``CODE``, CODE the language, as in ``zh.jsonl.gz``, ``zh_news.jsonl`` and ``zh/news.txt``. Looked at
are DIR and its ``bpb``, ``text``, ``held_out`` (where a corpus artifact has it) and ``corpora``;
the first that has any of a language is taken.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from hanhua.core.errors import InputError, UsageError
from hanhua.core.files import sha256_text
from hanhua.core.plain import plain_words
from hanhua.eval.answers_config import SetName
from hanhua.eval.config import TaskConfig, TaskName
from hanhua.text.document import Document
from hanhua.text.readers.formats import file_format
from hanhua.text.readers.read import read_records

TEXT_MEASURES = ("bpb", "drift")
ANSWER_SETS: tuple[str, ...] = get_args(SetName)
"""Prompts whose answers are judged by rules; ours but for safety."""
PLACES = ("", "bpb", "text", "held_out", "corpora")
PIECE_CHARS = 4000
"""A txt file is one text; measured are pieces of it."""
SUFFIXES = ("jsonl", "jsonl.gz", "parquet", "txt", "txt.gz", "jsonl.zst", "json")


def known_tasks() -> list[str]:
    """All that --tasks takes."""
    return [*get_args(TaskName), *ANSWER_SETS, *TEXT_MEASURES]


def parse_tasks(text: str, known: Sequence[str] | None = None) -> list[str]:
    """Names with commas between.

    Args:
        text: as given to --tasks.
        known: what may be named; None: all of `known_tasks`.

    Raises:
        UsageError: for a name that is none, with the nearest one.
    """
    names = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    known = known_tasks() if known is None else known
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UsageError(
                "There is no such task.", where="--tasks", found=name,
                fix=f"did you mean {near[0]}?" if near else f"choose from {', '.join(known)}",
            )  # fmt: skip
    if not names:
        fix = f"choose from {', '.join(known)}"
        raise UsageError("No task is named.", where="--tasks", fix=fix)
    return names


def find_tasks(
    data: Path | None, names: Sequence[str], settings: Mapping[str, Any]
) -> list[TaskConfig]:
    """The sections of tasks, see :func:`find_task`.

    Raises:
        UsageError: when one file is to be several tasks.
    """
    if not names:
        return []
    assert data is not None
    if data.is_file() and len(names) > 1:
        raise UsageError(
            "One file is the data of one task.", where=f"--data {data}", found=", ".join(names),
            fix="name a folder in which the tasks lie, or measure this task by itself",
        )  # fmt: skip
    return [find_task(data, name, settings) for name in names]


def find_task(data: Path, name: str, settings: Mapping[str, Any]) -> TaskConfig:
    """A task's section, its data found by name.

    Args:
        data: the folder of --data, or the task's file.
        name: of the task.
        settings: shots, limit and the like, as in a recipe.

    Raises:
        InputError: when nothing there has its name; UsageError: settings that it does not take.
    """
    parts = name.split("_")
    for short in ("_".join(parts[:n]) for n in range(len(parts), 0, -1)):
        for place in _places(data, short):
            path = place / "*.jsonl" if name == "worlds" and place.is_dir() else place
            try:
                return TaskConfig(name=name, path=str(path), **settings)  # type: ignore[arg-type]
            except ValidationError as error:
                raise UsageError(
                    "This task cannot be asked so.", where=f"--tasks {name}",
                    found=plain_words(error.errors()[0])[0],
                    fix="measure it by itself, with another --out",
                ) from error  # fmt: skip
    raise InputError(
        "The data of this task are not there.", where=data, found=f"no {name}/ and no {name}.jsonl",
        fix=f"put them into {data / name}, as published, or name the folder above with --data",
    )  # fmt: skip


def _places(data: Path, name: str) -> list[Path]:
    """Where something of a name lies, the nearest first."""
    if data.is_file():
        return [data]
    found = [data / name, *sorted(data.glob(f"*/{name}"))]
    found += [data] if data.name == name else []
    found += [data / f"{name}.jsonl", *sorted(data.glob(f"*/{name}.jsonl"))]
    return [place for place in found if place.exists()]


def find_texts(data: Path | None, named: Sequence[str], max_docs: int) -> dict[str, list[Document]]:
    """Texts by language, those named before those found.

    Args:
        data: the folder of --data.
        named: ``zh=FILE``, as given to --text; a language may have several.
        max_docs: the most that are kept of a language, chosen by a hash of their text, so that
            two models are measured on the same.

    Raises:
        UsageError: a --text of another form; InputError: no text at all, or a file of none.
    """
    files: dict[str, list[Path]] = {}
    for code, file in map(_named, named):
        files.setdefault(code, []).append(file)
    if data is not None and data.is_dir():
        for place in (data / p for p in PLACES):
            for code, found in _texts(place).items():
                files.setdefault(code, found)
    if not files:
        raise InputError(
            "There is no text to measure on.", where=data or "--text",
            found="no file such as zh.jsonl or held_out/zh.parquet",
            fix="name one for each language: --text zh=FILE --text en=FILE",
        )  # fmt: skip
    return {code: _read(found, code, max_docs) for code, found in sorted(files.items())}


def _texts(place: Path) -> dict[str, list[Path]]:
    """Files of text in a folder, by the language that their or their folder's name says."""
    found: dict[str, list[Path]] = {}
    for suffix in SUFFIXES:
        for file in (*place.glob(f"??.{suffix}"), *place.glob(f"??_*.{suffix}")):
            found.setdefault(file.name[:2], []).append(file)
        for file in place.glob(f"??/*.{suffix}"):
            found.setdefault(file.parent.name, []).append(file)
    return {code: sorted(files) for code, files in found.items() if code.isalpha()}


def _named(text: str) -> tuple[str, Path]:
    language, is_, file = text.partition("=")
    if not is_ or not language.strip().isalpha() or not file:
        raise UsageError("This names no text.", where="--text", found=text,
                         fix="write language=FILE, e.g. --text zh=novel.txt")  # fmt: skip
    if not Path(file).is_file():
        raise InputError("No such file.", where=f"--text {text}", found=file,
                         fix="mend the path; a folder of texts is found by --data")  # fmt: skip
    return language.strip(), Path(file)


def _read(files: Sequence[Path], language: str, max_docs: int) -> list[Document]:
    found: dict[str, Document] = {}
    for file in files:
        size = PIECE_CHARS if file_format(file) == "txt" else None
        for record in read_records(file):
            for text in _pieces(record.text or "", size):
                key = sha256_text(text)
                found.setdefault(key, Document(key[:16], text, language, file.name, ""))
                if len(found) > 50 * max_docs:  # a corpus need not lie in memory
                    found = {k: found[k] for k in sorted(found)[:max_docs]}
    if not found:
        where = files[0] if len(files) == 1 else files[0].parent
        raise InputError("There is no text in it.", where=where, fix="name another with --text")
    return [found[key] for key in sorted(found)[:max_docs]]


def _pieces(text: str, size: int | None) -> Iterator[str]:
    """A text, or a file of one long text in pieces, so that there is an n to speak of."""
    step = size or max(len(text), 1)
    for start in range(0, len(text), step):
        if text[start : start + step].strip():
            yield text[start : start + step]
