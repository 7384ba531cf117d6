"""The lines of a file as bytes, with the encoding that they are in.

Lines stay bytes until they are parsed: a JSON parser takes UTF-8 as it is, and a line in another
encoding than its file then costs only itself. The encoding is looked for where bytes past ASCII
begin, however late that is: before there is nothing to tell it by.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from typing import TypeVar

from hanhua.text.readers.encoding import as_utf8, find_encoding, rescue, widest
from hanhua.text.readers.streams import BLOCK_BYTES, BROKEN, Opened
from hanhua.text.readers.values import Broken, Mended, Task

RE_ENCODED = "re_encoded"
"""The note of a line that was read in another encoding than its file's."""
_TELLING_BYTES = 64
_NOT_ASCII = bytes(range(0x80, 0x100))


def line_lists(task: Task) -> Iterator[tuple[list[bytes], str]]:
    """A file's lines, without their newlines, in lists of about BLOCK_BYTES.

    Yields:
        Lines and the encoding to decode them with; UTF-16 and UTF-32 come as UTF-8.

    Raises:
        InputError: when the file cannot be opened, is damaged, or of no known encoding.
    """
    for block, encoding in _line_blocks(task):
        yield _without_last(block.split(b"\n")), encoding


def text_lists(task: Task, replace: bool = False) -> Iterator[list[str | Mended | Broken]]:
    """The same, decoded line by line where they do not decode together.

    Args:
        task: the file.
        replace: whether a line that does not decode comes with U+FFFD in it and not as Broken.

    Raises:
        InputError: as above.
    """
    mend = task.options.mend
    for block, encoding in _line_blocks(task):
        try:
            together = block.decode(encoding) if encoding == "utf-8" or not mend else None
        except UnicodeDecodeError:
            together = None
        if together is None:
            lines = [x.removesuffix(b"\r") for x in _without_last(block.split(b"\n"))]
            found = [decode(line, encoding, mend) for line in lines]
            yield (
                found
                if not replace
                else [
                    raw.decode(encoding, "replace") if isinstance(line, Broken) else line
                    for line, raw in zip(found, lines, strict=True)
                ]
            )
        elif "\r" in together:
            yield [x.removesuffix("\r") for x in _without_last(together.split("\n"))]
        else:
            yield [*_without_last(together.split("\n"))]


Line = TypeVar("Line", str, bytes)


def _without_last(lines: list[Line]) -> list[Line]:
    """Nothing stands behind the last newline."""
    if not lines[-1]:
        lines.pop()
    return lines


def _line_blocks(task: Task) -> Iterator[tuple[bytes, str]]:
    with task.opened() as opened:
        for block in _whole_lines(decided(opened, task.options.encoding)):
            yield block
            task.tell(opened.raw.tell())


def decode(line: bytes, encoding: str, mend: bool) -> str | Mended | Broken:
    """One line of a file.

    Args:
        line: its bytes.
        encoding: the file's.
        mend: whether the line may be in another encoding.

    Returns:
        The text, Mended when it was in another encoding, Broken when it is in none.
    """
    if mend and encoding != "utf-8" and (text := as_utf8(line)) is not None:
        return Mended(text, RE_ENCODED)
    try:
        return line.decode(encoding)
    except UnicodeDecodeError as error:
        saved = rescue(line, encoding) if mend else None
        if saved is not None:
            return Mended(saved, RE_ENCODED)
        return Broken("broken_encoding", repr(line[max(0, error.start - 8) : error.start + 16]))


def whole_text(task: Task) -> str | Mended:
    """A file as one text; what does not decode becomes U+FFFD, which the quality rules see.

    Raises:
        InputError: when the file cannot be opened, is damaged, or of no known encoding.
    """
    with task.opened() as opened:
        found = list(decided(opened, task.options.encoding))
    data, encoding = b"".join(block for block, _ in found), found[-1][1] if found else "utf-8"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        lines = [decode(line, encoding, task.options.mend) for line in data.split(b"\n")]
    texts = [
        raw.decode(encoding, "replace") if isinstance(line, Broken) else plain(line)
        for line, raw in zip(lines, data.split(b"\n"), strict=True)
    ]
    text = "\n".join(texts)
    return Mended(text, RE_ENCODED) if any(isinstance(line, Mended) for line in lines) else text


def plain(found: str | Mended) -> str:
    """A decoded line, mended or not."""
    return found.value if isinstance(found, Mended) else found


class _Blocks:
    """A stream block by block, with one block looked at in advance."""

    def __init__(self, opened: Opened) -> None:
        self._stream = opened.stream
        self._kept = b""
        self._error: BaseException | None = None

    def take(self) -> bytes:
        kept, self._kept = self._kept, b""
        if self._error and not kept:
            raise self._error
        return kept or self._stream.read(BLOCK_BYTES)

    def peek(self) -> bytes:
        try:
            self._kept = self._stream.read(BLOCK_BYTES)
        except BROKEN as error:  # what is sound comes first
            self._error = error
        return self._kept


def decided(opened: Opened, encoding: str) -> Iterator[tuple[bytes, str]]:
    """Blocks of a file with their encoding: UTF-8 until enough is seen to tell.

    Args:
        opened: the file.
        encoding: a codec, or "auto".

    Raises:
        InputError: when the file is of no known encoding.
    """
    known = "" if encoding == "auto" else widest(encoding)
    source, first = _Blocks(opened), True
    while block := source.take():
        if not known and not _is_plain(block):
            sample = block + source.peek()
            if _is_telling(sample) or len(sample) == len(block):
                known = widest(find_encoding(sample, opened.path))
        if known.startswith(("utf-16", "utf-32")):
            yield from _transcoded(block, source, known)
            return
        yield block.removeprefix(codecs.BOM_UTF8) if first else block, known or "utf-8"
        first = False


def _is_plain(block: bytes) -> bool:
    return block.isascii() and b"\0" not in block


def _is_telling(sample: bytes) -> bool:
    """Whether a sample has more than a stray quotation mark to tell its encoding by."""
    if b"\0" in sample or sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    return len(sample) - len(sample.translate(None, _NOT_ASCII)) >= _TELLING_BYTES


def _transcoded(block: bytes, source: _Blocks, encoding: str) -> Iterator[tuple[bytes, str]]:
    """The rest of a file whose characters have two or four bytes, as UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    text = decoder.decode(block).removeprefix("\ufeff")
    while block:
        yield text.encode("utf-8", "surrogatepass"), "utf-8"
        block = source.take()
        text = decoder.decode(block, final=not block)
    yield text.encode("utf-8", "surrogatepass"), "utf-8"


def _whole_lines(source: Iterable[tuple[bytes, str]]) -> Iterator[tuple[bytes, str]]:
    """Blocks cut anew, after the last newline in each."""
    tail: list[bytes] = []
    encoding, returns = "utf-8", None
    for block, encoding in source:
        if returns is None:
            returns = b"\r" in block and b"\n" not in block  # lines of an old Macintosh
        block = block.replace(b"\r", b"\n") if returns else block
        cut = block.rfind(b"\n") + 1
        if cut:
            yield b"".join((*tail, block[:cut])), encoding
            tail = []
        tail.append(block[cut:])
    if any(tail):
        yield b"".join(tail), encoding
