"""The routes that run the model: chat completions, completions, embeddings."""

from __future__ import annotations

import array
import asyncio
import base64
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from hanhua.serve.answers import Echo, Exchange, check_number, full, late, stopping
from hanhua.serve.ask import answer_grammar, chat_prompt, make_jobs, raw_prompts
from hanhua.serve.body import Streamed, documented, read, unless_left
from hanhua.serve.engine import Engine, EngineClosed, QueueFull
from hanhua.serve.errand import Errand, embed, score
from hanhua.serve.errors import ApiError
from hanhua.serve.guard import ACCOUNT, charge
from hanhua.serve.models import Models
from hanhua.serve.policy import Policy
from hanhua.serve.protocol import (
    MAX_INPUTS,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Options,
)

if TYPE_CHECKING:
    from hanhua.serve.grammar import Grammar


def add_completions(app: FastAPI, models: Models, policy: Policy) -> None:
    """Add /v1/chat/completions and /v1/completions."""

    @app.post("/v1/chat/completions", openapi_extra=documented(ChatRequest))
    async def chat(request: Request) -> Response:
        """The next answer of a conversation."""
        asked = await read(request, ChatRequest)
        engine = models.get(asked.model)
        messages = [message.plain() for message in asked.messages]
        prompt = await run_in_threadpool(chat_prompt, engine.served, policy, messages)
        grammar = await run_in_threadpool(answer_grammar, engine.served, asked)
        exchange = begin(engine, policy, request, asked, [prompt], grammar=grammar)
        return await _answer(exchange, request, asked)

    @app.post("/v1/completions", openapi_extra=documented(CompletionRequest))
    async def completions(request: Request) -> Response:
        """What follows a raw prompt."""
        asked = await read(request, CompletionRequest)
        engine = models.get(asked.model)
        given = asked.prompts()
        prompts = await run_in_threadpool(raw_prompts, engine.served, policy, given)
        jobs = make_jobs(engine.served, policy, asked, prompts, "prompt")
        check_number(engine, len(jobs))  # refused before any work
        echoes = await _echoes(engine, policy, request, asked, prompts) if asked.echo else []
        exchange = begin(engine, policy, request, asked, prompts, echoes)
        return await _answer(exchange, request, asked)


def add_embeddings(app: FastAPI, models: Models, policy: Policy) -> None:
    """Add /v1/embeddings."""

    @app.post("/v1/embeddings", openapi_extra=documented(EmbeddingRequest))
    async def embeddings(request: Request) -> Response:
        """The mean of a text's last hidden states, of length one."""
        asked = await read(request, EmbeddingRequest)
        engine = models.get(asked.model)
        served = engine.served
        if asked.dimensions not in (None, served.width):
            raise ApiError(400, f"This model's embeddings have {served.width} dimensions.",
                           param="dimensions", code="invalid_value")  # fmt: skip
        texts = await run_in_threadpool(
            raw_prompts, served, policy, asked.inputs(), "input", MAX_INPUTS
        )
        tokens = sum(map(len, texts))
        found: list[list[float]] = await run_errand(engine, policy, request, embed(texts), tokens)
        charge(request.scope, tokens)
        packed = asked.encoding_format == "base64"
        data = [
            {"object": "embedding", "index": i, "embedding": _packed(e) if packed else e}
            for i, e in enumerate(found)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return JSONResponse({"object": "list", "data": data, "model": served.name, "usage": usage})


def _packed(numbers: Sequence[float]) -> str:
    """Little-endian float32 as base64, which the official client asks for."""
    data = array.array("f", numbers)
    if sys.byteorder == "big":
        data.byteswap()
    return base64.b64encode(data.tobytes()).decode("ascii")


async def run_errand(
    engine: Engine, policy: Policy, request: Request, errand: Errand, tokens: int
) -> Any:
    """The result of an errand, given up when the client leaves or its time is over.

    Args:
        engine: runs it.
        policy: says how long it may take.
        request: whose errand.
        errand: what to do.
        tokens: that it reads. Who leaves before its end has used them all the same; of one that
            ends well the caller takes account.

    Raises:
        ApiError: 429, 500 or 503.
    """
    try:
        future = engine.send(errand)
    except QueueFull:
        raise full(engine) from None
    except EngineClosed:
        raise stopping() from None
    try:
        return await _result(engine, policy, request, future)
    except BaseException:
        charge(request.scope, tokens)
        raise


async def _result(engine: Engine, policy: Policy, request: Request, future: Future[Any]) -> Any:
    wrapped = asyncio.wrap_future(future)
    try:
        async with asyncio.timeout(policy.max_seconds or None):
            return await unless_left(request, wrapped, future.cancel)
    except TimeoutError:
        raise late() from None
    except asyncio.CancelledError:
        if wrapped.cancelled() and not engine.alive:
            raise stopping() from None
        raise
    except RuntimeError:
        raise ApiError(500, "The server made a mistake.") from None


async def _echoes(
    engine: Engine,
    policy: Policy,
    request: Request,
    asked: CompletionRequest,
    prompts: list[list[int]],
) -> list[Echo]:
    given, served, top = asked.prompts(), engine.served, asked.alternatives
    texts = [g if isinstance(g, str) else served.text_of(g) for g in given]
    chances: list[Any] = [()] * len(texts)
    if top is not None:
        chances = await run_errand(
            engine, policy, request, score(prompts, top), sum(map(len, prompts))
        )
    echoes = [Echo(text, tuple(found)) for text, found in zip(texts, chances, strict=True)]
    return [echo for echo in echoes for _ in range(asked.n or 1)]


def begin(
    engine: Engine,
    policy: Policy,
    request: Request,
    asked: Options,
    prompts: list[list[int]],
    echoes: Sequence[Echo] = (),
    grammar: Grammar | None = None,
) -> Exchange:
    """Hand a request to the engine.

    Raises:
        ApiError: 400, 429 or 503.
    """
    chat = isinstance(asked, ChatRequest)
    param = "messages" if chat else "prompt"
    jobs = make_jobs(engine.served, policy, asked, prompts, param, grammar)
    check_number(engine, len(jobs))
    exchange = Exchange(
        engine=engine,
        model=engine.served.name,
        kind="chat" if chat else "text",
        jobs=jobs,
        prompt_tokens=sum(map(len, prompts)),
        account=request.scope.get(ACCOUNT),
        echoes=echoes,
        moderation=policy.moderation,
    )
    exchange.start()
    return exchange


async def _answer(exchange: Exchange, request: Request, asked: Options) -> Response:
    if asked.stream:
        options = asked.stream_options
        stream = exchange.stream(bool(options and options.include_usage))
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return Streamed(stream, exchange.close, media_type="text/event-stream", headers=headers)
    return JSONResponse(await unless_left(request, exchange.whole(), exchange.close))
