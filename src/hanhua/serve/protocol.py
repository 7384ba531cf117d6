"""The requests of the OpenAI API that we serve, field by field.

Reference: https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

MAX_CHOICES = 16
MAX_STOPS = 16
MAX_PROMPTS = 16
MAX_INPUTS = 256
MAX_ALTERNATIVES = 20
MAX_BIASES = 1024

Penalty = Annotated[float, Field(ge=-2.0, le=2.0)]
Alternatives = Annotated[int, Field(ge=0, le=MAX_ALTERNATIVES)]


def _kind(value: Any) -> str:
    """Which form a prompt has, by its first item: trying all would judge each item four times."""
    first = value[0] if isinstance(value, list) and value else value
    if isinstance(first, list):
        return "ids of texts"
    if not isinstance(value, list):
        return "text"
    return "texts" if isinstance(first, str) else "ids"


def _alike(value: Any) -> Any:
    """Refuse at the first item of another kind: a long list would make as many errors."""
    if isinstance(value, list):
        kind = str if _kind(value) == "texts" else list if _kind(value) == "ids of texts" else int
        if kind is not int and len(value) > MAX_INPUTS:
            raise ValueError(f"at most {MAX_INPUTS} texts")
        inner = (row for row in value if isinstance(row, list)) if kind is list else ()
        if any(type(item) is not kind for item in value) or any(
            type(item) is not int for row in inner for item in row
        ):
            raise ValueError("it must be a text, texts, token ids, or lists of token ids")
    return value


Texts = Annotated[
    Annotated[str, Tag("text")]
    | Annotated[list[str], Tag("texts")]
    | Annotated[list[int], Tag("ids")]
    | Annotated[list[list[int]], Tag("ids of texts")],
    Discriminator(_kind),
    BeforeValidator(_alike),
]


class StreamOptions(BaseModel):
    """What a stream carries besides text."""

    model_config = ConfigDict(strict=True, extra="forbid")

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class JsonSchema(BaseModel):
    """A schema that the answer is held to; it always is, whether strict is asked or not."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str | None = None
    content: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class ResponseFormat(BaseModel):
    """What form the answer takes."""

    model_config = ConfigDict(strict=True, extra="forbid")

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _together(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("'json_schema' goes with the type 'json_schema'")
        return self


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
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: (
        Annotated[
            dict[str, Annotated[float, Field(ge=-100.0, le=100.0)]], Field(max_length=MAX_BIASES)
        ]
        | None
    ) = None

    @field_validator("logit_bias")
    @classmethod
    def _bias(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        if any(not (key.isascii() and key.isdigit() and len(key) < 10) for key in value or ()):
            raise ValueError("the keys must be token ids")
        return value

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

    @property
    def alternatives(self) -> int | None:
        """How many alternatives to report for each token; None: no log probabilities."""
        return None


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
    logprobs: bool | None = None
    top_logprobs: Alternatives | None = None
    response_format: ResponseFormat | None = None

    @field_validator("top_logprobs")
    @classmethod
    def _top(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value and not info.data.get("logprobs"):
            raise ValueError("it needs 'logprobs' to be true")
        return value

    @property
    def alternatives(self) -> int | None:
        """How many alternatives to report for each token; None: no log probabilities."""
        return (self.top_logprobs or 0) if self.logprobs else None


class CompletionRequest(Options):
    """POST /v1/completions."""

    prompt: Texts
    logprobs: Alternatives | None = None
    echo: bool | None = None

    @field_validator("logprobs", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return None if value is False else value

    def prompts(self) -> list[str] | list[list[int]]:
        """One item per prompt."""
        return _listed(self.prompt)

    @property
    def alternatives(self) -> int | None:
        """How many alternatives to report for each token; None: no log probabilities."""
        return self.logprobs


class EmbeddingRequest(BaseModel):
    """POST /v1/embeddings."""

    model_config = ConfigDict(strict=True, extra="forbid")

    input: Texts
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None

    def inputs(self) -> list[str] | list[list[int]]:
        """One item per text."""
        return _listed(self.input)


def _listed(value: Texts) -> list[str] | list[list[int]]:
    if isinstance(value, str):
        return [value]
    if value and isinstance(value[0], int):
        return [value]
    return value  # type: ignore[return-value]
