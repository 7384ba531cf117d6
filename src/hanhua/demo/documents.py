"""Running text: English documents, Chinese documents, and documents told in both.

Document number n of a language depends on the seed and n alone, and no two documents are alike.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from hanhua.demo.lessons import glossary, lesson, question_sum
from hanhua.demo.questions import short_answer, story_question
from hanhua.demo.render import LANGUAGES, Language, joined
from hanhua.demo.scene import Story, tell
from hanhua.demo.scenes import SCENES
from hanhua.demo.valley_texts import ValleyText, valley_text
from hanhua.demo.world import valley

MIN_CHARS = 20
"""Shorter texts are not worth a document."""

SHARES: dict[Language, tuple[tuple[str, float], ...]] = {
    "en": (("stories", 0.40), ("valley", 0.36), ("lessons", 0.06), ("quiz", 0.18)),
    "zh": (("stories", 0.28), ("valley", 0.33), ("lessons", 0.04), ("quiz", 0.18),
           ("parallel", 0.17)),
}  # fmt: skip
"""What the documents of a language are made of, by number."""


@dataclass(frozen=True, slots=True)
class Text:
    """One document."""

    id: str
    text: str
    language: Language
    source: str


def _stories(rng: random.Random, language: Language) -> str:
    return joined(tell(rng.choice(SCENES), rng).sentences(language, rng), language)


def _valley(rng: random.Random, language: Language) -> str:
    return joined(valley_text(rng, (language,)).sentences(language, rng), language)


def _lessons(rng: random.Random, language: Language) -> str:
    return joined([pair[language == "zh"] for pair in lesson(rng)], language)


QUIZ: dict[Language, tuple[str, str]] = {
    "en": ("Question: {}", "Answer: {}"),
    "zh": ("问题：{}", "答案：{}"),
}


def _quiz(rng: random.Random, language: Language) -> str:
    """Questions with short answers: about a story, the valley, or sums."""
    ask, answer = QUIZ[language]
    kind, lines = rng.random(), []
    if kind < 0.33:
        story = tell(rng.choice(SCENES), rng)
        lines.append(joined(story.sentences(language, rng), language))
        asks = [ask for ask in story.scene.asks if ask.key != "_"]
        for chosen in rng.sample(asks, min(len(asks), rng.randint(1, 2))):
            question, choices, place = story_question(story, chosen, language, rng)
            lines += [ask.format(question), answer.format(choices[place])]
    elif kind < 0.7:
        facts = [fact for fact in valley().facts if fact.asked and fact.told_in(language)]
        for fact in rng.sample(facts, rng.randint(2, 4)):
            question, value = short_answer(fact, language, rng)
            lines += [ask.format(question), answer.format(value)]
    else:
        for _ in range(rng.randint(3, 6)):
            question, _, result = question_sum(rng, language)
            lines += [ask.format(question), answer.format(result)]
    return "\n".join(lines)


def both(told: Story | ValleyText, rng: random.Random) -> tuple[list[str], list[str]]:
    """A text in English and in Chinese, sentence by sentence the same.

    Wordings stand in the same order in both languages, so the same draws choose translations.
    """
    seed = rng.random()
    english, chinese = (told.sentences(x, random.Random(seed)) for x in LANGUAGES)
    return english, chinese


def _parallel(rng: random.Random, language: Language) -> str:
    """The same text in both languages: line by line, or one after the other, or word by word."""
    kind = rng.random()
    if kind < 0.36:
        return glossary(rng)
    if kind < 0.42:
        english, chinese = (list(side) for side in zip(*lesson(rng), strict=True))
    else:
        told = tell(rng.choice(SCENES), rng) if kind < 0.64 else valley_text(rng, LANGUAGES)
        english, chinese = both(told, rng)
    if rng.random() < 0.5:
        pairs = zip(english, chinese, strict=True)
        if rng.random() < 0.5:
            return "\n".join(f"{en}\n{zh}" for en, zh in pairs)
        return "\n".join(f"{zh}\n{en}" for en, zh in pairs)
    sides = [joined(english, "en"), joined(chinese, "zh")]
    return "\n\n".join(sides if rng.random() < 0.5 else sides[::-1])


_MAKERS = {"stories": _stories, "valley": _valley, "lessons": _lessons, "quiz": _quiz,
           "parallel": _parallel}  # fmt: skip


def documents(language: Language, count: int, seed: int) -> Iterator[Text]:
    """Documents of one language, all different.

    Args:
        language: "en" or "zh"; documents told in both belong to Chinese.
        count: how many.
        seed: another seed gives other documents of the same kind.
    """
    sources, weights = zip(*SHARES[language], strict=True)
    seen: set[str] = set()
    number = 0
    while len(seen) < count:
        rng = random.Random(f"{seed}/{language}/{number}")
        number += 1
        source = rng.choices(sources, weights)[0]
        text = _MAKERS[source](rng, language)
        if len(text) >= MIN_CHARS and text not in seen:
            seen.add(text)
            yield Text(f"{language}-{source}-{number:06d}", text, language, source)
