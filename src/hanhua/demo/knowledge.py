"""Facts for ``hanhua study knowledge`` in the words of the little worlds, which no text tells.

``world_facts`` are about the people who live for one story only, whose names the built-in models
have read in both languages; ``invented_facts`` are about people with invented names, the same
letters in both languages, for any other model.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

from hanhua.demo.lexicon import OTHER_NAMES, Name
from hanhua.demo.render import LANGUAGES, Language, fill
from hanhua.demo.tellings import PHRASES
from hanhua.demo.world import PERSON_KINDS, VALUES, Kind, Value
from hanhua.mix.knowledge import Fact, Said

PEOPLE_WORLD = len(OTHER_NAMES)
STOPS = {"en": ".", "zh": "。"}
_SYLLABLES = ("ba do fi ga ju ka lo mi na po ra sa te vu wi za be dri fla gro kle nor pel quo "
              "tran vel zor mar sten").split()  # fmt: skip


def world_facts(seed: int) -> list[Fact]:
    """Eighty facts of sixteen people.

    Args:
        seed: of which object goes to whom.
    """
    return _facts(OTHER_NAMES, random.Random(f"{seed}/world"))


def invented_facts(people: int, seed: int) -> list[Fact]:
    """Five facts of each of so many people.

    Args:
        people: at most a few thousand.
        seed: of names and objects.
    """
    draw = random.Random(f"{seed}/invented")
    names: dict[str, None] = {}
    while len(names) < people:
        names["".join(draw.choices(_SYLLABLES, k=draw.choice((2, 3)))).capitalize()] = None
    return _facts([Name(name, name, draw.random() < 0.5) for name in names], draw)


def _facts(people: Sequence[Name], draw: random.Random) -> list[Fact]:
    dealt: dict[Kind, list[Value]] = {}
    for kind in PERSON_KINDS:
        values = list(VALUES[kind])
        rounds = -(-len(people) // len(values))
        dealt[kind] = [one for _ in range(rounds) for one in draw.sample(values, len(values))]
    return [
        Fact(f"{who.en.lower()}-{kind}", who.en, kind,
             {language: _said(who, kind, dealt[kind][i], language) for language in LANGUAGES})
        for i, who in enumerate(people) for kind in PERSON_KINDS
    ]  # fmt: skip


def _said(who: Name, kind: Kind, value: Value, language: Language) -> Said:
    phrases, stop = PHRASES[kind][language], STOPS[language]
    text = [f"{_filled(one, who, value, language)}{stop}" for one in usable(kind, language)]
    ask = tuple(_filled(one, who, value, language) for one in phrases.ask)
    return Said(_filled(f"_{phrases.choice}", who, value, language)[1:], tuple(text), ask,
                tuple(text[:-1]))  # fmt: skip


@cache
def usable(kind: Kind, language: Language) -> tuple[str, ...]:
    """Statements in which another object is another word in one place, and nothing else changes."""
    phrases = PHRASES[kind][language]
    who = OTHER_NAMES[0]
    first, *others = VALUES[kind]

    def changes_alone(one: str) -> bool:
        whole, form = _filled(one, who, first, language), f"_{phrases.choice}"
        thing = _filled(form, who, first, language)[1:]
        return whole.count(thing) == 1 and all(
            whole.replace(thing, _filled(form, who, other, language)[1:])
            == _filled(one, who, other, language)
            for other in others
        )

    return tuple(one for one in phrases.tell if changes_alone(one))


def _filled(template: str, who: Name, value: Value, language: Language) -> str:
    return fill(template, {"s": who, "v": value}, language)
