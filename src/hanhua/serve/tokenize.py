"""How many tokens a text has, and which: POST /tokenize, with vLLM's fields and one of ours.

``tokenizer: "base"`` counts with the tokenizer of the base that the model grew from, so that a text
can be counted before and after expansion without the base's weights.
Reference: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from hanhua.core.errors import InputError, ModelError
from hanhua.model.stream import TokenBytes
from hanhua.serve.body import documented, read
from hanhua.serve.encoder import Encoder, readable
from hanhua.serve.errors import ApiError
from hanhua.serve.guard import charge
from hanhua.serve.models import Models
from hanhua.serve.protocol import Message

TOKENIZE = "/tokenize"
MAX_TEXT_BYTES = 256 * 1024
"""Longest text: encoding holds up the prompts of others."""


class TokenizeRequest(BaseModel):
    """POST /tokenize: a prompt or messages, one of the two."""

    model_config = ConfigDict(strict=True, extra="forbid")

    model: str | None = None
    prompt: str | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    add_special_tokens: bool | None = None
    """Begin a prompt as the tokenizer begins a text; true where it is not given."""
    add_generation_prompt: bool | None = None
    """End messages with what opens an answer; true where it is not given."""
    return_token_strs: bool | None = None
    tokenizer: Literal["model", "base"] | None = None


class TokenizeAnswer(BaseModel):
    """What POST /tokenize answers."""

    count: int
    max_model_len: int | None
    tokens: list[int]
    token_strs: list[str] | None


def add_tokenize(app: FastAPI, models: Models) -> None:
    """Add POST /tokenize."""

    @app.post(TOKENIZE, openapi_extra=documented(TokenizeRequest))
    async def tokenize(request: Request) -> TokenizeAnswer:
        """The tokens of a text or a conversation."""
        asked = await read(request, TokenizeRequest)
        _check(asked)
        encoder, token_bytes, longest = _tokenizer(models, asked)
        ids = await run_in_threadpool(_encode, encoder, asked)
        charge(request.scope, len(ids))
        strings = None
        if asked.return_token_strs:
            strings = await run_in_threadpool(readable, token_bytes, ids)
        return TokenizeAnswer(
            count=len(ids), max_model_len=longest, tokens=ids, token_strs=strings
        )  # fmt: skip


def _check(asked: TokenizeRequest) -> None:
    """Refuse what the model of the fields cannot tell by itself."""
    param = "prompt" if asked.prompt is not None else "messages"
    if (asked.prompt is None) == (asked.messages is None):
        raise ApiError(400, "Give 'prompt' or 'messages', one of the two.", param=param,
                       code="missing_required_parameter")  # fmt: skip
    option = "add_generation_prompt" if param == "prompt" else "add_special_tokens"
    if getattr(asked, option):
        raise ApiError(400, f"'{option}' means nothing for '{param}'.", param=option,
                       code="invalid_value")  # fmt: skip
    texts = [asked.prompt or ""] + [m.plain()["content"] for m in asked.messages or ()]
    size = sum(len(text.encode()) for text in texts)
    if size > MAX_TEXT_BYTES:
        raise ApiError(400, f"{size} bytes of text are more than {MAX_TEXT_BYTES}.", param=param,
                       code="string_above_max_length")  # fmt: skip


def _tokenizer(models: Models, asked: TokenizeRequest) -> tuple[Encoder, TokenBytes, int | None]:
    served = models.get(asked.model).served
    if asked.tokenizer != "base":
        return served.encoder, served.token_bytes, served.context_tokens
    base = models.bases.get(served.name)
    if base is None:
        raise ApiError(
            400, f"No base's tokenizer is known for '{served.name}': it is a base itself, or is "
            "not served from the run that made it.", param="tokenizer", code="no_base_tokenizer",
        )  # fmt: skip
    return base.encoder, base.token_bytes, base.context_tokens


def _encode(encoder: Encoder, asked: TokenizeRequest) -> list[int]:
    if asked.prompt is not None:
        return encoder.text(asked.prompt, asked.add_special_tokens is not False)
    if not encoder.chats:
        raise ApiError(400, "This tokenizer has no chat template; send 'prompt'.",
                       param="messages", code="model_has_no_chat_template")  # fmt: skip
    messages = [message.plain() for message in asked.messages or ()]
    try:
        return encoder.chat(messages, asked.add_generation_prompt is not False)
    except (InputError, ModelError) as error:
        found = f" ({error.found})" if error.found else ""
        raise ApiError(
            400, f"{error.what}{found}", param="messages", code="invalid_value"
        ) from None
