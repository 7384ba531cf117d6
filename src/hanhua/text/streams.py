"""Bytes of a raw file, whatever packed it, and the encoding they are in.

The packing is told by the first bytes, never by the name. A file that ends in the middle is an
error here, also for zstd, whose own stream reader passes it over in silence.
"""

from __future__ import annotations

import bz2
import codecs
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
from hanhua.text.scripts import han_count, is_function_han

SAMPLE_BYTES = 1 << 20
_PACKED_BYTES = 1 << 17
PACKINGS = (".gz", ".zst", ".xz", ".bz2")

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"),
         (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
         (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_CHINESE = ("gb18030", "big5")
_WIDE = ("utf-16-le", "utf-16-be")
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


class _Unpacked(io.RawIOBase):
    """The members of a packed file one after the other; one that does not end is an error.

    Reads give what is there before an error is raised, so that the sound part is not lost.
    """

    def __init__(self, raw: IO[bytes], begin: Callable[[], Any]) -> None:
        self._raw, self._begin = raw, begin
        self._member: Any = None
        self._packed = self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            self._packed = self._packed or self._raw.read(_PACKED_BYTES)
            if not self._packed:
                if self._member is not None:
                    raise EOFError("it ends in the middle")
                return 0
            self._unpack()
        part = self._ready[: len(buffer)]
        self._ready = self._ready[len(part) :]
        buffer[: len(part)] = part
        return len(part)

    def _unpack(self) -> None:
        if self._member is None:
            self._packed = self._packed.lstrip(b"\0")  # padding between members
            if not self._packed:
                return
            self._member = self._begin()
        packed, self._packed = self._packed, b""
        self._ready = self._member.decompress(packed)
        if self._member.eof:
            self._packed, self._member = self._member.unused_data, None


_MAGIC: tuple[tuple[bytes, Callable[[], Any]], ...] = (
    (b"\x1f\x8b", lambda: zlib.decompressobj(wbits=31)),
    (b"\x28\xb5\x2f\xfd", lambda: zstandard.ZstdDecompressor().decompressobj()),
    (b"\xfd7zXZ\0", lzma.LZMADecompressor),
    (b"BZh", bz2.BZ2Decompressor),
)


def _unpack(raw: IO[bytes]) -> IO[bytes]:
    head = raw.read(6)
    raw.seek(0)
    for magic, begin in _MAGIC:
        if head.startswith(magic):
            return _Unpacked(raw, begin)  # type: ignore[return-value]
    return raw


def read_sample(stream: IO[bytes]) -> bytes:
    """The first bytes of a stream, up to SAMPLE_BYTES, also where an error comes right after."""
    parts, size = [], 0
    try:
        while size < SAMPLE_BYTES and (part := stream.read(SAMPLE_BYTES - size)):
            parts.append(part)
            size += len(part)
    except BROKEN:
        if not parts:
            raise
    return b"".join(parts)


@contextmanager
def open_bytes(path: Path) -> Iterator[Opened]:
    """Open a plain, gz, zst, xz or bz2 file for reading unpacked.

    Raises:
        InputError: when it cannot be opened, or turns out cut off or damaged while it is read.
    """
    try:
        with path.open("rb") as raw:
            try:
                yield Opened(path, raw, _unpack(raw))
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


def find_encoding(sample: bytes, where: Path | None = None) -> str:
    """Tell utf-8, utf-16, utf-32, gb18030, big5 and cp1252 apart.

    A byte order mark decides; then UTF-8 if the bytes are (nearly) that; then the one of the
    Chinese encodings that makes the most function characters (的一是不…), which a wrong one
    hardly ever does; then cp1252 for Western text.

    Args:
        sample: the beginning of a file.
        where: named in the error.

    Returns:
        A Python codec name.

    Raises:
        InputError: when the bytes are no text in any of these.
    """
    for mark, name in _BOMS:
        if sample.startswith(mark):
            return name
    zeros = sample.count(0)  # half of each space and line end, if characters have two bytes
    wide = zeros > 0
    wrong = 1.0 if zeros > len(sample) // 10 else _not_utf8(sample)
    if wrong <= 0.02:
        return "utf-8"
    scores = {name: _chinese_score(sample, name) for name in (_WIDE if wide else _CHINESE)}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] >= 0.05:
        return best
    for name, plane in zip(_WIDE, (sample[1::2], sample[::2]), strict=True):
        if plane.count(0) > 0.8 * len(plane):
            return name
    if wrong < 0.2:
        return "utf-8"
    if not wide and _ascii_share(sample) > 0.5:
        return "cp1252"
    raise InputError(
        "This file is no text in an encoding we know.", where=where, found=repr(sample[:24]),
        fix="set the source's `encoding`, take the file out, or set `on_error: skip`",
    )  # fmt: skip


def _not_utf8(sample: bytes) -> float:
    """What does not decode as UTF-8, by what is not ASCII: a few damaged records stay a few."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(sample)
    wrong = text.count("\ufffd")
    return wrong / sum(not character.isascii() for character in text) if wrong else 0.0


def _chinese_score(sample: bytes, encoding: str) -> float:
    """Function characters among Han, times the share of what decodes and is Han or ASCII."""
    text = sample[: 1 << 16].decode(encoding, "replace")
    han = han_count(text)
    if not han:
        return 0.0
    good = han + sum(c.isascii() or "\u3000" <= c <= "\u303f" or c >= "\uff00" for c in text)
    good -= text.count("\ufffd") + text.count("\0")
    return sum(map(is_function_han, text)) / han * max(good, 0) / len(text)


def _ascii_share(sample: bytes) -> float:
    return sum(byte < 0x80 for byte in sample) / len(sample)
