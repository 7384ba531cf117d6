"""What stands before every route: who is answered, the count, and headers that browsers obey."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hanhua.serve.errors import ApiError
from hanhua.serve.keys import Account
from hanhua.serve.metrics import Traffic
from hanhua.serve.reach import Reach

logger = logging.getLogger("hanhua.serve")

ACCOUNT = "hanhua.account"
"""Where in a connection's scope the account of its key stands."""

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; "
     b"connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
     b"frame-ancestors 'none'"),
)  # fmt: skip


class Guard:
    """ASGI middleware: refuses strangers, adds headers, counts, and hides our own faults.

    Args:
        app: what it guards.
        accounts: of the valid keys; none means that everyone may ask.
        traffic: where answers are counted.
        more: paths beside /v1 that need a key when posted to.
        reach: host names and web pages that are answered; None: all.
    """

    def __init__(
        self,
        app: ASGIApp,
        accounts: Iterable[Account],
        traffic: Traffic,
        more: frozenset[str] = frozenset(),
        reach: Reach | None = None,
    ) -> None:
        self.app = app
        self.accounts = [(_digest(a.key.secret.encode("utf-8")), a) for a in accounts]
        self.traffic, self.more, self.reach = traffic, more, reach or Reach()

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
            if message.get("more_body"):
                # Sending waits for nothing. Without a turn of the event loop it doesn't learn that
                # the client has gone: pieces in waiting are written, and asyncio logs each of them.
                await asyncio.sleep(0)

        try:
            _check_length(scope)
            self.reach.check(scope)
            self._check(scope)
            await self.app(scope, receive, counted)
        except ApiError as error:
            await _refuse(counted, error)
        except asyncio.CancelledError:
            # The server stops and waits no longer; raised on, it would be logged with a traceback.
            logger.warning("a request was cut off by the stop: %.200r", scope["path"])
        except Exception:
            logger.exception("a request failed")
            if not started:
                await _refuse(counted, ApiError(500, "The server made a mistake."))

    def _check(self, scope: Scope) -> None:
        path, posts = scope["path"], scope["method"] == "POST"
        closed = path.startswith("/v1/") or path == "/metrics" or (posts and path in self.more)
        if not self.accounts or not closed:
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        kind, _, key = given.partition(b" ")
        digest = _digest(key.strip())
        # Every key is compared, and digests are equally long: time tells nothing about them.
        matches = [a for known, a in self.accounts if hmac.compare_digest(digest, known)]
        if kind.lower() != b"bearer" or not matches:
            raise ApiError(
                401, "Incorrect or missing API key: send it as 'Authorization: Bearer KEY'.",
                code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        scope[ACCOUNT] = matches[0]
        if posts:
            matches[0].admit()


def _check_length(scope: Scope) -> None:
    """Refuse two lengths of one body: a proxy may have taken the other (RFC 9112, 6.1)."""
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
        raise ApiError(400, "Send Content-Length or Transfer-Encoding, not both.",
                       headers={"Connection": "close"})  # fmt: skip


def charge(scope: Scope, tokens: int) -> None:
    """Take tokens from the minute of the key that asked, if keys are asked for."""
    account: Account | None = scope.get(ACCOUNT)
    if account:
        account.charge(tokens)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


async def _refuse(send: Send, error: ApiError) -> None:
    body = json.dumps(error.body()).encode()
    headers: list[Any] = [(b"content-type", b"application/json")]
    headers.append((b"content-length", str(len(body)).encode()))
    headers += [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
