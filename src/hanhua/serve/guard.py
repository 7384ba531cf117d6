"""What stands before every route: the API key, the count, and headers that keep browsers safe."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hanhua.core.errors import ServeError
from hanhua.serve.errors import ApiError
from hanhua.serve.metrics import Traffic

logger = logging.getLogger("hanhua.serve")

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; "
     b"connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
     b"frame-ancestors 'none'"),
)  # fmt: skip


def read_keys(path: Path | None) -> frozenset[str]:
    """The API keys in a file: one a line, empty lines and # comments aside.

    Raises:
        ServeError: when the file cannot be read or holds none.
    """
    if path is None:
        return frozenset()
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ServeError(
            "The API key file cannot be read.", where=path, found=error,
            fix="write one key a line into a UTF-8 text file",
        ) from error  # fmt: skip
    keys = frozenset(line for line in lines if line and not line.startswith("#"))
    if not keys:
        raise ServeError(
            "The API key file holds no key.", where=path, fix="write one key a line into it"
        )
    return keys


class Guard:
    """ASGI middleware: refuses what lacks a key, adds headers, counts, and hides our own faults.

    Args:
        app: what it guards.
        keys: valid keys; none means that everyone may ask.
        traffic: where answers are counted.
    """

    def __init__(self, app: ASGIApp, keys: Iterable[str], traffic: Traffic) -> None:
        self.app = app
        self.digests = [_digest(key.encode("utf-8")) for key in keys]
        self.traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def counted(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self.traffic.count(scope["path"], message["status"])
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        try:
            self._check(scope)
            await self.app(scope, receive, counted)
        except ApiError as error:
            await _refuse(counted, error)
        except Exception:
            logger.exception("a request failed")
            if not started:
                await _refuse(counted, ApiError(500, "The server made a mistake."))

    def _check(self, scope: Scope) -> None:
        path = scope["path"]
        if not self.digests or not (path.startswith("/v1/") or path == "/metrics"):
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        kind, _, key = given.partition(b" ")
        digest = _digest(key.strip())
        # Every key is compared, and digests are equally long: time tells nothing about them.
        matches = [hmac.compare_digest(digest, known) for known in self.digests]
        if kind.lower() != b"bearer" or not any(matches):
            raise ApiError(
                401, "Incorrect or missing API key: send it as 'Authorization: Bearer KEY'.",
                code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"},
            )  # fmt: skip


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


async def _refuse(send: Send, error: ApiError) -> None:
    body = json.dumps(error.body()).encode()
    headers: list[Any] = [(b"content-type", b"application/json")]
    headers.append((b"content-length", str(len(body)).encode()))
    headers += [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
