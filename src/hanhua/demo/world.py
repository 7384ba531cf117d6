"""The valley: one fixed little world, its facts, and who is told which of them.

Every fact is told in both languages, in English only or in Chinese only. Asked in Chinese, a fact
told only in English measures what crossed over; a fact told only in Chinese measures what was
learnt; a fact told in both measures what was kept.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from hanhua.demo import lexicon
from hanhua.demo.lexicon import Name, Noun, Trade, Word
from hanhua.demo.render import Language

Told = Literal["both", "en", "zh"]
Kind = Literal["home", "trade", "pet", "fruit", "door", "river", "market", "product", "landmark"]
Value = Word | Noun | Trade
PERSON_KINDS: tuple[Kind, ...] = ("home", "trade", "pet", "fruit", "door")
TOWN_KINDS: tuple[Kind, ...] = ("river", "market", "product", "landmark")
VALUES: dict[Kind, tuple[Value, ...]] = {
    "home": lexicon.TOWNS,
    "trade": lexicon.TRADES,
    "pet": lexicon.PETS,
    "fruit": lexicon.FRUITS,
    "door": lexicon.COLOURS,
    "river": lexicon.RIVERS,
    "market": lexicon.DAYS,
    "product": lexicon.PRODUCTS,
    "landmark": lexicon.LANDMARKS,
}
VALLEY_SEED = 2026


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that holds in the valley.

    Args:
        about: a person or a town.
        kind: what is said of it.
        value: the answer.
        told: the languages in which any text says so.
        asked: whether instruction data may ask it; the others are known from documents alone.
    """

    about: Name | Word
    kind: Kind
    value: Value
    told: Told
    asked: bool

    @property
    def id(self) -> str:
        """A name for it, e.g. "anna-home"."""
        return f"{self.about.en.lower()}-{self.kind}"

    def told_in(self, language: Language) -> bool:
        """Whether text in this language may say it."""
        return self.told in ("both", language)


@dataclass(frozen=True, slots=True)
class Valley:
    """All facts, in a fixed order."""

    facts: tuple[Fact, ...]

    def of(self, about: Name | Word, language: Language | None = None) -> list[Fact]:
        """The facts about a person or town; with a language, those told in it."""
        return [
            fact for fact in self.facts
            if fact.about == about and (language is None or fact.told_in(language))
        ]  # fmt: skip

    def people_of(self, town: Word, language: Language) -> list[Name]:
        """Who lives in a town, as far as it is told in this language."""
        return [
            fact.about for fact in self.facts
            if fact.kind == "home" and fact.value == town and fact.told_in(language)
            and isinstance(fact.about, Name)
        ]  # fmt: skip


def _spread(rng: random.Random, values: Sequence[Value], count: int) -> list[Value]:
    """Values dealt out as evenly as they go, in random order."""
    dealt: list[Value] = []
    while len(dealt) < count:
        dealt += rng.sample(list(values), len(values))
    dealt = dealt[:count]
    rng.shuffle(dealt)
    return dealt


@cache
def valley() -> Valley:
    """The one world that all shipped text is about."""
    rng = random.Random(VALLEY_SEED)
    facts = []
    groups: tuple[tuple[Sequence[Name | Word], tuple[Kind, ...]], ...] = (
        (lexicon.VALLEY_NAMES, PERSON_KINDS),
        (lexicon.TOWNS, TOWN_KINDS),
    )
    for abouts, kinds in groups:
        for kind in kinds:
            values = _spread(rng, VALUES[kind], len(abouts))
            told = _told(rng, len(abouts))
            for number, (about, value) in enumerate(zip(abouts, values, strict=True)):
                facts.append(Fact(about, kind, value, told[number], rng.random() < 0.5))
    return Valley(tuple(facts))


def _told(rng: random.Random, count: int) -> list[Told]:
    """Half told in both languages, a quarter in each one alone, in random order."""
    pattern: tuple[Told, ...] = ("both", "en", "both", "zh")
    told = [pattern[i % 4] for i in range(count)]
    rng.shuffle(told)
    return told
