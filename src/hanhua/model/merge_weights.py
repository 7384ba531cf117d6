"""The weights of several models side by side: which are the same one, and their weighted sum.

Files spell names in their own ways (with or without the body's prefix, a tied head or none), and
models with new tokens have more rows; both are settled here, from headers alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from hanhua.core.errors import ModelError
from hanhua.model.ends import find_ends, locate
from hanhua.model.load import read_config, weight_files
from hanhua.model.tensor_file import FLOATS, TensorFile

CHUNK = 1_000_000
"""Numbers of a tensor that are summed at a time, in float64."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of a folder, by name, none of them read.

    Args:
        folder: the model's.
        kind: its ``model_type``.
        files: in order.
        at: file by the name of the weight.
        prefix: what a file of the bare body leaves out of its names.
        tied: embedding and head are one matrix, even where a file holds both.
        rows: name -> role, of the weights with a row for each token.
        ends: role -> the name to read it by.
        own: names that the model itself has, as files may spell them.
    """

    folder: Path
    kind: str
    files: tuple[TensorFile, ...]
    at: dict[str, TensorFile]
    prefix: str
    tied: bool
    rows: dict[str, str]
    ends: dict[str, str]
    own: frozenset[str]

    @classmethod
    def open(cls, folder: Path) -> Weights:
        """Read a folder's headers.

        Raises:
            ModelError: when it is no model, or its weights do not read.
        """
        config = read_config(folder)
        ends = find_ends(config)
        files = tuple(TensorFile.open(path) for path in weight_files(folder))
        at = {name: file for file in files for name in file.entries}
        found = locate(ends, {n: file.entries[n].shape for n, file in at.items()}, folder)
        spelt = {"input": found.input, "output": found.output, "bias": found.bias}
        named = {role: name for role, name in spelt.items() if name is not None}
        rows = {name: role for role, name in named.items()}
        if ends.tied:
            named["output"] = found.input
        own = ends.names | {name.removeprefix(ends.prefix) for name in ends.names}
        return cls(folder, config.model_type, files, at, ends.prefix, ends.tied, rows, named, own)

    def find(self, name: str, first: Weights) -> str | None:
        """A weight of the first model by the name that it has here."""
        if name in first.rows:
            return self.ends.get(first.rows[name])
        bare = name.removeprefix(first.prefix)
        return next((n for n in (name, bare, self.prefix + bare) if n in self.at), None)


def check_kind(first: Weights, other: Weights) -> None:
    """Refuse models of different kinds.

    Raises:
        ModelError: naming both.
    """
    kinds = (first.kind, first.tied), (other.kind, other.tied)
    if kinds[0] != kinds[1]:
        one, two = (f"{kind}, ends {'tied' if tied else 'not tied'}" for kind, tied in kinds)
        raise ModelError(
            "Models of different kinds can't be added.", where=other.folder,
            found=f"{two}; {first.folder} is {one}", fix="merge models that come from one base",
        )  # fmt: skip


Source = tuple[Path, int, torch.dtype]
"""Where a weight's numbers are: file, first byte, type."""


def source_of(name: str, first: Weights, model: Weights, stop: int) -> Source:
    """A weight of a model, which must have what is read of it.

    Raises:
        ModelError: it lacks the weight, has another shape, or no floats.
    """
    spelt = model.find(name, first)
    wanted = first.at[name].entries[name]
    found = None if spelt is None else model.at[spelt].entries[spelt]
    if found is not None and found.dtype in FLOATS:
        alike = found.shape == wanted.shape
        # rows behind the shared ones may be more or fewer
        if name in first.rows:
            alike = found.shape[1:] == wanted.shape[1:] and prod(found.shape) >= stop
        if alike:
            return model.at[str(spelt)].path, found.begin, FLOATS[found.dtype]
    raise ModelError(
        "These models have other weights, so they can't be added.",
        where=f"{model.folder}: {name}",
        found="none" if found is None
        else f"{found.dtype} {list(found.shape)} for {wanted.dtype} {list(wanted.shape)}",
        fix="merge models that come from one base, none of them quantised",
    )  # fmt: skip


def summed(
    stretches: Sequence[tuple[int, int, Sequence[tuple[Source, float]]]], dtype: torch.dtype
) -> Iterator[Tensor]:
    """Chunks of a weighted sum.

    In float64, so that what is the same in all models stays the same to the bit, whatever the
    weights are.
    """
    for start, stop, sources in stretches:
        for begin in range(start, stop, CHUNK):
            end = min(begin + CHUNK, stop)
            total = torch.zeros(end - begin, dtype=torch.float64)
            for source, weight in sources:
                total.add_(_read(source, begin, end), alpha=weight)
            yield total.to(dtype)


def _read(source: Source, start: int, stop: int) -> Tensor:
    """Numbers [start, stop) of a weight, in float64."""
    path, first, dtype = source
    with path.open("rb") as file:
        file.seek(first + start * dtype.itemsize)
        data = bytearray(file.read((stop - start) * dtype.itemsize))
    return torch.frombuffer(data, dtype=dtype).double()
