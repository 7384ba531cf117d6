"""Reading a request's body within limits, and noticing that its client has left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from hanhua.serve.errors import ApiError
from hanhua.serve.parse import RequestT, parse

MAX_BODY_BYTES = 4 * 2**20
CLIENT_LEFT = 499

ResultT = TypeVar("ResultT")


async def read(request: Request, kind: type[RequestT], lenient: bool = False) -> RequestT:
    """The request's body, checked.

    Args:
        request: as it came.
        kind: what it must be.
        lenient: let fields pass that we don't know.

    Raises:
        ApiError: 400, 408, 413 or 415.
    """
    # A browser sends this type across origins only after asking, so no foreign page can post.
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise ApiError(415, "Send the request as Content-Type: application/json.")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise ApiError(415, "Send the request's body without Content-Encoding.")
    body = bytearray()
    seconds: float = request.app.state.body_seconds
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise ApiError(413, f"The request body is larger than {MAX_BODY_BYTES} bytes.")
    except TimeoutError:
        raise ApiError(408, f"The request body did not come within {seconds:g} s.") from None
    except ClientDisconnect:
        raise _gone() from None
    return parse(bytes(body), kind, lenient)


async def unless_left(
    request: Request, work: Awaitable[ResultT], give_up: Callable[[], Any]
) -> ResultT:
    """Wait for a result, unless the client leaves first.

    Args:
        request: whose client.
        work: gives the result.
        give_up: called at the end, whatever came first.

    Raises:
        ApiError: 499 when the client has left.
    """
    answer = asyncio.ensure_future(work)
    left = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({answer, left}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise _gone()
        return answer.result()
    finally:
        give_up()
        answer.cancel()
        left.cancel()


class Streamed(StreamingResponse):
    """A stream that is given up at its end, however that comes.

    A client may be gone before the generator has reached the ``try`` whose ``finally`` would do it.

    Args:
        pieces: of the body.
        give_up: called at the end.
        **more: see :class:`StreamingResponse`.
    """

    def __init__(
        self, pieces: AsyncIterator[bytes], give_up: Callable[[], Any], **more: Any
    ) -> None:
        super().__init__(pieces, **more)
        self.give_up = give_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.give_up()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _gone() -> ApiError:
    return ApiError(CLIENT_LEFT, "The client left.")


_ERRORS = {
    400: "What was asked is not valid", 401: "The API key is missing or wrong",
    403: "The host name or the origin of the page is not let in", 404: "There is no such model",
    408: "The body came too slowly", 413: "The body is too large",
    415: "The body is not JSON by its type", 429: "Too much is waiting or a limit "
    "of the key is met", 503: "The server is stopping, or the request's time was over",
}  # fmt: skip


def documented(kind: type[BaseModel]) -> dict[str, Any]:
    """What /openapi.json says of a route: the body's schema, definitions inside, and refusals."""
    schema = kind.model_json_schema()
    inner = schema.pop("$defs", {})

    def inline(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return inline(inner[value["$ref"].rsplit("/", 1)[1]])
            return {key: inline(item) for key, item in value.items()}
        return [inline(item) for item in value] if isinstance(value, list) else value

    content = {"application/json": {"schema": inline(schema)}}
    return {
        "requestBody": {"required": True, "content": content},
        "responses": {str(status): refusal(text) for status, text in _ERRORS.items()},
    }


def refusal(text: str) -> dict[str, Any]:
    """What /openapi.json says of one status that is not a success."""
    error = {
        "type": "object",
        "required": ["message", "type", "param", "code"],
        "properties": {
            "message": {"type": "string"},
            "type": {"type": "string"},
            "param": {"type": ["string", "null"]},
            "code": {"type": ["string", "null"]},
        },
    }
    schema = {"type": "object", "required": ["error"], "properties": {"error": error}}
    return {"description": text, "content": {"application/json": {"schema": schema}}}
