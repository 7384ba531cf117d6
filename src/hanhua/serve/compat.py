"""The endpoints of older Chinese LLaMA projects, so that their clients work: ``--compat``.

- ``POST /``, ChatGLM's and LinkSoul's: prompt and history of pairs; the answer comes as response,
  history, status, time.
- ``POST /generate``, FlagAlpha's: history of roles and system_prompt; response, status, time.
- ``POST /generate`` with a prompt, FlagAlpha's over vLLM: text begins with the prompt; a stream's
  pieces end in a zero byte.
- ``POST /chat``, Linly's: question, raw text; answer begins with the question; status.

Fields that those servers took and we don't have (top_k, beams, repetition penalty) pass and do
nothing. What is not valid is refused in this server's own shape, with a status that is not 200.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from hanhua.serve.answers import Exchange
from hanhua.serve.ask import chat_prompt, raw_prompts, too_long
from hanhua.serve.body import Streamed, documented, read, unless_left
from hanhua.serve.engine import Engine
from hanhua.serve.errors import ApiError
from hanhua.serve.policy import Policy
from hanhua.serve.protocol import ChatRequest, CompletionRequest, Message, Penalty
from hanhua.serve.routes import begin

PATHS = ("/", "/generate", "/chat")

LINLY_TOKENS = 512
"""Longest answer of ``/chat``, whose requests cannot say; its own server set a length too."""

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Heat = Annotated[float, Field(ge=0.0, le=2.0)]


class PairsRequest(BaseModel):
    """POST / of ChatGLM and LinkSoul; max_length counts the prompt too."""

    model_config = ConfigDict(strict=True)

    prompt: str
    history: list[Annotated[list[str], Field(min_length=2, max_length=2)]] | None = None
    max_length: Count | None = None
    top_p: Share | None = None
    temperature: Heat | None = None


class Turn(BaseModel):
    """A turn of FlagAlpha's history; their example client writes "Assitant"."""

    model_config = ConfigDict(strict=True)

    role: str
    content: str


class GenerateRequest(BaseModel):
    """POST /generate of FlagAlpha: history for a chat, prompt for raw text."""

    model_config = ConfigDict(strict=True)

    history: list[Turn] | None = None
    system_prompt: str | None = None
    prompt: str | None = None
    stream: bool | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    max_new_tokens: Count | None = None
    max_tokens: Count | None = None
    top_p: Share | None = None
    temperature: Heat | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    stop: Annotated[list[str], Field(max_length=16)] | None = None


class QuestionRequest(BaseModel):
    """POST /chat of Linly: raw text, one or several."""

    model_config = ConfigDict(strict=True)

    question: str | list[str]


def add_old_endpoints(app: FastAPI, engine: Engine, policy: Policy) -> None:
    """Add ``POST /``, ``/generate`` and ``/chat``."""

    @app.post("/", openapi_extra=documented(PairsRequest))
    async def pairs(request: Request) -> Response:
        """ChatGLM's and LinkSoul's chat."""
        asked = await read(request, PairsRequest, lenient=True)
        history = asked.history or []
        turns = [text for pair in history for text in pair] + [asked.prompt]
        messages = _alternating(turns)
        ids = await run_in_threadpool(chat_prompt, engine.served, policy, messages)
        longest = asked.max_length - len(ids) if asked.max_length else None
        if longest is not None and longest < 1:
            raise too_long(engine.served, f"max_length is {asked.max_length} and the prompt has "
                           f"{len(ids)}", "max_length")  # fmt: skip
        exchange = _chat(engine, policy, request, messages, ids, longest, asked)
        [(text, _)] = await unless_left(request, exchange.texts(), exchange.close)
        told = [*history, [asked.prompt, text]]
        return JSONResponse({"response": text, "history": told, **_stamp()})

    @app.post("/generate", openapi_extra=documented(GenerateRequest))
    async def generate(request: Request) -> Response:
        """FlagAlpha's chat, or its raw text over vLLM."""
        asked = await read(request, GenerateRequest, lenient=True)
        if asked.prompt is not None:
            return await _raw(engine, policy, request, asked)
        if not asked.history:
            raise ApiError(400, "Missing required parameter: 'history'.", param="history",
                           code="missing_required_parameter")  # fmt: skip
        messages = [{"role": _role(turn.role), "content": turn.content} for turn in asked.history]
        if asked.system_prompt:
            messages.insert(0, {"role": "system", "content": asked.system_prompt})
        ids = await run_in_threadpool(chat_prompt, engine.served, policy, messages)
        exchange = _chat(engine, policy, request, messages, ids, asked.max_new_tokens, asked)
        [(text, _)] = await unless_left(request, exchange.texts(), exchange.close)
        return JSONResponse({"response": text, **_stamp()})

    @app.post("/chat", openapi_extra=documented(QuestionRequest))
    async def chat(request: Request) -> Response:
        """Linly's raw text."""
        asked = await read(request, QuestionRequest, lenient=True)
        given = [asked.question] if isinstance(asked.question, str) else asked.question
        ids = await run_in_threadpool(raw_prompts, engine.served, policy, given, "question")
        body = CompletionRequest(prompt=given, max_tokens=_room(engine, ids, LINLY_TOKENS))
        exchange = begin(engine, policy, request, body, ids)
        texts = await unless_left(request, exchange.texts(), exchange.close)
        told = [question + text for question, (text, _) in zip(given, texts, strict=True)]
        return JSONResponse({"answer": told, "status": "success"})


