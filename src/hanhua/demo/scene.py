"""What a little story is: beats that every language can tell, and questions about it.

A scene draws its entities once; each beat then has several English and several Chinese wordings
over the same entities. So one draw gives an English text, a Chinese text, or both side by side.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from hanhua.demo import lexicon
from hanhua.demo.lexicon import Name, Noun, Trade, Word
from hanhua.demo.render import Count, Entity, Language, fill

Entities = Mapping[str, Entity]
T = TypeVar("T")


class Deck:
    """Draws words for one story without drawing any twice."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.used: set[object] = set()

    def one(self, words: Sequence[T]) -> T:
        """A word that this story does not have yet."""
        word = self.rng.choice([word for word in words if word not in self.used])
        self.used.add(word)
        return word

    def person(self) -> Name:
        """Somebody who lives for this story only."""
        return self.one(lexicon.OTHER_NAMES)

    def number(self, low: int, high: int) -> int:
        """A number from low to high."""
        return self.rng.randint(low, high)

    def item(self) -> Noun:
        """A thing that is kept in a house."""
        return self.one(lexicon.ITEMS)

    def food(self) -> Noun:
        """A thing to eat that can be counted."""
        return self.one(lexicon.FOODS)

    def animal(self) -> Noun:
        """An animal."""
        return self.one(lexicon.ANIMALS)

    def trade(self) -> Trade:
        """A trade."""
        return self.one(lexicon.TRADES)

    def word(self, words: Sequence[Word]) -> Word:
        """A word of one of the word lists."""
        return self.one(words)


@dataclass(frozen=True, slots=True)
class Beat:
    """One step of a story."""

    en: tuple[str, ...]
    zh: tuple[str, ...]
    chance: float = 1.0
    """How often it is told."""

    def told(self, language: Language) -> tuple[str, ...]:
        """The wordings in a language."""
        return self.en if language == "en" else self.zh


@dataclass(frozen=True, slots=True)
class Ask:
    """A question about the story, its full answer, and what else could be thought."""

    en: str
    zh: str
    answer_en: str
    answer_zh: str
    key: str
    """The entity that is the answer."""
    others: tuple[str, ...] = ()
    """Entities of the story that are wrong answers."""
    pool: tuple[Entity, ...] = ()
    """Where more wrong answers come from."""
    form: str = "{v}"
    """How an answer shows as an option."""
    form_zh: str = ""
    """The same in Chinese where it differs."""

    def question(self, language: Language) -> str:
        """The question's template."""
        return self.en if language == "en" else self.zh

    def answer(self, language: Language) -> str:
        """The full answer's template."""
        return self.answer_en if language == "en" else self.answer_zh

    def option(self, language: Language) -> str:
        """The template of an option over {v}."""
        return self.form if language == "en" or not self.form_zh else self.form_zh


@dataclass(frozen=True, slots=True)
class Scene:
    """A kind of story."""

    name: str
    draw: Callable[[Deck], Entities]
    beats: tuple[Beat, ...]
    asks: tuple[Ask, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """One story: its entities, the beats that are told, and its seeded wording."""

    scene: Scene
    entities: Entities
    told: tuple[Beat, ...] = field(default=())

    def sentences(self, language: Language, rng: random.Random) -> list[str]:
        """The story beat by beat."""
        return [
            fill(rng.choice(beat.told(language)), self.entities, language) for beat in self.told
        ]


def tell(scene: Scene, rng: random.Random) -> Story:
    """Draw one story of a kind."""
    entities = scene.draw(Deck(rng))
    told = tuple(beat for beat in scene.beats if rng.random() < beat.chance)
    return Story(scene, entities, told)


def counts(numbers: Sequence[int], noun: Noun) -> tuple[Count, ...]:
    """Numbers of one noun, as wrong answers or as right ones."""
    return tuple(Count(number, noun) for number in numbers)
