"""Web archives (WARC): the pages that were answered with HTML and status 200, and WET texts.

Read by our own hand and not by a library, because a damaged archive must cost its damaged
records alone. Of those we tried (November 2026) warcio ends at the first one, and FastWARC gives
a record that was cut off as if it were whole and panics on an error of its stream. The format
itself is a block of headers, a length and that many bytes.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import IO, Any

import zstandard

from hanhua.text.readers.pages import decode_page
from hanhua.text.readers.streams import BLOCK_BYTES, BROKEN
from hanhua.text.readers.values import Broken, Page, Task, Values

_HTML = ("text/html", "application/xhtml+xml")
_LOOKS_LIKE_HTML = re.compile(rb"\s*(<!doctype\s+html|<html\b)", re.I)
_RECORD = re.compile(rb"WARC/\d\.\d\r?\n")
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/[\d.]+\s+(\d{3})\b[^\n]*\n?")
_CHUNK = re.compile(rb"\s*([0-9a-fA-F]{1,8})[^\n]{0,80}\n")
_MARK = b"WARC/"
_MOST_HEADER_BYTES = 1 << 16
_MOST_PAGE_BYTES = 1 << 26


class _Damaged(Exception):
    """Something stands where a record should begin, or its headers make no sense."""


def read_warc(task: Task) -> Values:
    """The pages of an archive; ``name:record`` counts all its records, from 1.

    Raises:
        InputError: when the file cannot be opened or was cut off, after the sound records.
    """
    number, lost, value = 0, False, None
    with task.opened() as opened:
        feed = _Feed(opened.stream)
        while True:
            try:
                if not feed.find_record(lost):
                    break
                number, lost = number + 1, False
                value = _value(feed)
            except _Damaged as error:
                value, lost = Broken("damaged_record", str(error)), True
            except EOFError:
                raise
            except BROKEN as error:
                value = None if lost else Broken("damaged_record", str(error))
                lost = True
                feed.clear()
                if not opened.skip_damage():
                    raise
            if value is not None:
                yield f"{task.path.name}:{max(number, 1)}", value
            task.tell(opened.raw.tell())


class _Feed:
    """The bytes of an archive, taken record by record."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept = bytearray()

    def clear(self) -> None:
        """Let go of what was read of a damaged record."""
        self._kept.clear()

    def _more(self) -> bool:
        block = self._stream.read(BLOCK_BYTES)
        self._kept += block
        return bool(block)

    def find_record(self, lost: bool) -> bool:
        """Go to where the next record begins; if lost, over whatever stands before it.

        Returns:
            Whether there is one.
        """
        while True:
            self._kept = self._kept.lstrip(b"\r\n")
            if len(self._kept) < len(_MARK) and self._more():
                continue
            if not self._kept or self._kept.startswith(_MARK):
                return bool(self._kept)
            if not lost:
                raise _Damaged(f"no record begins here: {bytes(self._kept[:40])!r}")
            if match := _RECORD.search(self._kept):
                del self._kept[: match.start()]
            else:
                del self._kept[: -len(_MARK) - 6]
                if not self._more():
                    return False

    def headers(self) -> dict[str, str]:
        """The headers of the record, names in lower case."""
        while (end := _HEADER_END.search(self._kept, 0, _MOST_HEADER_BYTES)) is None:
            if len(self._kept) >= _MOST_HEADER_BYTES:
                del self._kept[: len(_MARK)]
                raise _Damaged("headers without an end")
            if not self._more():
                raise EOFError("it ends in the middle of a record")
        found = _headers(bytes(self._kept[: end.start()]).partition(b"\n")[2])
        del self._kept[: end.end()]
        return found

    def content(self, size: int) -> bytes:
        """So many bytes."""
        while len(self._kept) < size:
            if not self._more():
                raise EOFError("it ends in the middle of a record")
        found = bytes(memoryview(self._kept)[:size])
        del self._kept[:size]
        return found

    def skip(self, size: int) -> None:
        """Pass over so many bytes."""
        while len(self._kept) < size:
            size -= len(self._kept)
            self._kept.clear()
            if not self._more():
                raise EOFError("it ends in the middle of a record")
        del self._kept[:size]


def _headers(block: bytes) -> dict[str, str]:
    lines = (line.partition(b":") for line in block.split(b"\n"))
    return {name.strip().lower().decode("latin-1"): value.strip().decode("utf-8", "replace")
            for name, _, value in lines}  # fmt: skip


def _value(feed: _Feed) -> Any:
    """What one record is to us: a Page, a text with its address, Broken, or None."""
    headers = feed.headers()
    length = headers.get("content-length", "")
    if not length.isdecimal():
        raise _Damaged(f"a record without a length: {length!r}")
    kind, content_type = headers.get("warc-type", ""), headers.get("content-type", "")
    is_answer = kind == "response" and content_type.startswith("application/http")
    is_text = kind == "conversion" and content_type.startswith("text/plain")
    if not (is_answer or is_text):
        return feed.skip(int(length))
    url = headers.get("warc-target-uri", "").strip("<>")
    if int(length) > _MOST_PAGE_BYTES:
        feed.skip(int(length))
        return Broken("page_too_large", f"{length} bytes: {url}")
    content = feed.content(int(length))
    if is_text:
        return {"text": content.decode("utf-8", "replace"), "url": url}
    return _page(content, url)


def _page(answer: bytes, url: str) -> Page | Broken | None:
    """The page of an HTTP answer, or None when that is no page."""
    status = _STATUS.match(answer)
    if not status:
        return Broken("damaged_record", f"no HTTP answer: {answer[:40]!r}")
    end = _HEADER_END.search(answer)
    if status[1] != b"200" or not end:
        return None
    headers, body = _headers(answer[status.end() : end.start()]), answer[end.end() :]
    content_type = headers.get("content-type", "").lower()
    if content_type and not content_type.startswith(_HTML):
        return None
    found = _plain_body(headers, body)
    if isinstance(found, Broken):
        return found
    if not content_type and not _LOOKS_LIKE_HTML.match(found):
        return None
    html = decode_page(found, content_type)
    return html if isinstance(html, Broken) else Page(html, url)


def _plain_body(headers: Mapping[str, str], body: bytes) -> bytes | Broken:
    """A body without what packed it on its way; archives often have undone that already."""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _unchunked(body)
    coding = headers.get("content-encoding", "").lower()
    try:
        if body.startswith(b"\x1f\x8b"):
            return zlib.decompressobj(wbits=31).decompress(body, _MOST_PAGE_BYTES)
        if coding == "zstd" and body.startswith(b"\x28\xb5\x2f\xfd"):
            return zstandard.ZstdDecompressor().decompressobj().decompress(body)
        if coding == "deflate" and not body.lstrip().startswith(b"<"):
            wbits = zlib.MAX_WBITS if body[:1] == b"\x78" else -zlib.MAX_WBITS
            return zlib.decompressobj(wbits=wbits).decompress(body, _MOST_PAGE_BYTES)
    except BROKEN as error:
        return Broken("damaged_record", f"{coding}: {error}")
    if coding == "br" and not body.lstrip().startswith(b"<"):
        return Broken("unknown_packing", coding)
    return body


def _unchunked(body: bytes) -> bytes:
    """A body out of its chunks; as it is where it is not in chunks."""
    parts, place = [], 0
    while match := _CHUNK.match(body, place):
        place = match.end() + int(match[1], 16)
        parts.append(body[match.end() : place])
        if not parts[-1]:
            break
    return b"".join(parts) if parts else body