def _alternating(turns: list[str]) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]


def _role(name: str) -> str:
    """FlagAlpha's names of roles in ours; all that is not the human is the assistant there too."""
    return {"human": "user", "user": "user", "system": "system"}.get(name.lower(), "assistant")


def _stamp() -> dict[str, Any]:
    now = datetime.datetime.now()
    return {"status": 200, "time": now.strftime("%Y-%m-%d %H:%M:%S")}


def _room(engine: Engine, prompts: list[list[int]], wanted: int | None) -> int:
    """What was asked, cut to what fits: those servers cut too, and did not refuse."""
    room = max(1, engine.served.context_tokens - max(map(len, prompts)))
    return room if wanted is None else min(wanted, room)


def _chat(
    engine: Engine,
    policy: Policy,
    request: Request,
    messages: list[dict[str, str]],
    ids: list[int],
    wanted: int | None,
    asked: PairsRequest | GenerateRequest,
) -> Exchange:
    body = ChatRequest(
        messages=[Message(role=m["role"], content=m["content"]) for m in messages],  # type: ignore[arg-type]
        max_tokens=_room(engine, [ids], wanted),
        **_drawing(asked),
    )
    return begin(engine, policy, request, body, [ids])


def _drawing(asked: PairsRequest | GenerateRequest) -> dict[str, Any]:
    """The fields that say how tokens are drawn; zero for top_p means not given there."""
    found: dict[str, Any] = {"temperature": asked.temperature, "top_p": asked.top_p or None}
    if isinstance(asked, GenerateRequest):
        found |= {
            "presence_penalty": asked.presence_penalty,
            "frequency_penalty": asked.frequency_penalty,
            "stop": [text for text in asked.stop or [] if text] or None,
        }
    return found


async def _raw(
    engine: Engine, policy: Policy, request: Request, asked: GenerateRequest
) -> Response:
    """Text after a raw prompt, the prompt included; a stream repeats all so far at each step."""
    assert asked.prompt is not None
    ids = await run_in_threadpool(raw_prompts, engine.served, policy, [asked.prompt])
    tokens = _room(engine, ids, asked.max_tokens or asked.max_new_tokens or 16)  # vLLM's default
    body = CompletionRequest(prompt=asked.prompt, n=asked.n, max_tokens=tokens, **_drawing(asked))
    exchange = begin(engine, policy, request, body, ids)
    if not asked.stream:
        texts = await unless_left(request, exchange.texts(), exchange.close)
        return JSONResponse({"text": [asked.prompt + text for text, _ in texts]})
    growing = _growing(exchange, asked.prompt)
    return Streamed(growing, exchange.close, media_type="application/json")


async def _growing(exchange: Exchange, prompt: str) -> AsyncIterator[bytes]:
    texts = [prompt for _ in exchange.jobs]
    try:
        async for index, event in exchange.events(in_pieces=True):
            if event.text:
                texts[index] += event.text
                yield json.dumps({"text": texts}).encode() + b"\0"
    except ApiError as error:
        yield json.dumps(error.body()).encode() + b"\0"
