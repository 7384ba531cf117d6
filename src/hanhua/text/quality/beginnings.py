"""Which lines begin as boilerplate does: the few of a text that are worth a pattern.

A table tells by a line's first eight characters, behind the marks around it, and the compiled part
asks it for all lines at once. A line that it does not name is no boilerplate; one that it names may
be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from hanhua.text.native import NATIVE

_EDGE, _STARTS = 1, 2  # the same as in native/begins.c
_HASH_BITS = 17
LOOKED_AT_CHARS = 8
"""Characters of a beginning that are looked at."""
_SMALL = {"İ": "i", "\u212a": "k"}
"""Capital letters beyond ASCII whose small letter is in it."""


@dataclass(frozen=True, slots=True)
class Likely:
    """Where boilerplate may stand in a text.

    Args:
        lines: numbers of lines, ascending.
        reserved: whether the text may hold the word "reserved".
    """

    lines: Sequence[int]
    reserved: bool


def likely_lines(text: str, beginnings: frozenset[str], edges: str) -> Likely:
    """The lines of a text that begin as one of the beginnings, and perhaps some others.

    Args:
        text: a document.
        beginnings: of one character or more, in lower case; letters are ASCII or without case.
        edges: characters that a line may have before its beginning.
    """
    if NATIVE is None:
        return Likely(range(text.count("\n") + 1), True)
    lines, reserved = NATIVE.begins(text, *_tables(beginnings, edges))
    return Likely(lines, reserved)


@lru_cache(maxsize=64)
def _tables(beginnings: frozenset[str], edges: str) -> tuple[bytes, bytes]:
    """What each character may be, [0x110000], and a bit for each hash of a beginning."""
    kinds, slots = bytearray(0x110000), bytearray(1 << (_HASH_BITS - 3))
    for character in edges:
        kinds[ord(character)] |= _EDGE
    for beginning in beginnings:
        first = beginning[0]
        capitals = [large for large, small in _SMALL.items() if small == first]
        for character in (first, first.upper(), *capitals):
            kinds[ord(character)] |= _STARTS
        slot = _slot(beginning[:LOOKED_AT_CHARS])
        slots[slot >> 3] |= 1 << (slot & 7)
    return bytes(kinds), bytes(slots)


def _slot(beginning: str) -> int:
    value = 0
    for character in beginning:
        value = (value + ord(character) + 1) * 0x9E3779B1 & 0xFFFFFFFF
    return ((value ^ value >> 15) * 0x85EBCA77 & 0xFFFFFFFF) >> (32 - _HASH_BITS)
