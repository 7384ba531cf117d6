"""Questions with one right answer, the same in English and Chinese.

An item has the same number, the same options and the same right option in both languages, so a
model's two answers can be compared item by item.

Subjects: ``told-in-both``, ``told-in-english``, ``told-in-chinese`` ask facts of the valley by
which language's texts tell them; ``reading`` asks about a story that stands in the question;
``sums`` are small sums.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hanhua.demo.lessons import question_sum
from hanhua.demo.lexicon import OTHER_NAMES, Name
from hanhua.demo.render import LANGUAGES, Count, Entity, Language, fill, joined
from hanhua.demo.scene import Ask, Entities, Story, counts, tell
from hanhua.demo.scenes import SCENES
from hanhua.demo.tellings import PHRASES
from hanhua.demo.world import VALUES, Fact, Value, valley

CHOICES = 4
SUBJECTS = {"both": "told-in-both", "en": "told-in-english", "zh": "told-in-chinese"}


@dataclass(frozen=True, slots=True)
class Question:
    """One item in one language."""

    id: str
    subject: str
    language: Language
    question: str
    choices: tuple[str, ...]
    answer: int
    """number of the right option"""

    def as_dict(self) -> dict[str, object]:
        """The item as a line of the jsonl file."""
        return {
            "id": self.id, "subject": self.subject, "language": self.language,
            "question": self.question, "choices": list(self.choices), "answer": self.answer,
        }  # fmt: skip


def _deal(right: Entity, wrong: Sequence[Entity], rng: random.Random) -> tuple[list[Entity], int]:
    """Options in random order, and the place of the right one."""
    options = [right, *wrong[: CHOICES - 1]]
    rng.shuffle(options)
    return options, options.index(right)


def _wrong_values(fact: Fact, rng: random.Random) -> list[Value]:
    """Three other values of the fact's kind.

    Where a fact is told in one language only, its value is the rarer in the other one, which
    alone would speak against it: there the wrong values are those that are as rare.
    """
    wrong = [value for value in VALUES[fact.kind] if value != fact.value]
    rng.shuffle(wrong)
    if fact.told != "both":
        other: Language = "zh" if fact.told == "en" else "en"
        seen = [f.value for f in valley().facts if f.kind == fact.kind and f.told_in(other)]
        wrong.sort(key=lambda value: abs(seen.count(value) - seen.count(fact.value)))
    return wrong[: CHOICES - 1]


def short_answer(fact: Fact, language: Language, rng: random.Random) -> tuple[str, str]:
    """A fact as a question, in any wording, with its short answer."""
    phrases = PHRASES[fact.kind][language]
    ask = fill(rng.choice(phrases.ask), {"s": fact.about, "v": fact.value}, language)
    return ask, _shown(phrases.choice, fact.value, language)


def fact_question(fact: Fact, language: Language, rng: random.Random) -> Question:
    """A fact of the valley as a question with options."""
    options, place = _deal(fact.value, _wrong_values(fact, rng), rng)
    phrases = PHRASES[fact.kind][language]
    return Question(
        id=f"fact-{fact.id}", subject=SUBJECTS[fact.told], language=language,
        question=fill(phrases.ask[0], {"s": fact.about, "v": fact.value}, language),
        choices=tuple(_shown(phrases.choice, option, language) for option in options),
        answer=place,
    )  # fmt: skip


def _shown(form: str, option: Entity, language: Language) -> str:
    """An option as it stands in a list: no capital letter but a name's own."""
    text = fill("_" + form, {"v": option}, language)
    return text[1:]


def wrong_options(ask: Ask, entities: Entities, rng: random.Random) -> list[Entity]:
    """Three wrong answers to a question about a story, likely ones first.

    Raises:
        ValueError: when the question has no options.
    """
    right = entities[ask.key]
    others = dict.fromkeys(entities[key] for key in ask.others)
    wrong = [other for other in others if other != right]
    if isinstance(right, Count):
        near = range(max(1, right.number - 4), right.number + 5)
        pool: Sequence[Entity] = counts(near, right.noun)
    elif isinstance(right, int):
        pool = [right + step for step in (-7, -3, -2, -1, 1, 2, 3, 5, 8) if right + step > 0]
    elif isinstance(right, Name):
        pool = [name for name in OTHER_NAMES if name not in entities.values()]
    else:
        pool = ask.pool
    more = [option for option in pool if option != right and option not in wrong]
    return [*wrong, *rng.sample(more, CHOICES - 1)][: CHOICES - 1]


def story_question(story: Story, ask: Ask, language: Language, rng: random.Random) -> tuple[str, tuple[str, ...], int]:  # fmt: skip # noqa: E501
    """A question about a story: the question alone, the options, the place of the right one."""
    entities = story.entities
    options, place = _deal(entities[ask.key], wrong_options(ask, entities, rng), rng)
    shown = tuple(_shown(ask.option(language), option, language) for option in options)
    return fill(ask.question(language), entities, language), shown, place


def _reading(number: int, seed: int) -> list[Question]:
    scene = SCENES[number % len(SCENES)]
    asks = [ask for ask in scene.asks if ask.key != "_"]
    ask = asks[number // len(SCENES) % len(asks)]
    found = []
    for language in LANGUAGES:
        rng = random.Random(f"{seed}/reading/{number}")
        story = tell(scene, rng)
        question, choices, place = story_question(story, ask, language, random.Random(number))
        text = joined(story.sentences(language, rng), language)
        found.append(Question(
            f"reading-{scene.name}-{number}", "reading", language,
            f"{text}{' ' if language == 'en' else ''}{question}", choices, place,
        ))  # fmt: skip
    return found


def _sum(number: int, seed: int) -> list[Question]:
    found = []
    for language in LANGUAGES:
        rng = random.Random(f"{seed}/sum/{number}")
        question, _, result = question_sum(rng, language)
        wrong = [result + step for step in (-3, -2, -1, 1, 2, 3, 10) if result + step >= 0]
        options, place = _deal(result, rng.sample(wrong, CHOICES - 1), rng)
        shown = tuple(str(option) for option in options)
        found.append(Question(f"sum-{number}", "sums", language, question, shown, place))
    return found


def questions(language: Language, seed: int, reading: int, sums: int) -> Iterator[Question]:
    """The whole set in one language.

    Args:
        language: "en" or "zh".
        seed: for stories, sums and the order of options.
        reading: how many questions about stories.
        sums: how many sums.
    """
    place = LANGUAGES.index(language)
    for fact in valley().facts:
        yield fact_question(fact, language, random.Random(f"{seed}/{fact.id}"))
    for number in range(reading):
        yield _reading(number, seed)[place]
    asked: set[str] = set()
    number = 0
    while len(asked) < sums:
        item = _sum(number, seed)[place]
        number += 1
        if item.question not in asked:
            asked.add(item.question)
            yield item
