"""The HTTP server: OpenAI's API under /v1, health and metrics beside it, the chat page at /.

Bodies are read and checked by us and not by the framework, so that every refusal has OpenAI's
shape and no body, however broken, becomes a 500.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from hanhua import __version__
from hanhua.serve.answers import Exchange, chat_prompt, completion_prompts, make_jobs
from hanhua.serve.engine import Engine
from hanhua.serve.errors import ApiError
from hanhua.serve.guard import Guard
from hanhua.serve.metrics import Traffic, exposition
from hanhua.serve.protocol import ChatRequest, CompletionRequest, Options, RequestT, parse

PAGE = Path(__file__).parent / "page"
MAX_BODY_BYTES = 4 * 2**20
BODY_SECONDS = 30.0
CLIENT_LEFT = 499


def create_app(engine: Engine, keys: Iterable[str] = ()) -> FastAPI:
    """The application over a running engine, which it closes when it stops.

    Args:
        engine: serves the requests.
        keys: valid API keys; none means that everyone may ask.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(engine.close)

    # FastAPI's own documentation pages load scripts from a CDN; /openapi.json stays.
    app = FastAPI(
        title="hanhua", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    traffic = Traffic()
    app.add_middleware(Guard, keys=tuple(keys), traffic=traffic)
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    _add_models(app, engine)
    _add_completions(app, engine)
    _add_health(app, engine, traffic)
    _add_page(app)
    return app


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body(), status_code=error.status, headers=error.headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{error.detail}: {request.method} {request.url.path[:200]}"
    body = ApiError(error.status_code, message).body()
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)


def _add_models(app: FastAPI, engine: Engine) -> None:
    served, created = engine.served, int(time.time())
    facts: dict[str, Any] = {
        "id": served.name,
        "object": "model",
        "created": created,
        "owned_by": "hanhua",
        "context_tokens": served.context_tokens,
        "chats": served.chats,
        "temperature": served.temperature,
        "top_p": served.top_p,
    }

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        """The one model that is served."""
        return {"object": "list", "data": [facts]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        """The served model by name."""
        _check_model(engine, name)
        return facts


def _add_completions(app: FastAPI, engine: Engine) -> None:
    @app.post("/v1/chat/completions", openapi_extra=_body_schema(ChatRequest))
    async def chat(request: Request) -> Response:
        """The next answer of a conversation."""
        asked = await _read(request, ChatRequest)
        _check_model(engine, asked.model)
        prompt = await run_in_threadpool(chat_prompt, engine.served, asked)
        return await _answer(engine, request, asked, [prompt])

    @app.post("/v1/completions", openapi_extra=_body_schema(CompletionRequest))
    async def completions(request: Request) -> Response:
        """What follows a raw prompt."""
        asked = await _read(request, CompletionRequest)
        _check_model(engine, asked.model)
        prompts = await run_in_threadpool(completion_prompts, engine.served, asked)
        return await _answer(engine, request, asked, prompts)


def _add_health(app: FastAPI, engine: Engine, traffic: Traffic) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> Response:
        """Whether a request would be served now."""
        status = "ready" if engine.alive else "stopped"
        return JSONResponse({"status": status}, status_code=200 if engine.alive else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Counts for Prometheus."""
        text = exposition(engine, traffic)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_page(app: FastAPI) -> None:
    """The files of the page, by name: nothing else of the disk can be asked for."""

    def add(path: str, file: Path) -> None:
        async def send() -> Response:
            return FileResponse(file, headers={"Cache-Control": "no-cache"})

        app.add_api_route(path, send, methods=["GET", "HEAD"], include_in_schema=False)

    for file in sorted(PAGE.iterdir()):
        add(f"/{file.name}", file)
    add("/", PAGE / "index.html")
    add("/favicon.ico", PAGE / "icon.svg")  # browsers ask for it unbidden


def _body_schema(kind: type[Options]) -> dict[str, Any]:
    """The request's schema for /openapi.json, with its definitions inside."""
    schema = kind.model_json_schema()
    inner = schema.pop("$defs", {})

    def inline(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return inline(inner[value["$ref"].rsplit("/", 1)[1]])
            return {key: inline(item) for key, item in value.items()}
        return [inline(item) for item in value] if isinstance(value, list) else value

    content = {"application/json": {"schema": inline(schema)}}
    return {"requestBody": {"required": True, "content": content}}


async def _read(request: Request, kind: type[RequestT]) -> RequestT:
    """The request's body, checked.

    Raises:
        ApiError: 400, 408, 413 or 415.
    """
    # A browser sends this type across origins only after asking, so no foreign page can post.
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise ApiError(415, "Send the request as Content-Type: application/json.")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise ApiError(413, f"The request body is larger than {MAX_BODY_BYTES} bytes.")
    except TimeoutError:
        raise ApiError(408, f"The request body did not come within {BODY_SECONDS:g} s.") from None
    except ClientDisconnect:
        raise ApiError(CLIENT_LEFT, "The client left.") from None
    return parse(bytes(body), kind)


def _check_model(engine: Engine, name: str | None) -> None:
    if name is not None and name != engine.served.name:
        raise ApiError(
            404, f"The model '{name[:200]}' does not exist; this server has "
            f"'{engine.served.name}'.", param="model", code="model_not_found",
        )  # fmt: skip


async def _answer(
    engine: Engine, request: Request, asked: Options, prompts: list[list[int]]
) -> Response:
    chat = isinstance(asked, ChatRequest)
    jobs = make_jobs(engine.served, asked, prompts, "messages" if chat else "prompt")
    exchange = Exchange(
        engine=engine,
        model=engine.served.name,
        kind="chat" if chat else "text",
        jobs=jobs,
        prompt_tokens=sum(map(len, prompts)),
    )
    exchange.start()
    if asked.stream:
        options = asked.stream_options
        stream = exchange.stream(bool(options and options.include_usage))
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)
    return await _whole(exchange, request)


async def _whole(exchange: Exchange, request: Request) -> Response:
    """Wait for all choices, unless the client leaves first."""
    answer = asyncio.create_task(exchange.whole())
    left = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({answer, left}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ApiError(CLIENT_LEFT, "The client left.")
        return JSONResponse(answer.result())
    finally:
        exchange.cancel()
        answer.cancel()
        left.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
