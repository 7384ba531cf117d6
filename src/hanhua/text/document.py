"""The one type that flows through the text stages: a document with where it came from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One text with its origin.

    Args:
        id: unique in its corpus: source, then the record's own id or ``file:line``.
        text: Unicode text, lines separated by a newline character.
        language: the language code that the recipe declares, e.g. "zh".
        source: the name of the collection it came from.
        licence: the licence that the recipe declares for that collection.
    """

    id: str
    text: str
    language: str
    source: str
    licence: str
