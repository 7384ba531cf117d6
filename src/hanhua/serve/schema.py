"""Which JSON schemas an answer can be held to; all others are refused by name and place.

A keyword that is passed over would let answers through that do not fit the schema, so only what
the grammar carries out is let in. Limits keep a schema from holding up the server.
Source: https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hanhua.serve.errors import ApiError

MAX_SUBSCHEMAS = 1000
MAX_SCHEMA_BYTES = 2**17
MAX_COUNT = 1_000_000
_EXACT = 2**53

_NOTES = frozenset({"title", "description", "default", "examples", "$schema", "$comment",
                    "deprecated", "readOnly", "writeOnly"})  # fmt: skip
"""Keywords that change nothing about what fits."""

_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_FORMATS = frozenset({"date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6",
                      "uuid", "uri"})  # fmt: skip
_REF = re.compile(r"#(/(\$defs|definitions)/[^/~%]+)?")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_COUNT


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -_EXACT <= value <= _EXACT


def _is_types(value: Any) -> bool:
    several = isinstance(value, list) and len(value) > 0
    names = value if several else [value]
    return all(isinstance(name, str) and name in _TYPES for name in names)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


_COUNT = (_is_count, f"a whole number from 0 to {MAX_COUNT}")
_NUMBER = (_is_number, "a number from -2**53 to 2**53")
_SCHEMAS = (lambda value: isinstance(value, dict), "an object of schemas")

_VALUES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "type": (_is_types, f"one or several of {', '.join(sorted(_TYPES))}"),
    "properties": _SCHEMAS,
    "$defs": _SCHEMAS,
    "definitions": _SCHEMAS,
    "required": (_is_names, "a list of names"),
    "additionalProperties": (lambda value: isinstance(value, (bool, dict)),
                             "true, false or a schema"),
    "items": (lambda value: isinstance(value, dict), "a schema"),
    "anyOf": (lambda value: isinstance(value, list) and len(value) > 0, "a list of schemas"),
    "$ref": (lambda value: isinstance(value, str) and _REF.fullmatch(value) is not None,
             "'#', '#/$defs/NAME' or '#/definitions/NAME'"),
    "enum": (lambda value: isinstance(value, list) and len(value) > 0, "a list of values"),
    "const": (lambda value: True, "a value"),
    "minLength": _COUNT, "maxLength": _COUNT, "minItems": _COUNT, "maxItems": _COUNT,
    "minimum": _NUMBER, "maximum": _NUMBER,
    "exclusiveMinimum": _NUMBER, "exclusiveMaximum": _NUMBER,
    "multipleOf": (lambda value: type(value) is int and 0 < value <= _EXACT,
                   "a whole number above 0"),
    "pattern": (lambda value: isinstance(value, str), "a regular expression"),
    "format": (lambda value: isinstance(value, str) and value in _FORMATS,
               f"one of {', '.join(sorted(_FORMATS))}"),
}  # fmt: skip


def check_schema(schema: Mapping[str, Any]) -> None:
    """Let a schema pass whose every keyword is carried out and that something can fit.

    Args:
        schema: as the request holds it.

    Raises:
        ApiError: 400 with the place and what is wrong there.
    """
    size = len(json.dumps(schema, ensure_ascii=False).encode())
    if size > MAX_SCHEMA_BYTES:
        raise refused("#", f"it has {size} bytes, more than {MAX_SCHEMA_BYTES}")
    refs: set[str] = set()
    for count, (place, inner) in enumerate(_walk("#", schema)):
        if count >= MAX_SUBSCHEMAS:
            raise refused("#", f"it has more than {MAX_SUBSCHEMAS} schemas inside")
        _check_one(place, inner)
        if "$ref" in inner:
            _find(schema, inner["$ref"], place)
            refs.add(inner["$ref"])
    _check_ends(schema, refs)


def refused(place: str, what: str, code: str = "invalid_value") -> ApiError:
    """The refusal of a schema.

    Args:
        place: a JSON pointer into it.
        what: is wrong there.
        code: a word for programs.
    """
    return ApiError(400, f"'response_format': the schema at '{place[:200]}': {what}.",
                    param="response_format", code=code)  # fmt: skip


def _check_one(place: str, schema: Any) -> None:
    if not isinstance(schema, dict):
        raise refused(place, "a schema must be an object")
    for name, value in schema.items():
        if name in _NOTES:
            continue
        if name not in _VALUES:
            raise refused(place, f"'{name[:80]}' is not supported by this server",
                          "unsupported_parameter")  # fmt: skip
        fits, wanted = _VALUES[name]
        if not fits(value):
            raise refused(place, f"'{name}' must be {wanted}")
        if name in ("$defs", "definitions") and place != "#":
            raise refused(place, f"'{name}' may stand at the root only")
    if schema.get("additionalProperties") is False:
        for name in schema.get("required", ()):
            if name not in schema.get("properties", {}):
                raise refused(place, f"'{name[:80]}' is required and not among 'properties'")
    for name in ("anyOf", "$ref"):
        beside = schema.keys() - _NOTES - {name, "$defs", "definitions"}
        if name in schema and beside:
            raise refused(place, f"'{min(beside)}' beside '{name}' is not supported by this server",
                          "unsupported_parameter")  # fmt: skip


def _walk(place: str, schema: Any) -> Iterator[tuple[str, Any]]:
    """Every schema with its place; a schema is checked before those inside it are asked for."""
    yield place, schema
    for name in ("properties", "$defs", "definitions"):
        for key, inner in schema.get(name, {}).items():
            yield from _walk(f"{place}/{name}/{_escaped(key)}", inner)
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from _walk(f"{place}/{name}", schema[name])
    for index, inner in enumerate(schema.get("anyOf", ())):
        yield from _walk(f"{place}/anyOf/{index}", inner)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _find(root: Mapping[str, Any], ref: str, place: str) -> Any:
    found: Any = root
    for key in ref.split("/")[1:]:
        if not isinstance(found, dict) or key not in found:
            raise refused(place, f"'$ref' points to '{ref[:80]}', which is not there")
        found = found[key]
    return found


def _check_ends(root: Mapping[str, Any], refs: set[str]) -> None:
    """Refuse a recursion without an end: no finite value would fit it."""
    ending: set[str] = set()
    pending, before = sorted(refs), -1
    while len(ending) > before:
        before = len(ending)
        for ref in pending:
            if _ends(_find(root, ref, "#"), ending):
                ending.add(ref)
        pending = [ref for ref in reversed(pending) if ref not in ending]
    if not _ends(root, ending):
        raise refused("#", "its recursion never ends, so no value fits it")


def _ends(schema: Any, ending: set[str]) -> bool:
    """Whether some finite value fits, given the references that are known to end."""
    if not isinstance(schema, dict):
        return bool(schema)
    if "$ref" in schema:
        return schema["$ref"] in ending
    if "anyOf" in schema:
        return any(_ends(inner, ending) for inner in schema["anyOf"])
    named = schema.get("type", "null")
    types = set(named if isinstance(named, list) else [named])
    if types - {"object", "array"} or "enum" in schema or "const" in schema:
        return True
    if "array" in types and (not schema.get("minItems") or _ends(schema.get("items", {}), ending)):
        return True
    properties, other = schema.get("properties", {}), schema.get("additionalProperties", {})
    return "object" in types and all(
        _ends(properties.get(name, other), ending) for name in schema.get("required", ())
    )
