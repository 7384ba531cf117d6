"""The HTTP server: OpenAI's API under /v1, health and metrics beside it, the chat page at /.

Bodies are read and checked by us and not by the framework, so that every refusal has OpenAI's
shape and no body, however broken, becomes a 500.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from hanhua import __version__
from hanhua.serve import compat
from hanhua.serve.body import refusal
from hanhua.serve.errors import ApiError
from hanhua.serve.guard import Guard
from hanhua.serve.keys import Account
from hanhua.serve.metrics import Traffic, exposition
from hanhua.serve.models import Models
from hanhua.serve.policy import Policy
from hanhua.serve.routes import add_completions, add_embeddings
from hanhua.serve.tokenize import TOKENIZE, add_tokenize

PAGE = Path(__file__).parent / "page"


def create_app(models: Models, policy: Policy | None = None) -> FastAPI:
    """The application over running engines, which it closes when it stops.

    Args:
        models: serve the requests.
        policy: who may ask, how long, what is not said; None: everyone, everything.
    """
    policy = policy or Policy()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(models.close)

    # FastAPI's own documentation pages load scripts from a CDN; /openapi.json stays.
    app = FastAPI(
        title="hanhua", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    traffic = Traffic()
    accounts = tuple(Account(key) for key in policy.keys)
    more = frozenset({TOKENIZE, *(compat.PATHS if policy.compat else ())})
    app.state.body_seconds = policy.body_seconds
    app.add_middleware(Guard, accounts=accounts, traffic=traffic, more=more, reach=policy.reach)
    if policy.reach.origins:  # outside the guard: a browser asks first, and without the key
        app.add_middleware(
            CORSMiddleware, allow_origins=sorted(policy.reach.origins), allow_headers=["*"],
            allow_methods=["GET", "POST"], expose_headers=["Retry-After"],
        )  # fmt: skip
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    _add_models(app, models)
    add_completions(app, models, policy)
    add_embeddings(app, models, policy)
    add_tokenize(app, models)
    if policy.compat:
        compat.add_old_endpoints(app, models.main, policy)
    _add_health(app, models, traffic, policy, accounts)
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


def _facts(models: Models, created: int) -> dict[str, dict[str, Any]]:
    """What /v1/models says of each, by name."""
    return {
        served.name: {
            "id": served.name,
            "object": "model",
            "created": created,
            "owned_by": "hanhua",
            "context_tokens": served.context_tokens,
            "chats": served.chats,
            "temperature": served.temperature,
            "top_p": served.top_p,
            "base_tokenizer": served.name in models.bases,
            "embeddings": {"dimensions": served.width, "pooling": "mean of the last hidden states",
                           "normalised": True, "trained_for_it": False},
        }
        for served in (engine.served for engine in models.engines)
    }  # fmt: skip


def _add_models(app: FastAPI, models: Models) -> None:
    facts = _facts(models, int(time.time()))

    @app.get("/v1/models", responses={401: refusal("The API key is missing or wrong")})
    async def listed() -> dict[str, Any]:
        """The models that are served, the one that answers unnamed requests first."""
        return {"object": "list", "data": list(facts.values())}

    @app.get(
        "/v1/models/{name:path}",
        responses={
            404: refusal("There is no such model"),
            401: refusal("The API key is missing or wrong"),
        },
    )
    async def model(name: str) -> dict[str, Any]:
        """A served model by name."""
        return facts[models.get(name).served.name]


def _add_health(
    app: FastAPI, models: Models, traffic: Traffic, policy: Policy, accounts: tuple[Account, ...]
) -> None:
    @app.head("/health", include_in_schema=False)
    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.head("/ready", include_in_schema=False)
    @app.get("/ready", responses={503: {"description": "The server is stopping"}})
    async def ready() -> Response:
        """Whether a request would be served now, by whichever model."""
        alive = models.alive
        status = "ready" if alive else "stopped"
        return JSONResponse({"status": status}, status_code=200 if alive else 503)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Counts for Prometheus."""
        text = exposition(models, traffic, policy, accounts)
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
