"""The facts of ``hanhua study knowledge``: what one is, and how they are dealt out to languages.

A fact is said in both languages, as plain text and as question and answer. Its object is what a
model is asked for, among the objects of the same kind. A part of the facts, the lessons, is told
in every form and language in every arm: from them a model can learn what a question looks like and
which words of the two languages belong together. The others are injected in one language each and
asked in both.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hanhua.tokens.permutation import rng

TEXT, INSTRUCTIONS, MIXED, CONTROL, BASE = "text", "instructions", "mixed", "control", "base"
ARMS = (TEXT, INSTRUCTIONS, MIXED, CONTROL)
MOST_OPTIONS = 16
"""Objects that a fact's own is held against, itself counted; of more, as many are drawn."""


@dataclass(frozen=True, slots=True)
class Said:
    """A fact in one language.

    Args:
        object: what is asked for; it stands in every text and answer.
        text: statements; the last of many is never trained on.
        question: likewise.
        answer: full answers to any of the questions.
    """

    object: str
    text: tuple[str, ...]
    question: tuple[str, ...]
    answer: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that a model cannot know.

    Args:
        id: its name.
        subject: what it is about; facts of one subject are dealt out together.
        kind: what is said; objects of one kind are each other's wrong answers.
        said: by language.
    """

    id: str
    subject: str
    kind: str
    said: Mapping[str, Said]


def trained(wordings: Sequence[str]) -> Sequence[str]:
    """Those that training may use: all but the last, where there are two or more."""
    return wordings[:-1] if len(wordings) > 1 else wordings


def objects_by_kind(facts: Iterable[Fact], language: str) -> dict[str, list[str]]:
    """The different objects of each kind in a language, in the order in which they come."""
    found: dict[str, dict[str, None]] = {}
    for fact in facts:
        found.setdefault(fact.kind, {})[fact.said[language].object] = None
    return {kind: list(objects) for kind, objects in found.items()}


def options(fact: Fact, objects: Sequence[str], language: str) -> list[str]:
    """What a fact's object is held against: the object first, then the wrong ones.

    Args:
        fact: which.
        objects: all of its kind.
        language: which.
    """
    right = fact.said[language].object
    wrong = sorted((one for one in objects if one != right),
                   key=lambda one: zlib.crc32(f"{fact.id}/{one}".encode()))  # fmt: skip
    return [right, *wrong[: MOST_OPTIONS - 1]]


def lessons_and_asked(
    facts: Sequence[Fact], share: float, seed: int
) -> tuple[list[Fact], list[Fact]]:
    """Split the facts; of a subject with many, about the share becomes lessons.

    Args:
        facts: all.
        share: of the lessons, above 0 and below 1.
        seed: the recipe's.
    """
    draw = rng(seed, "lessons")
    by_subject: dict[str, list[Fact]] = {}
    for fact in facts:
        by_subject.setdefault(fact.subject, []).append(fact)
    lessons: list[Fact] = []
    asked: list[Fact] = []
    for number, fact in enumerate(_shuffled(by_subject.values(), draw)):
        lesson = int((number + 1) * share) > int(number * share)
        (lessons if lesson else asked).append(fact)
    return lessons, asked


def _shuffled(groups: Iterable[list[Fact]], draw: Any) -> Iterator[Fact]:
    for group in groups:
        yield from (group[i] for i in draw.permutation(len(group)))


def told_in(
    asked: Sequence[Fact], languages: Sequence[str], seed: int, draw: int
) -> dict[str, str]:
    """The one language in which each fact is injected: by turns among those of one object.

    So no object is named in one language alone where several have it: a model that has only learnt
    which objects are named often would else be misled in the other language.

    Args:
        asked: the facts.
        languages: to deal them out to.
        seed: the recipe's.
        draw: another dealing for each.

    Returns:
        id -> language.
    """
    order = [asked[i] for i in rng(seed, "told", draw).permutation(len(asked))]
    order.sort(key=lambda fact: (fact.kind, fact.said[languages[0]].object))
    return {fact.id: languages[(i + draw) % len(languages)] for i, fact in enumerate(order)}
