"""From a checked request to jobs, and from the engine's events to OpenAI's response bodies."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hanhua.core.errors import InputError
from hanhua.serve.engine import Engine, EngineClosed, Event, Job, QueueFull, Ticket
from hanhua.serve.errors import ApiError
from hanhua.serve.protocol import MAX_PROMPTS, ChatRequest, CompletionRequest, Options
from hanhua.serve.sampling import Sampling
from hanhua.serve.served import Served

DEFAULT_COMPLETION_TOKENS = 16
"""What OpenAI's /v1/completions gives where no max_tokens is asked."""


def chat_prompt(served: Served, request: ChatRequest) -> list[int]:
    """The prompt of a chat request.

    Raises:
        ApiError: 400 when the model does not chat, the roles don't take turns, or it is too long.
    """
    if not served.chats:
        raise ApiError(
            400, "This model has no chat template, so it cannot chat: it is a base model. "
            "Use /v1/completions, or serve a model that was finetuned.", param="model",
            code="model_has_no_chat_template",
        )  # fmt: skip
    messages = [message.plain() for message in request.messages]
    _check_length(served, sum(len(m["content"].strip().encode()) for m in messages), "messages")
    try:
        return served.encode_chat(messages)
    except InputError as error:
        found = f" ({error.found})" if error.found else ""
        raise ApiError(
            400, f"{error.what}{found}", param="messages", code="invalid_value"
        ) from None


def completion_prompts(served: Served, request: CompletionRequest) -> list[list[int]]:
    """The prompts of a completion request.

    Raises:
        ApiError: 400 when one is too long, empty, or holds ids that the model doesn't know.
    """
    given = request.prompts()
    if not 1 <= len(given) <= MAX_PROMPTS:
        raise ApiError(400, f"'prompt' must hold 1 to {MAX_PROMPTS} prompts.", param="prompt")
    found = []
    for prompt in given:
        if isinstance(prompt, str):
            _check_length(served, len(prompt.encode()), "prompt")
            ids = served.encode_text(prompt)
        else:
            ids = prompt
        if not ids:
            raise ApiError(400, "A prompt must not be empty.", param="prompt")
        if not all(0 <= token < served.n_tokens for token in ids):
            raise ApiError(
                400, f"Token ids must be from 0 to {served.n_tokens - 1}.", param="prompt"
            )
        found.append(ids)
    return found


def _check_length(served: Served, size: int, param: str) -> None:
    if served.hopeless(size):
        raise _too_long(served, f"{size} bytes of text can't fit it", param)


def _too_long(served: Served, reason: str, param: str) -> ApiError:
    return ApiError(
        400, f"This model's maximum context length is {served.context_tokens} tokens; {reason}. "
        "Shorten the prompt or ask for fewer tokens.", param=param, code="context_length_exceeded",
    )  # fmt: skip


def make_jobs(
    served: Served, request: Options, prompts: Sequence[Sequence[int]], param: str
) -> list[Job]:
    """One job per prompt and choice, prompt by prompt.

    Raises:
        ApiError: 400 when prompt and answer do not fit the context together.
    """
    chats = isinstance(request, ChatRequest)
    asked = getattr(request, "max_completion_tokens", None) or request.max_tokens
    temperature = served.temperature if request.temperature is None else request.temperature
    jobs = []
    for prompt in prompts:
        room = served.context_tokens - len(prompt)
        wanted = asked or (room if chats else min(room, DEFAULT_COMPLETION_TOKENS))
        if room < 1 or wanted > room:
            reason = f"the prompt has {len(prompt)}" + (f" and {asked} were asked" if asked else "")
            raise _too_long(served, reason, param)
        for choice in range(request.n or 1):
            sampling = Sampling(
                temperature=temperature,
                top_p=request.top_p or served.top_p,
                seed=None if request.seed is None else request.seed + choice,
            )
            jobs.append(
                Job(
                    prompt=tuple(prompt),
                    max_tokens=wanted,
                    sampling=sampling,
                    stop=request.stops,
                    trim=chats,
                )
            )
    return jobs


