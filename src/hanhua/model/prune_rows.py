"""A model folder with fewer rows, from file to file.

What is left computes what it computed: kept rows keep their bits, so the logits of kept tokens on
kept text are the same numbers; the others are only missing from the softmax.

Weights are copied as bytes: a row is a stretch of the file whatever its type, so nothing is
rounded, and a 70B model needs no more memory than a small one.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hanhua.core.errors import ModelError
from hanhua.core.files import read_json, storage_errors, write_json
from hanhua.core.progress import Progress, Silent
from hanhua.model.ends import find_ends, locate, open_config
from hanhua.model.load import INDEX, weight_files
from hanhua.model.tensor_file import Part, Stretch, TensorFile, copied, write_tensors
from hanhua.model.tensor_rows import FileRows

CONFIGS = ("config.json", "generation_config.json")
_LISTS = ("suppress_tokens", "begin_suppress_tokens", "bad_words_ids")
_CHUNK_ROWS = 4096


def named_ids(folder: Path) -> set[int]:
    """Ids that config.json and generation_config.json call by name (eos_token_id, ...)."""
    found: set[int] = set()
    for name in CONFIGS:
        if (folder / name).is_file():
            for key, value in read_json(folder / name).items():
                if key.endswith(("token_id", "token_ids")):
                    found |= set(_flat(value))
    return {i for i in found if i >= 0}


def _flat(value: Any) -> Iterator[int]:
    if isinstance(value, list):
        for part in value:
            yield from _flat(part)
    elif isinstance(value, int):
        yield value


def prune_rows(
    base: Path,
    kept: Sequence[int],
    out: Path,
    *,
    pad_to: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the model's configs and weights with some of its rows.

    Args:
        base: a model folder with safetensors weights, tied or not, in one file or several.
        kept: old ids in the order of the new.
        out: a folder that exists.
        pad_to: round the rows up to a multiple; each such row is the mean of the kept ones and
            ``suppress_tokens`` names it, so that it is never sampled.
        progress: shows the bytes.

    Returns:
        What is saved (see :func:`saved`).

    Raises:
        ModelError: a matrix has no row for a kept id.
    """
    ends = find_ends(open_config(base))
    files = [TensorFile.open(path) for path in weight_files(base)]
    shapes = {name: entry.shape for file in files for name, entry in file.entries.items()}
    found = locate(ends, shapes, base)
    padded = -len(kept) % pad_to
    width = 0
    with (progress or Silent()).bar("writing weights", len(files), "file") as bar:
        for file in files:
            changed = set(found.names) & set(file.entries)
            if changed:
                parts = [
                    _cut(file, name, kept, padded) if name in changed else copied(file, name)
                    for name in file.entries
                ]
                write_tensors(out / file.path.name, parts, file.metadata)
            else:
                with storage_errors(out):  # copied, not linked: the base belongs to the user
                    shutil.copyfile(file.path, out / file.path.name)
            if found.input in changed:
                entry = file.entries[found.input]
                width = (entry.end - entry.begin) // math.prod(entry.shape)
            bar.advance()
    _write_configs(base, out, kept, len(kept) + padded)
    _write_index(base, out)
    return saved(ends.shape[0], len(kept) + padded, ends.shape[1], width, ends.tied)


def saved(
    before: int, after: int, hidden: int | None, width: int | None = None, tied: bool | None = None
) -> dict[str, Any]:
    """What fewer rows save.

    Args:
        before: rows.
        after: rows.
        hidden: parameters in a row; None where there is no config.
        width: bytes of a parameter; 2 are taken where there are no weights.
        tied: whether this model's input and output are one matrix; None where that isn't known.
    """
    found: dict[str, Any] = {"rows": {"before": before, "after": after, "saved": before - after}}
    if hidden is not None:
        once, width = (before - after) * hidden, width or 2
        found["parameters"] = {"tied": once, "untied": 2 * once}
        found["bytes"] = {"tied": once * width, "untied": 2 * once * width}
        found["bytes_per_parameter"] = width
    return found | {"tied": tied}


def _write_configs(base: Path, out: Path, kept: Sequence[int], rows: int) -> None:
    new = {old: i for i, old in enumerate(kept)}
    for name in CONFIGS:
        if not (base / name).is_file():
            continue
        found = {key: _renumbered(key, value, new) for key, value in read_json(base / name).items()}
        if "vocab_size" in found:
            found["vocab_size"] = rows
        if name == "generation_config.json" and rows > len(kept):
            listed = found.get("suppress_tokens") or []
            found["suppress_tokens"] = [*listed, *range(len(kept), rows)]
        write_json(out / name, found)
    if rows > len(kept) and not (base / "generation_config.json").is_file():
        write_json(out / "generation_config.json", {"suppress_tokens": [*range(len(kept), rows)]})


def _renumbered(key: str, value: Any, new: Mapping[int, int]) -> Any:
    """An id, or a list of them, under its new number; what was dropped is left out."""
    if not key.endswith(("token_id", "token_ids")) and key not in _LISTS:
        return value
    if isinstance(value, list):
        if any(isinstance(part, list) for part in value):  # a phrase with a dropped token is gone
            return [[new[i] for i in part] for part in value if all(i in new for i in part)]
        return [new[i] for i in value if i in new]
    if isinstance(value, int) and value >= 0:
        return new.get(value)
    return value


def _cut(file: TensorFile, name: str, kept: Sequence[int], padded: int) -> Part:
    """The kept rows of a matrix, or numbers of a bias, as stretches of the old file."""
    entry = file.entries[name]
    rows = entry.shape[0]
    if max(kept) >= rows:
        raise ModelError(
            "A token has no row in this matrix.", where=f"{file.path}: {name}",
            found=f"{rows} rows, token {max(kept)}",
            fix="give the tokenizer that the model was trained with",
        )  # fmt: skip
    size = (entry.end - entry.begin) // rows
    data: list[Stretch | Tensor] = [
        Stretch(file.path, entry.begin + first * size, entry.begin + (last + 1) * size)
        for first, last in _runs(kept)
    ]
    if padded:
        data.append(_mean_row(file, name, kept).expand(padded, -1))
    return Part(name, entry.dtype, (len(kept) + padded, *entry.shape[1:]), data)


def _runs(kept: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Neighbouring ids as (first, last), to copy them in one go."""
    first = last = kept[0]
    for index in kept[1:]:
        if index != last + 1:
            yield first, last
            first = index
        last = index
    yield first, last


def _mean_row(file: TensorFile, name: str, kept: Sequence[int]) -> Tensor:
    """[1, D] the mean of the kept rows, in the matrix' own type: its logit is the mean logit."""
    wanted = torch.tensor(kept)
    with FileRows(file, name, max(kept) + 1) as rows:
        total = torch.zeros(rows.width, dtype=torch.float64)
        for start in range(0, len(kept), _CHUNK_ROWS):
            total += rows.gather(wanted[start : start + _CHUNK_ROWS]).double().sum(0)
        return (total / len(kept)).to(rows.dtype)[None]


def _write_index(base: Path, out: Path) -> None:
    if not (base / INDEX).exists():
        return
    index = read_json(base / INDEX)
    files = [TensorFile.open(out / path.name) for path in weight_files(base)]
    entries = [entry for file in files for entry in file.entries.values()]
    metadata = index.setdefault("metadata", {})
    metadata["total_size"] = sum(entry.end - entry.begin for entry in entries)
    if "total_parameters" in metadata:
        metadata["total_parameters"] = sum(math.prod(entry.shape) for entry in entries)
    write_json(out / INDEX, index)
