"""Users that ask a server over its API: each sends its next request when its last is answered.

The client does as little as it can while a server works, since both share the machine's cores:
plain sockets, bytes kept as they come with the time, all of it read only afterwards.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MOST_SECONDS = 300.0
"""A request that takes longer counts as an error."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Args:
        first_seconds: from sending to the first piece with text in it.
        seconds: from sending to the end.
        text: all of it.
        prompt_tokens, tokens: as the server counts them.
        error: what went wrong; empty: nothing.
    """

    first_seconds: float = 0.0
    seconds: float = 0.0
    text: str = ""
    prompt_tokens: int = 0
    tokens: int = 0
    error: str = ""


@dataclass(slots=True)
class Raw:
    """An answer's bytes with the seconds after sending at which they came."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""


async def crowd(port: int, bodies: Sequence[dict[str, Any]], users: int) -> tuple[float, list[Raw]]:
    """Ask everything, so many at a time.

    Args:
        port: of the server on loopback.
        bodies: of chat completions, with ``stream``.
        users: how many ask at once.

    Returns:
        Wall seconds from the first request to the last answer, and the answers in order.
    """
    raws = [Raw() for _ in bodies]
    todo = list(enumerate(json.dumps(body, ensure_ascii=False).encode() for body in bodies))
    todo.reverse()

    async def user() -> None:
        while todo:
            number, body = todo.pop()
            try:
                async with asyncio.timeout(MOST_SECONDS):
                    await _ask(port, body, raws[number])
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                raws[number].error = f"{type(error).__name__}: {error}"

    begin = time.perf_counter()
    await asyncio.gather(*(user() for _ in range(users)))
    return time.perf_counter() - begin, raws


async def _ask(port: int, body: bytes, raw: Raw) -> None:
    head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            "Content-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode()  # fmt: skip
    begin = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    try:
        writer.write(head + body)
        while piece := await reader.read(2**16):
            raw.pieces.append((time.perf_counter() - begin, piece))
        raw.seconds = time.perf_counter() - begin
    finally:
        writer.close()


def read(raw: Raw) -> Answer:
    """Take an answer apart."""
    if raw.error:
        return Answer(error=raw.error)
    data = b"".join(piece for _, piece in raw.pieces)
    head, _, rest = data.partition(b"\r\n\r\n")
    status = head.split(b"\r\n", 1)[0].decode("latin-1")
    if b"transfer-encoding: chunked" in head.lower():
        rest, ends = _unchunk(rest, len(head) + 4)
    else:
        ends = [(len(rest), len(data))]
    if " 200 " not in f"{status} ":
        return Answer(error=f"{status}: {rest[:200].decode('utf-8', 'replace')}")
    return _events(rest, ends, raw)


def _unchunk(data: bytes, offset: int) -> tuple[bytes, list[tuple[int, int]]]:
    """A body without its chunks' frames, and where each chunk ends in it and on the wire."""
    out, ends, at = bytearray(), [], 0
    while at < len(data):
        line = data.index(b"\r\n", at)
        size = int(data[at:line].split(b";")[0], 16)
        if not size:
            break
        out += data[line + 2 : line + 2 + size]
        at = line + 2 + size + 2
        ends.append((len(out), offset + at))
    return bytes(out), ends


def _events(body: bytes, ends: list[tuple[int, int]], raw: Raw) -> Answer:
    text, first, usage, done, at = "", 0.0, dict[str, int](), False, 0
    for line in body.split(b"\n"):
        at += len(line) + 1
        if not line.startswith(b"data:"):
            continue
        line = line[5:].strip()
        if line == b"[DONE]":
            done = True
            continue
        event = json.loads(line)
        if "error" in event:
            return Answer(error=str(event["error"])[:200])
        usage = event.get("usage") or usage
        for choice in event.get("choices", ()):
            done = done or choice.get("finish_reason") is not None
            said = choice.get("delta", {}).get("content") or ""
            if said and not text:
                first = _came(min(at, len(body)), ends, raw)
            text += said
    if not done:
        return Answer(error="the stream broke off")
    return Answer(first, raw.seconds, text, usage.get("prompt_tokens", 0),
                  usage.get("completion_tokens", 0))  # fmt: skip


def _came(at: int, ends: list[tuple[int, int]], raw: Raw) -> float:
    """When the byte at this place of the body had come."""
    wire = next(there for end, there in ends if end >= at)
    seen = 0
    for seconds, piece in raw.pieces:
        seen += len(piece)
        if seen >= wire - 2:
            return seconds
    return raw.seconds