@dataclass(slots=True)
class Exchange:
    """A request under way: its jobs in the engine and their events as they come.

    Args:
        engine: where the jobs run.
        model: the name to answer under.
        kind: which of the two APIs asked.
        jobs: one per choice.
        prompt_tokens: of all prompts, each counted once.
    """

    engine: Engine
    model: str
    kind: Literal["chat", "text"]
    jobs: list[Job]
    prompt_tokens: int
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    created: int = field(default_factory=lambda: int(time.time()))
    _tickets: list[Ticket] = field(default_factory=list)
    _queue: asyncio.Queue[tuple[int, Event]] = field(default_factory=asyncio.Queue)
    _tokens: dict[int, int] = field(default_factory=dict)

    def start(self) -> None:
        """Hand the jobs to the engine.

        Raises:
            ApiError: 429 when too many wait, 503 when the server is stopping.
        """
        loop = asyncio.get_running_loop()

        def sink(index: int) -> Any:
            return lambda event: loop.call_soon_threadsafe(self._queue.put_nowait, (index, event))

        try:
            self._tickets = self.engine.submit(self.jobs, [sink(i) for i in range(len(self.jobs))])
        except QueueFull:
            seconds = self.engine.patience_seconds
            raise ApiError(
                429, f"Too many requests are waiting; try again in {seconds} s.",
                code="rate_limit_exceeded", headers={"Retry-After": str(seconds)},
            ) from None  # fmt: skip
        except EngineClosed:
            raise ApiError(503, "The server is shutting down.") from None

    def cancel(self) -> None:
        """Give up every choice."""
        for ticket in self._tickets:
            ticket.cancel()

    async def events(self) -> AsyncIterator[tuple[int, Event]]:
        """(choice, event) until every choice has ended; leaving early cancels them."""
        open_ = len(self.jobs)
        try:
            while open_:
                index, event = await self._queue.get()
                self._tokens[index] = event.tokens
                if event.end == "error":
                    raise ApiError(500, "The server made a mistake.")
                if event.end == "cancelled":
                    raise ApiError(503, "The server is shutting down.")
                open_ -= event.end is not None
                yield index, event
        finally:
            self.cancel()

    @property
    def usage(self) -> dict[str, int]:
        """Tokens so far."""
        made = sum(self._tokens.values())
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": made,
            "total_tokens": self.prompt_tokens + made,
        }

    async def whole(self) -> dict[str, Any]:
        """The response of a request that does not stream."""
        texts = ["" for _ in self.jobs]
        ends: list[str | None] = [None for _ in self.jobs]
        async for index, event in self.events():
            texts[index] += event.text
            ends[index] = event.end
        choices = [self._choice(i, text, ends[i]) for i, text in enumerate(texts)]
        return {**self._head(""), "choices": choices, "usage": self.usage}

    async def stream(self, include_usage: bool) -> AsyncIterator[bytes]:
        """The response of a request that streams, as server-sent events."""
        usage: dict[str, Any] = {"usage": None} if include_usage else {}
        head = self._head(".chunk") | usage
        try:
            if self.kind == "chat":
                for index in range(len(self.jobs)):
                    delta = {"role": "assistant", "content": ""}
                    yield _sse({**head, "choices": [_piece(index, {"delta": delta}, None)]})
            async for index, event in self.events():
                if event.text:
                    said = self._said(event.text)
                    yield _sse({**head, "choices": [_piece(index, said, None)]})
                if event.end:
                    end: dict[str, Any] = {"delta": {}} if self.kind == "chat" else {"text": ""}
                    yield _sse({**head, "choices": [_piece(index, end, event.end)]})
            if include_usage:
                yield _sse({**head, "choices": [], "usage": self.usage})
        except ApiError as error:  # too late for a status
            yield _sse(error.body())
        yield b"data: [DONE]\n\n"

    def _head(self, suffix: str) -> dict[str, Any]:
        chat = self.kind == "chat"
        return {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{self.id}",
            "object": f"chat.completion{suffix}" if chat else "text_completion",
            "created": self.created,
            "model": self.model,
        }

    def _said(self, text: str) -> dict[str, Any]:
        return {"delta": {"content": text}} if self.kind == "chat" else {"text": text}

    def _choice(self, index: int, text: str, end: str | None) -> dict[str, Any]:
        if self.kind == "chat":
            message = {"role": "assistant", "content": text, "refusal": None}
            return _piece(index, {"message": message}, end)
        return _piece(index, {"text": text}, end)


def _piece(index: int, content: dict[str, Any], end: str | None) -> dict[str, Any]:
    return {"index": index, **content, "logprobs": None, "finish_reason": end}


def _sse(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"
