"""From the bytes of a request to its checked fields, or to a refusal that names the mistake.

What we do not do is refused by name, not ignored: an option that silently does nothing is worse
than an error. Fields whose given value asks for nothing (``n: null``, ``tools: []``) are
accepted, since clients send them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hanhua.serve.errors import ApiError

MAX_NESTING = 64

_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "best_of": (None, 1),
    "echo": (None, False),
    "function_call": (None, "none"),
    "functions": (None, []),
    "logprobs": (None, False),
    "modalities": (None, ["text"]),
    "parallel_tool_calls": (None, True, False),
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

RequestT = TypeVar("RequestT", bound=BaseModel)


def parse(body: bytes, kind: type[RequestT], lenient: bool = False) -> RequestT:
    """Read and check a request.

    Args:
        body: as it came.
        kind: what it must be.
        lenient: let fields pass that we don't know.

    Raises:
        ApiError: 400 with the first mistake and where it is.
    """
    data = _json(body)
    if not isinstance(data, dict):
        raise ApiError(400, "The request body must be a JSON object.")
    known = kind.model_fields.keys()
    if not lenient:
        _refuse_unknown(data, known)
    try:
        return kind.model_validate({name: data[name] for name in data.keys() & known})
    except ValidationError as error:
        raise _refusal(error) from None


def _refuse_unknown(data: Mapping[str, Any], known: Set[str]) -> None:
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
