"""Bytes of a raw file, whatever packed it.

The packing is told by the first bytes, never by the name. A file that ends in the middle is an
error here, also for zstd, whose own stream reader passes it over in silence. What stands behind
the last packed member and is none is passed over as ``gzip`` does, but told.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import zstandard

from hanhua.core.errors import InputError

BLOCK_BYTES = 1 << 17
"""Read at a time; larger blocks cost more in the memory they touch than they save in calls."""
_PACKED_BYTES = 1 << 17
_LONGEST_WINDOW_BYTES = 1 << 31
PACKINGS = (".gz", ".zst", ".xz", ".bz2")
BROKEN = (EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


@dataclass(slots=True)
class Opened:
    """An open raw file.

    Args:
        path: the file.
        raw: the bytes on disk; its position tells the progress.
        stream: the unpacked bytes.
    """

    path: Path
    raw: IO[bytes]
    stream: IO[bytes]

    @property
    def garbage(self) -> str:
        """What stands behind the last packed member, once all is read; empty if nothing."""
        return self.stream.garbage if isinstance(self.stream, _Unpacked) else ""

    def skip_damage(self) -> bool:
        """After an error of BROKEN, go on where the next packed member seems to begin.

        Returns:
            Whether there is one.
        """
        return isinstance(self.stream, _Unpacked) and self.stream.skip_member()


@dataclass(frozen=True, slots=True)
class _Packing:
    magic: bytes
    begin: Callable[[], Any]


_MAGIC_BYTES = 6
_ZSTD = b"\x28\xb5\x2f\xfd"
_ALL = (
    _Packing(b"\x1f\x8b\x08", lambda: zlib.decompressobj(wbits=31)),
    _Packing(_ZSTD, lambda: zstandard.ZstdDecompressor(
        max_window_size=_LONGEST_WINDOW_BYTES).decompressobj()),
    _Packing(b"\xfd7zXZ\0", lzma.LZMADecompressor),
    _Packing(b"BZh", bz2.BZ2Decompressor),
)  # fmt: skip


class _Unpacked(io.RawIOBase):
    """The members of a packed file one after the other; one that does not end is an error.

    Reads give what is there before an error is raised, so that the sound part is not lost.
    """

    def __init__(self, raw: IO[bytes], packing: _Packing) -> None:
        self._raw, self._packing = raw, packing
        self._member: Any = None
        self._packed = self._ready = self._failed = b""
        self._place = 0
        self._found = False
        self.garbage = ""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes, as many as are at hand; all of them if it is negative."""
        if size < 0:
            return b"".join(iter(lambda: self.read(BLOCK_BYTES), b""))
        if self._place >= len(self._ready) and not self._fill():
            return b""
        part = self._ready[self._place : self._place + size]
        self._place += len(part)
        return part

    def readinto(self, buffer: Any) -> int:
        part = self.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def _fill(self) -> bool:
        """Unpack until something is ready; False at the end."""
        self._ready, self._place = b"", 0
        while not self._ready:
            self._packed = self._packed or self._raw.read(_PACKED_BYTES)
            if not self._packed:
                if self._member is not None:
                    raise EOFError("it ends in the middle")
                return False
            if self._member is not None or self._begin():
                self._unpack()
        return True

    def _begin(self) -> bool:
        """Begin the next member if one stands here; else take away what does."""
        self._packed = self._packed.lstrip(b"\0")  # padding between members
        if len(self._packed) < _MAGIC_BYTES:
            self._packed += self._raw.read(_PACKED_BYTES)
        head = self._packed[:_MAGIC_BYTES]
        if head.startswith(self._packing.magic):
            self._member = self._packing.begin()
        elif _is_skippable(head) and self._packing.magic == _ZSTD:
            self._drop(8 + int.from_bytes(self._packed[4:8], "little"))
        elif head and self._packing.magic.startswith(head):
            raise EOFError("it ends in the middle")
        elif head:
            self._pass_garbage(head)
        return self._member is not None

    def _pass_garbage(self, head: bytes) -> None:
        """Go to the end; if more members follow, this is no garbage behind them but damage."""
        place = self._raw.tell() - len(self._packed)
        self._failed, self._packed = self._packed, b""
        self._found = self.skip_member()
        if self._found:
            raise zlib.error(f"no packed data at byte {place}")
        self.garbage = f"from byte {place} on: {head!r}"

    def _drop(self, size: int) -> None:
        while len(self._packed) < size and (more := self._raw.read(_PACKED_BYTES)):
            size, self._packed = size - len(self._packed), more
        self._packed = self._packed[size:]

    def _unpack(self) -> None:
        packed, self._packed = self._packed, b""
        try:
            self._ready = self._member.decompress(packed)
        except BROKEN:
            self._failed = packed
            raise
        if self._member.eof:
            self._packed, self._member = self._member.unused_data, None

    def skip_member(self) -> bool:
        """After an error, go to the next place that looks like the beginning of a member."""
        if self._found:
            self._found = False
            return True
        packed, self._member, self._failed = self._failed[1:], None, b""
        magic = self._packing.magic
        while packed:
            place = packed.find(magic)
            if place >= 0:
                self._packed = packed[place:]
                return True
            more = self._raw.read(_PACKED_BYTES)
            packed = packed[1 - len(magic) :] + more if more else b""
        return False


def _is_skippable(head: bytes) -> bool:
    """Whether a zstd frame without data begins; ``pzstd`` and indexed files have them."""
    return head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F


def _unpacked(raw: IO[bytes]) -> IO[bytes]:
    head = raw.read(_MAGIC_BYTES)
    raw.seek(0)
    for packing in _ALL:
        if head.startswith(packing.magic) or (packing.magic == _ZSTD and _is_skippable(head)):
            return _Unpacked(raw, packing)  # type: ignore[return-value]
    return raw


@contextmanager
def open_bytes(path: Path) -> Iterator[Opened]:
    """Open a plain, gz, zst, xz or bz2 file for reading unpacked.

    Raises:
        InputError: when it cannot be opened, or turns out cut off or damaged while it is read.
    """
    try:
        with path.open("rb", buffering=0) as raw:
            try:
                yield Opened(path, raw, _unpacked(raw))
            except BROKEN as error:
                raise InputError(
                    "This file is damaged or was cut off.", where=path,
                    found=f"{error} (near byte {raw.tell()} of {path.stat().st_size})",
                    fix="fetch it again, or set `on_error: skip` to keep what comes before",
                ) from error  # fmt: skip
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise InputError(
            "This file cannot be opened.", where=path, found=error.strerror,
            fix="mend the path or the file's rights",
        ) from error  # fmt: skip


def blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """A stream in blocks of up to BLOCK_BYTES."""
    while block := stream.read(BLOCK_BYTES):
        yield block
