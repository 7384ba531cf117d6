"""Safetensors files by streaming: read some rows, copy the rest, never hold a tensor.

A file is eight bytes with the length of a JSON header, the header, and the tensors' bytes one
after another (https://huggingface.co/docs/safetensors). So a tensor can be made longer by writing
another header and copying: the system moves the bytes of all other tensors from file to file,
and of the changed one no more than a chunk is in memory.

A file is written aside, synced and renamed: it is whole or absent.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hanhua.core.errors import ModelError
from hanhua.core.files import storage_errors

FLOATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
"""Types in which rows can be computed with; every type can be copied."""
NAMES = {dtype: name for name, dtype in FLOATS.items()}
_BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "C64": 64}
_COPY_BYTES = 16 * 1024 * 1024
_MAX_HEADER_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor in a file; ``begin`` and ``end`` count from the file's first byte."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class TensorFile:
    """The header of a safetensors file."""

    path: Path
    entries: Mapping[str, Entry]
    metadata: Mapping[str, str] | None

    @classmethod
    def open(cls, path: Path) -> TensorFile:
        """Read a file's header.

        Raises:
            ModelError: when it is no such file or is cut off.
        """
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                if not 2 <= length <= _MAX_HEADER_BYTES:
                    raise ValueError(f"a header of {length} bytes")
                header = json.loads(file.read(length))
                size = os.fstat(file.fileno()).st_size
            metadata = header.pop("__metadata__", None)
            entries = {name: _entry(value, 8 + length) for name, value in header.items()}
            end = max((entry.end for entry in entries.values()), default=8 + length)
            if end != size:
                raise ValueError(f"{size} bytes where the header speaks of {end}")
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise ModelError(
                "These weights do not read.", where=path, found=error,
                fix="fetch the file again; it is cut off or was changed",
            ) from error  # fmt: skip
        return cls(path, entries, metadata)


def _entry(value: Mapping[str, Any], start: int) -> Entry:
    begin, end = value["data_offsets"]
    entry = Entry(str(value["dtype"]), tuple(value["shape"]), start + begin, start + end)
    if end - begin != _size(entry.dtype, entry.shape):
        raise ValueError(f"{end - begin} bytes for {entry.dtype} {list(entry.shape)}")
    return entry


def _size(dtype: str, shape: Sequence[int]) -> int:
    """Bytes of a tensor. The type's name ends in its bits (F32, I64), or starts so (F8_E4M3)."""
    digits = "".join(c for c in dtype.partition("_")[0] if c.isdigit())
    bits = _BITS.get(dtype) or (8 if dtype == "BOOL" else int(digits))
    return math.prod(shape) * bits // 8


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes [begin, end) of a file, to be copied."""

    path: Path
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Part:
    """A tensor to write.

    Args:
        name: in the file.
        dtype: safetensors' name of its type.
        shape: of the whole.
        data: its bytes in order, as stretches of other files and as tensors.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: Iterable[Stretch | Tensor] = field(repr=False)


def copied(file: TensorFile, name: str) -> Part:
    """A tensor as it stands in another file."""
    entry = file.entries[name]
    return Part(name, entry.dtype, entry.shape, [Stretch(file.path, entry.begin, entry.end)])


def write_tensors(
    path: Path, parts: Sequence[Part], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file, one part after another.

    The widest types come first, so that every tensor is aligned to its type, as readers that map
    the file into memory want it; else the order stays.

    Args:
        path: the file; nothing of that name is seen before it is whole.
        parts: names must differ; data is consumed once.
        metadata: goes into the header.

    Raises:
        StorageError: no room or no right to write.
        ValueError: when a part's data are not as long as its shape says (our own mistake).
    """
    parts = sorted(parts, key=lambda part: -_size(part.dtype, (8,)))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for part in parts:
        end = at + _size(part.dtype, part.shape)
        header[part.name] = {
            "dtype": part.dtype, "shape": list(part.shape), "data_offsets": [at, end],
        }  # fmt: skip
        at = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path):
        try:
            with aside.open("wb", buffering=0) as out:
                _write(out.fileno(), len(text).to_bytes(8, "little") + text)
                for part in parts:
                    _write_part(out.fileno(), part)
                os.fsync(out.fileno())
            aside.chmod(0o644)
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)


def _write_part(out: int, part: Part) -> None:
    written = 0
    for piece in part.data:
        if isinstance(piece, Stretch):
            _copy(out, piece)
            written += piece.end - piece.begin
        elif piece.numel():
            data = piece.detach().contiguous().flatten().view(torch.uint8).numpy()
            _write(out, data)
            written += len(data)
    if written != _size(part.dtype, part.shape):
        raise ValueError(f"{part.name}: {written} bytes for {part.dtype} {list(part.shape)}")


def _write(out: int, data: Any) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(out, view) :]


def _copy(out: int, stretch: Stretch) -> None:
    """Copy inside the kernel where the file systems can, else through a small buffer."""
    at, end = stretch.begin, stretch.end
    with stretch.path.open("rb", buffering=0) as file:
        inside = hasattr(os, "copy_file_range")
        while at < end:
            moved = 0
            if inside:
                try:
                    moved = os.copy_file_range(file.fileno(), out, end - at, at)
                except OSError:
                    moved = 0
                inside = moved > 0
            if not moved:
                file.seek(at)
                data = file.read(min(_COPY_BYTES, end - at))
                if not data:
                    raise ValueError(f"{stretch.path} ended at byte {at}")
                _write(out, data)
                moved = len(data)
            at += moved
