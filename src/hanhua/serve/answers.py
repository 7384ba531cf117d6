"""A request under way: from the engine's events to OpenAI's response bodies."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hanhua.serve.engine import Engine, EngineClosed, Event, Job, QueueFull, Ticket
from hanhua.serve.errors import ApiError
from hanhua.serve.keys import Account
from hanhua.serve.logprobs import TokenChance, chat_logprobs, text_logprobs
from hanhua.serve.moderation import Judge, Moderation


def full(engine: Engine) -> ApiError:
    """The refusal when too many requests wait."""
    seconds = engine.patience_seconds
    return ApiError(
        429, f"Too many requests are waiting; try again in {seconds} s.",
        code="rate_limit_exceeded", headers={"Retry-After": str(seconds)},
    )  # fmt: skip


def check_number(engine: Engine, answers: int) -> None:
    """Refuse what would never be let in, however few others there are.

    Raises:
        ApiError: 400.
    """
    most = engine.max_running + engine.max_waiting
    if answers > most:
        raise ApiError(
            400, f"This request asks for {answers} answers (prompts times 'n'); this server takes "
            f"at most {most} at once.", param="n", code="invalid_value",
        )  # fmt: skip


def late() -> ApiError:
    """The refusal when a request's time was over before there was anything to answer."""
    return ApiError(
        503, "The request's time was over before its turn came; try again later.",
        code="timeout", headers={"Retry-After": "5"},
    )  # fmt: skip


def stopping() -> ApiError:
    """The refusal when the server is being stopped."""
    return ApiError(503, "The server is shutting down.")


@dataclass(frozen=True, slots=True)
class Echo:
    """A prompt that the answer is to begin with.

    Args:
        text: of the prompt.
        chances: of its tokens, where log probabilities were asked for.
    """

    text: str
    chances: tuple[TokenChance, ...] = ()


