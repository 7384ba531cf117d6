"""An automaton that reads JSON byte by byte and knows which byte may come next.

It accepts exactly one object (what ``response_format: json_object`` promises) of RFC 8259, with
three limits that no honest answer reaches, so that a model that loops still ends within the
grammar: nesting, digits of a number, white space in a row.

A state is a value: ``advance(state, byte)`` gives the next one, or None where the byte may not
stand. Source: https://www.rfc-editor.org/rfc/rfc8259
"""

from __future__ import annotations

from typing import NamedTuple

MAX_DEPTH = 32
MAX_DIGITS = 64
MAX_SPACES = 64

_SPACE = frozenset(b" \t\n\r")
_DIGITS = frozenset(b"0123456789")
_HEX = frozenset(b"0123456789abcdefABCDEF")
_ESCAPED = frozenset(b'"\\/bfnrt')
_WORDS = {ord("t"): b"rue", ord("f"): b"alse", ord("n"): b"ull"}

# Where a number stands, by the byte that may follow.
_NUMBER: dict[str, dict[str, str]] = {
    "minus": {"0": "zero", "digit": "int"},
    "zero": {".": "point", "e": "exp", "E": "exp"},
    "int": {"digit": "int", ".": "point", "e": "exp", "E": "exp"},
    "point": {"digit": "fraction"},
    "fraction": {"digit": "fraction", "e": "exp", "E": "exp"},
    "exp": {"digit": "power", "+": "sign", "-": "sign"},
    "sign": {"digit": "power"},
    "power": {"digit": "power"},
}
_COMPLETE = frozenset({"zero", "int", "fraction", "power"})


class State(NamedTuple):
    """Where in a JSON text we stand.

    Args:
        mode: what is being read.
        stack: what is open, the innermost last: ``{``, ``[``, and ``:`` for a key being read.
        tally: in a string, bytes that its character still needs; in a ``u`` escape, digits left;
            in a number, bytes so far; between tokens, spaces in a row.
        rest: what is left of ``true``, ``false`` or ``null``.
    """

    mode: str = "start"
    stack: str = ""
    tally: int = 0
    rest: bytes = b""

    @property
    def done(self) -> bool:
        """Whether the object is closed."""
        return self.mode == "done"


def advance(state: State, byte: int) -> State | None:
    """The state after one more byte; None where it may not stand."""
    mode = state.mode
    if mode == "string":
        return _in_string(state, byte)
    if mode == "escape":
        if byte == ord("u"):
            return state._replace(mode="hex", tally=4)
        return state._replace(mode="string") if byte in _ESCAPED else None
    if mode == "hex":
        if byte not in _HEX:
            return None
        left = state.tally - 1
        return state._replace(mode="hex" if left else "string", tally=left)
    if mode == "word":
        if byte != state.rest[0]:
            return None
        rest = state.rest[1:]
        return State("word" if rest else "after", state.stack, 0, rest)
    if mode in _NUMBER:
        return _in_number(state, byte)
    if byte in _SPACE:
        return state._replace(tally=state.tally + 1) if state.tally < MAX_SPACES else None
    return _between(state, byte)


def feed(state: State, data: bytes) -> State | None:
    """The state after many bytes."""
    found: State | None = state
    for byte in data:
        if found is None:
            return None
        found = advance(found, byte)
    return found


def _in_string(state: State, byte: int) -> State | None:
    if state.tally:
        return state._replace(tally=state.tally - 1) if 0x80 <= byte < 0xC0 else None
    if byte == ord('"'):
        if state.stack[-1] == ":":
            return State("colon", state.stack[:-1])
        return State("after", state.stack)
    if byte == ord("\\"):
        return state._replace(mode="escape")
    if byte < 0x20:
        return None
    if byte < 0x80:
        return state
    # the first byte of a character says how many follow: RFC 3629
    more = 1 if 0xC2 <= byte < 0xE0 else 2 if byte < 0xF0 else 3 if byte < 0xF5 else 0
    return state._replace(tally=more) if more and byte >= 0xC2 else None


def _in_number(state: State, byte: int) -> State | None:
    table = _NUMBER[state.mode]
    mode = table.get(chr(byte)) or (table.get("digit") if byte in _DIGITS else None)
    if mode:
        longer = state.tally + 1
        return State(mode, state.stack, longer) if longer <= MAX_DIGITS else None
    return advance(State("after", state.stack), byte) if state.mode in _COMPLETE else None


def _between(state: State, byte: int) -> State | None:
    mode, stack, char = state.mode, state.stack, chr(byte)
    if mode == "start":
        return State("first key", "{") if char == "{" else None
    if mode in ("first key", "key") and char == '"':
        return State("string", stack + ":")
    if mode == "colon":
        return State("value", stack) if char == ":" else None
    if mode == "after" and char == ",":
        return State("key" if stack[-1] == "{" else "value", stack)
    if char == "}" and stack[-1:] == "{" and mode in ("after", "first key"):
        return _closed(stack)
    if char == "]" and stack[-1:] == "[" and mode in ("after", "first value"):
        return _closed(stack)
    return _value(stack, byte) if mode in ("value", "first value") else None


def _closed(stack: str) -> State:
    return State("after" if len(stack) > 1 else "done", stack[:-1])


def _value(stack: str, byte: int) -> State | None:
    char = chr(byte)
    if char in "{[":
        mode = "first key" if char == "{" else "first value"
        return State(mode, stack + char) if len(stack) < MAX_DEPTH else None
    if char == '"':
        return State("string", stack)
    if byte in _WORDS:
        return State("word", stack, 0, _WORDS[byte])
    if char == "-":
        return State("minus", stack, 1)
    if byte in _DIGITS:
        return State("zero" if char == "0" else "int", stack, 1)
    return None
