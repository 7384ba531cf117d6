"""The requests of the OpenAI API that we serve, checked strictly.

What we do not do is refused by name, not ignored: an option that silently does nothing is worse
than an error. Fields whose given value asks for nothing (``n: null``, ``logprobs: false``,
``frequency_penalty: 0``) are accepted, since clients send them.
Reference: https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hanhua.serve.errors import ApiError

MAX_CHOICES = 16
MAX_STOPS = 16
MAX_PROMPTS = 16
MAX_NESTING = 64

_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "best_of": (None, 1),
    "echo": (None, False),
    "frequency_penalty": (None, 0, 0.0),
    "function_call": (None, "none"),
    "functions": (None, []),
    "logit_bias": (None, {}),
    "logprobs": (None, False),
    "modalities": (None, ["text"]),
    "parallel_tool_calls": (None, True, False),
    "presence_penalty": (None, 0, 0.0),
    "response_format": (None, {"type": "text"}),
    "service_tier": (None, "auto", "default"),
    "suffix": (None, ""),
    "tool_choice": (None, "none", "auto"),
    "tools": (None, []),
    "top_logprobs": (None, 0),
}
"""Fields of the API that we know and do not serve, with the values that ask for nothing."""

_IGNORED = frozenset(
    {"user", "metadata", "store", "safety_identifier", "prompt_cache_key", "verbosity"}
)
"""Fields that only label a request."""


class StreamOptions(BaseModel):
    """What a stream carries besides text."""

    model_config = ConfigDict(strict=True, extra="forbid")

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Options(BaseModel):
    """What both kinds of request share; null always means not given."""

    model_config = ConfigDict(strict=True, extra="forbid")

    model: str | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] | None = None
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @field_validator("stop")
    @classmethod
    def _stop(cls, value: str | list[str] | None) -> str | list[str] | None:
        stops = [value] if isinstance(value, str) else value or []
        if len(stops) > MAX_STOPS:
            raise ValueError(f"at most {MAX_STOPS} stop strings")
        if any(not stop for stop in stops):
            raise ValueError("a stop string must not be empty")
        return value

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings as a tuple."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class TextPart(BaseModel):
    """One part of a message's content."""

    model_config = ConfigDict(strict=True, extra="forbid")

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(strict=True, extra="forbid")

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[TextPart], Field(min_length=1)]
    name: str | None = None
    refusal: None = None

    def plain(self) -> dict[str, str]:
        """The form that chat templates take."""
        content = self.content
        text = content if isinstance(content, str) else "\n".join(part.text for part in content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class ChatRequest(Options):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None


class CompletionRequest(Options):
    """POST /v1/completions."""

    prompt: str | list[str] | list[int] | list[list[int]]

    def prompts(self) -> list[str] | list[list[int]]:
        """One item per prompt."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if self.prompt and isinstance(self.prompt[0], int):
            return [self.prompt]
        return self.prompt  # type: ignore[return-value]


RequestT = TypeVar("RequestT", bound=Options)


def parse(body: bytes, kind: type[RequestT]) -> RequestT:
    """Read and check a request.

    Raises:
        ApiError: 400 with the first mistake and where it is.
    """
    data = _json(body)
    if not isinstance(data, dict):
        raise ApiError(400, "The request body must be a JSON object.")
    known = kind.model_fields.keys()
    for name in sorted(data.keys() - known, key=str):
        if name in _IGNORED:
            continue
        if name not in _NEUTRAL:
            raise ApiError(
                400, f"Unrecognized request argument supplied: {name[:80]}",
                param=name[:80], code="unknown_parameter",
            )  # fmt: skip
        if not any(data[name] == value and type(data[name]) is type(value)
                   for value in _NEUTRAL[name]):  # fmt: skip
            raise ApiError(
                400, f"'{name}' is not supported by this server.",
                param=name, code="unsupported_parameter",
            )  # fmt: skip
    try:
        return kind.model_validate({name: data[name] for name in data.keys() & known})
    except ValidationError as error:
        raise _refusal(error) from None


def _json(body: bytes) -> Any:
    def constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    try:
        text = body.decode("utf-8")
        data = json.loads(text, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ApiError(400, f"The request body is not valid JSON: {reason[:200]}") from None
    try:
        for text in _strings(data, 0):
            text.encode("utf-8")
    except UnicodeEncodeError:
        raise ApiError(400, "The request holds a lone surrogate, which is no text.") from None
    return data


def _strings(value: Any, depth: int) -> Iterator[str]:
    if depth > MAX_NESTING:
        raise ApiError(400, "The request body is not valid JSON: it is nested too deeply")
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _strings(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, depth + 1)


def _refusal(error: ValidationError) -> ApiError:
    first = error.errors(include_url=False, include_input=False)[0]
    where = [str(part) for part in first["loc"]]
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing" and len(where) == 1:
        return ApiError(
            400, f"Missing required parameter: '{where[0]}'.",
            param=where[0], code="missing_required_parameter",
        )  # fmt: skip
    return ApiError(
        400, f"Invalid value for '{where[0]}' (at {'.'.join(where)}): {message}.",
        param=where[0], code="invalid_value",
    )  # fmt: skip