@dataclass(slots=True)
class Exchange:
    """A request under way: its jobs in the engine and their events as they come.

    Args:
        engine: where the jobs run.
        model: the name to answer under.
        kind: which of the two APIs asked.
        jobs: one per choice.
        prompt_tokens: of all prompts, each counted once.
        account: of the key that asked; its tokens are counted.
        echoes: one per choice, or none.
        moderation: who judges the answers before they go out; None: nobody.
    """

    engine: Engine
    model: str
    kind: Literal["chat", "text"]
    jobs: list[Job]
    prompt_tokens: int
    account: Account | None = None
    echoes: Sequence[Echo] = ()
    moderation: Moderation | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    created: int = field(default_factory=lambda: int(time.time()))
    _tickets: list[Ticket] = field(default_factory=list)
    _queue: asyncio.Queue[tuple[int, Event]] = field(default_factory=asyncio.Queue)
    _tokens: dict[int, int] = field(default_factory=dict)
    _offsets: dict[int, int] = field(default_factory=dict)
    _open: set[int] = field(default_factory=set)
    _ends: dict[int, str] = field(default_factory=dict)
    _closed: bool = False

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
            self._open.update(range(len(self.jobs)))
        except QueueFull:
            raise full(self.engine) from None
        except EngineClosed:
            raise stopping() from None

    def close(self) -> None:
        """Give up what is under way, and take account once of what was used."""
        for ticket in self._tickets:
            ticket.cancel()
        if self._closed:
            return
        self._closed = True
        while not self._queue.empty():  # made, and not yet sent to a slow client
            index, event = self._queue.get_nowait()
            if index in self._open:
                self._tokens[index] = event.tokens
        if self.account:
            self.account.charge(self.usage["total_tokens"])
        now = time.monotonic()
        for index, ticket in enumerate(self._tickets):
            if ticket.job.judged:
                end = self._ends.get(index, "cancelled")
                self.engine.stats.note_end(end, now - ticket.arrived)

    async def events(self, in_pieces: bool = False) -> AsyncIterator[tuple[int, Event]]:
        """(choice, event) until every choice has ended; leaving early cancels them.

        Args:
            in_pieces: judge an answer by the sentence and not at its end, where it is judged.
        """
        judges = [Judge(self.moderation, in_pieces) for _ in self.jobs if self.moderation]
        try:
            for index, echo in enumerate(self.echoes):
                yield index, Event(echo.text, 0, None, echo.chances)
            while self._open:
                index, event = await self._queue.get()
                if index not in self._open:
                    continue  # what came of an answer after it was flagged
                self._tokens[index] = event.tokens
                self._check(index, event)
                judged = await self._judged(judges[index], index, event) if judges else event
                if judged is None:
                    continue
                if judged.end:
                    self._ends[index] = judged.end
                    self._open.remove(index)
                    self._tickets[index].cancel()
                yield index, judged
        finally:
            self.close()

    async def _judged(self, judge: Judge, index: int, event: Event) -> Event | None:
        try:
            return await judge.judged(event)
        except ApiError:
            self._ends[index] = "unjudged"
            raise

    def _check(self, index: int, event: Event) -> None:
        """Raise where an event means that there is no answer, by none of the choices."""
        if event.end in ("error", "timeout"):
            self._ends[index] = event.end
        if event.end == "error":
            raise ApiError(500, "The server made a mistake.")
        if event.end == "cancelled":
            raise stopping()
        if event.end == "timeout" and not any(self._tokens.values()):
            raise late()

    @property
    def usage(self) -> dict[str, int]:
        """Tokens so far."""
        made = sum(self._tokens.values())
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": made,
            "total_tokens": self.prompt_tokens + made,
        }

    async def texts(self) -> list[tuple[str, str]]:
        """(text, finish reason) of each choice, for answers of other shapes."""
        found = [("", "") for _ in self.jobs]
        async for index, event in self.events():
            found[index] = (found[index][0] + event.text, reason(event) or "")
        return found

    async def whole(self) -> dict[str, Any]:
        """The response of a request that does not stream."""
        texts = ["" for _ in self.jobs]
        ends: list[str | None] = [None for _ in self.jobs]
        chances: list[list[TokenChance]] = [[] for _ in self.jobs]
        async for index, event in self.events():
            texts[index] += event.text
            ends[index] = reason(event)
            chances[index] += event.chances
        choices = [
            self._choice(i, text, ends[i], chances[i]) for i, text in enumerate(texts)
        ]  # fmt: skip
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
            async for index, event in self.events(in_pieces=True):
                if event.text or event.chances:
                    said = self._said(event.text)
                    logs = self._logprobs(index, event.chances)
                    yield _sse({**head, "choices": [_piece(index, said, None, logs)]})
                if event.end:
                    end: dict[str, Any] = {"delta": {}} if self.kind == "chat" else {"text": ""}
                    yield _sse({**head, "choices": [_piece(index, end, reason(event))]})
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

    def _choice(
        self, index: int, text: str, end: str | None, chances: Sequence[TokenChance]
    ) -> dict[str, Any]:
        logs = self._logprobs(index, chances)
        if self.kind == "chat":
            message = {"role": "assistant", "content": text, "refusal": None}
            return _piece(index, {"message": message}, end, logs)
        return _piece(index, {"text": text}, end, logs)

    def _logprobs(self, index: int, chances: Sequence[TokenChance]) -> dict[str, Any] | None:
        if self.jobs[index].chances is None:
            return None
        if self.kind == "chat":
            return chat_logprobs(chances)
        begun = self._offsets.get(index)
        offset = self._first_offset(index, chances) if begun is None else begun
        logs, self._offsets[index] = text_logprobs(chances, offset)
        return logs

    def _first_offset(self, index: int, chances: Sequence[TokenChance]) -> int:
        """Where a text begins: an echo lacks the space that some tokenizers put in front."""
        if not self.echoes or self.echoes[index].text.startswith(" "):
            return 0
        first = next((chance.data for chance in chances if chance.data), b"")
        strips: bool = self.engine.served.token_bytes.strips_space
        return -1 if strips and first.startswith(b" ") else 0


def reason(event: Event) -> str | None:
    """The finish reason in OpenAI's words: an answer whose time is over was cut as by length."""
    return "length" if event.end == "timeout" else event.end


def _piece(
    index: int, content: dict[str, Any], end: str | None, logs: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {"index": index, **content, "logprobs": logs, "finish_reason": end}


def _sse(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"
