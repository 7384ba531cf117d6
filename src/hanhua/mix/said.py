"""A sentence in both languages of the page, English first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Said(NamedTuple):
    """The same sentence twice; languages go by their codes in both."""

    en: str
    zh: str


def together(sentences: Iterable[Said]) -> Said:
    """Several sentences as one text."""
    found = list(sentences)
    return Said(" ".join(one.en for one in found), "".join(one.zh for one in found))
