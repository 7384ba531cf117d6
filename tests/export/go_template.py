"""A small evaluator of Go's text/template: what our Ollama templates use of it, and no more.

Text, ``{{ value }}``, ``{{ if }}``/``{{ end }}`` and ``{{ range $i, $m := list }}``; values are
``.A``, ``$.A``, ``$m.A``, ``$i``, numbers, strings and calls of eq, lt, or, len and slice.
https://pkg.go.dev/text/template
"""

from __future__ import annotations

import re
from typing import Any

_WORD = re.compile(r'\(|\)|"[^"]*"|[^\s()]+')
_FUNCTIONS = {
    "eq": lambda a, b: a == b, "lt": lambda a, b: a < b, "len": len,
    "or": lambda *values: next((v for v in values if v), values[-1]),
    "slice": lambda items, start: items[start:],
}  # fmt: skip


def render(template: str, data: dict[str, Any]) -> str:
    """A template with its data, messages as dicts with Role and Content."""
    parts = re.split(r"\{\{ (.*?) \}\}", template, flags=re.DOTALL)
    tokens = [("action" if i % 2 else "text", part) for i, part in enumerate(parts)]
    text, end = _block(tokens, 0, {"$": data, ".": data})
    assert end == len(tokens), "an end without a beginning"
    return text


def _block(tokens: list[tuple[str, str]], at: int, scope: dict[str, Any]) -> tuple[str, int]:
    found = ""
    while at < len(tokens):
        kind, body = tokens[at]
        at += 1
        word = body.split(" ")[0]
        if kind == "text":
            found += body
        elif word == "end":
            return found, at
        elif word == "if":
            inner, at_end = _block(tokens, at, scope) if _value(body[3:], scope) else (
                "", _skip(tokens, at))  # fmt: skip
            found, at = found + inner, at_end
        elif word == "range":
            names, _, items = body[6:].partition(" := ")
            number, item = names.split(", ")
            end = _skip(tokens, at)
            for i, value in enumerate(_value(items, scope)):
                found += _block(tokens, at, {**scope, number: i, item: value, ".": value})[0]
            at = end
        else:
            found += str(_value(body, scope))
    return found, at


def _skip(tokens: list[tuple[str, str]], at: int) -> int:
    depth = 1
    while depth:
        kind, body = tokens[at]
        at += 1
        if kind == "action":
            depth += {"if": 1, "range": 1, "end": -1}.get(body.split(" ")[0], 0)
    return at


def _value(text: str, scope: dict[str, Any]) -> Any:
    words = _WORD.findall(text)
    value, rest = _call(words, scope)
    assert not rest, rest
    return value


def _call(words: list[str], scope: dict[str, Any]) -> tuple[Any, list[str]]:
    """A value, or a function with all that follows up to a closing bracket."""
    if words[0] not in _FUNCTIONS:
        return _one(words, scope)
    name, rest, values = words[0], words[1:], []
    while rest and rest[0] != ")":
        value, rest = _one(rest, scope)
        values.append(value)
    return _FUNCTIONS[name](*values), rest


def _one(words: list[str], scope: dict[str, Any]) -> tuple[Any, list[str]]:
    word, rest = words[0], words[1:]
    if word == "(":
        value, rest = _call(rest, scope)
        assert rest[0] == ")"
        return value, rest[1:]
    if word.startswith('"'):
        return word[1:-1], rest
    if word.isdigit():
        return int(word), rest
    name, _, field = word.partition(".")
    value = scope[name or "."]
    return (value[field] if field else value), rest
