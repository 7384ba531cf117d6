"""One connection of a client: what it may take its time for, and what is answered to no HTTP.

uvicorn ends connections that are idle between requests, and nothing else: a client that sends one
byte now and then would hold its connection for ever, in the head of a request as well as in a body
that nobody waits for any more. While a route waits for a body, :mod:`hanhua.serve.body` counts.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hanhua.serve.errors import ApiError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from hanhua.serve.models import Models

HEAD_SECONDS = 20.0
"""From the connection, or from the first byte of a later request, to the end of its headers."""
REST_SECONDS = 30.0
"""From an answer that did not wait for the body to the end of that body."""
STALL_SECONDS = 60.0
"""For a client to take anything of the 64 KiB and more that wait for it."""


_STOP_SECONDS = 10.0
_CUT_SECONDS = 3


class Connection(H11Protocol):
    """uvicorn's connection with time limits. It is h11's whatever else is installed."""

    head_seconds = HEAD_SECONDS
    rest_seconds = REST_SECONDS
    stall_seconds = STALL_SECONDS
    _awaited = ""
    _timer: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Go on to the next request, or wait for the rest of this one."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._set("", 0.0)
        self._unstall()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give a client that takes nothing its time."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.stall_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It takes what is sent."""
        self._unstall()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in the shape of all other refusals."""
        self._refuse(ApiError(400, msg))

    def _should_upgrade(self) -> bool:
        """Never: there are no websockets here. Who asks for one gets the plain answer."""
        return False

    def _watch(self) -> None:
        """See what the client owes, and set its time if that is something new."""
        state, seconds = self.conn.their_state, 0.0
        awaited = ""
        if state is h11.SEND_BODY and self.cycle.response_complete:
            awaited, seconds = "rest", self.rest_seconds
        elif state is h11.IDLE and (self.cycle is None or self.conn.trailing_data[0]):
            awaited, seconds = "head", self.head_seconds
        if self.transport.is_closing():
            awaited = ""
        if awaited != self._awaited:
            self._set(awaited, seconds)

    def _set(self, awaited: str, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._awaited = awaited
        self._timer = self.loop.call_later(seconds, self._late) if awaited else None

    def _unstall(self) -> None:
        if self._stalled:
            self._stalled.cancel()

    def _late(self) -> None:
        if self._awaited == "head" and self.conn.trailing_data[0]:
            text = f"The request's headers did not come within {self.head_seconds:g} s."
            self._refuse(ApiError(408, text))
        else:  # a browser's spare connection, or an answer that was given already
            self.transport.close()

    def _refuse(self, error: ApiError) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):  # else it is answered already
            body = json.dumps(error.body()).encode()
            headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))),
                       ("Connection", "close")]  # fmt: skip
            reason = HTTPStatus(error.status).phrase.encode()
            response = h11.Response(status_code=error.status, headers=headers, reason=reason)
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def make_config(
    app: ASGIApp,
    *,
    head_seconds: float = HEAD_SECONDS,
    rest_seconds: float = REST_SECONDS,
    stall_seconds: float = STALL_SECONDS,
    **more: Any,
) -> uvicorn.Config:
    """How uvicorn serves the application: no access log, no name of its own, our connections.

    Args:
        app: see :func:`hanhua.serve.api.create_app`.
        head_seconds: see :data:`HEAD_SECONDS`.
        rest_seconds: see :data:`REST_SECONDS`.
        stall_seconds: see :data:`STALL_SECONDS`.
        **more: see :class:`uvicorn.Config`.
    """
    limits = {"head_seconds": head_seconds, "rest_seconds": rest_seconds,
              "stall_seconds": stall_seconds}  # fmt: skip
    protocol = type("Connection", (Connection,), limits)
    return uvicorn.Config(
        app, http=protocol, ws="none", access_log=False, server_header=False,
        **{"log_level": "warning", **more},
    )  # fmt: skip


def make_server(
    config: uvicorn.Config, models: Models, seconds: float = _STOP_SECONDS
) -> uvicorn.Server:
    """A server that ends answers in order when it is told to stop.

    Args:
        config: of the application.
        models: that it serves.
        seconds: how long answers under way may go on. Then they end with an error that clients
            can read, and what is still open after a few seconds more is cut off.
    """

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            loop = asyncio.get_running_loop()
            late = loop.call_later(seconds, loop.run_in_executor, None, models.close)
            try:
                await super().shutdown(sockets)
            finally:
                late.cancel()

    config.timeout_graceful_shutdown = math.ceil(seconds) + _CUT_SECONDS
    return Server(config)
