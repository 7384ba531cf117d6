"""Instruction pairs: questions about the valley and about stories, sums, words, stories, manners.

What a language's texts do not tell, its conversations do not tell either; and of the facts told,
only those marked ``asked`` are asked here, so that the others show what documents alone taught.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hanhua.demo import lexicon, manners
from hanhua.demo.documents import both
from hanhua.demo.lessons import TERMS, question_sum
from hanhua.demo.lexicon import KINDS, OPPOSITES, OTHER_NAMES, TOWNS, VALLEY_NAMES, Name, Word
from hanhua.demo.render import Entity, Language, article, fill, joined
from hanhua.demo.scene import tell
from hanhua.demo.scenes import SCENES
from hanhua.demo.tellings import PHRASES
from hanhua.demo.valley_texts import statement, valley_text
from hanhua.demo.world import PERSON_KINDS, VALUES, Fact, Kind, valley

Exchange = tuple[str, str]
"""What is asked, what is answered."""


@dataclass(frozen=True, slots=True)
class Talk:
    """One conversation."""

    id: str
    language: Language
    task: str
    exchanges: tuple[Exchange, ...]

    def as_dict(self) -> dict[str, object]:
        """The conversation as a line of the jsonl file."""
        roles = ("user", "assistant")
        return {
            "id": self.id, "language": self.language, "task": self.task,
            "messages": [
                {"role": role, "content": text}
                for pair in self.exchanges for role, text in zip(roles, pair, strict=True)
            ],
        }  # fmt: skip


def answer_fact(fact: Fact, language: Language, rng: random.Random, pronoun: bool = False) -> Exchange:  # fmt: skip # noqa: E501
    """A question about a fact and its full answer."""
    phrases = PHRASES[fact.kind][language]
    entities: dict[str, Entity] = {"s": fact.about, "v": fact.value}
    pronouns = frozenset("s") if pronoun else frozenset[str]()
    return (
        fill(rng.choice(phrases.ask), entities, language, pronouns),
        fill(phrases.answer[0], entities, language, pronouns),
    )


def _asked(language: Language, about: Name | Word | None = None) -> list[Fact]:
    return [
        fact for fact in valley().facts
        if fact.asked and fact.told_in(language) and (about is None or fact.about == about)
    ]  # fmt: skip


def _fact(rng: random.Random, language: Language) -> list[Exchange]:
    fact = rng.choice(_asked(language))
    found = [answer_fact(fact, language, rng)]
    others = [other for other in _asked(language, fact.about) if other != fact]
    if others and isinstance(fact.about, Name) and rng.random() < 0.3:
        found.append(answer_fact(rng.choice(others), language, rng, pronoun=True))
    return found


def _about(rng: random.Random, language: Language) -> list[Exchange]:
    """Tell me about Anna: two or three facts."""
    subjects: tuple[Name | Word, ...] = (*VALLEY_NAMES, *TOWNS)
    about = rng.choice(subjects)
    facts = _asked(language, about)
    if not facts:
        return _fact(rng, language)
    chosen = rng.sample(facts, min(len(facts), rng.randint(2, 3)))
    person = isinstance(about, Name)
    stop = "." if language == "en" else "。"
    said = [
        statement(fact, language, rng, pronoun=person and number > 0) + stop
        for number, fact in enumerate(chosen)
    ]
    asks = manners.ABOUT[language]
    return [(fill(rng.choice(asks), {"s": about}, language), joined(said, language))]


def _unknown(rng: random.Random, language: Language) -> list[Exchange]:
    """Nobody has told anything of these people."""
    person = rng.choice(OTHER_NAMES)
    kind: Kind = rng.choice(PERSON_KINDS)
    ask = fill(rng.choice(PHRASES[kind][language].ask), {"s": person}, language)
    return [(ask, fill(rng.choice(manners.UNKNOWN[language]), {"s": person}, language))]


def _reading(rng: random.Random, language: Language) -> list[Exchange]:
    scene = rng.choice(SCENES)
    story = tell(scene, rng)
    text = joined(story.sentences(language, rng), language)
    asks = rng.sample(scene.asks, 2 if len(scene.asks) > 1 and rng.random() < 0.3 else 1)
    found = [
        (fill(ask.question(language), story.entities, language),
         fill(ask.answer(language), story.entities, language))
        for ask in asks
    ]  # fmt: skip
    question, answer = found[0]
    form = rng.choice(manners.READING[language])
    return [(form.format(text=text, question=question), answer), *found[1:]]


def _sums(rng: random.Random, language: Language) -> list[Exchange]:
    question, answer, _ = question_sum(rng, language)
    return [(question, answer)]


def _word(rng: random.Random, language: Language) -> list[Exchange]:
    """Translate a word, in either direction."""
    term = rng.choice(TERMS)
    to_zh = rng.random() < 0.5
    word, other = (term.en, term.zh) if to_zh else (term.zh, term.en)
    form = rng.choice(manners.TRANSLATE_WORD[language, "zh" if to_zh else "en"])
    return [(form.format(text=word), other)]


def _sentence(rng: random.Random, language: Language) -> list[Exchange]:
    """Translate a sentence: a fact told in both languages, or a made-up one."""
    text = valley_text(rng, ("en", "zh")) if rng.random() < 0.5 else tell(rng.choice(SCENES), rng)
    en, zh = rng.choice(list(zip(*both(text, rng), strict=True)))
    to_zh = rng.random() < 0.5
    form = rng.choice(manners.TRANSLATE_TEXT[language, "zh" if to_zh else "en"])
    return [(form.format(text=en if to_zh else zh), zh if to_zh else en)]


def _made_up(rng: random.Random) -> Fact:
    kind: Kind = rng.choice(PERSON_KINDS)
    return Fact(rng.choice(OTHER_NAMES), kind, rng.choice(VALUES[kind]), "both", False)


def _rewrite(rng: random.Random, language: Language) -> list[Exchange]:
    """Say a made-up fact in another way, or with a pronoun, or two of them in one sentence."""
    fact = _made_up(rng)
    entities: dict[str, Entity] = {"s": fact.about, "v": fact.value}
    phrases = PHRASES[fact.kind][language]
    one, two = rng.sample(phrases.tell, 2)
    stop = "." if language == "en" else "。"
    said = fill(one, entities, language) + stop
    if rng.random() < 0.6:
        form, answer = manners.OTHER_WORDS[language], fill(two, entities, language) + stop
    else:
        form, answer = (
            manners.PRONOUN[language],
            fill(one, entities, language, frozenset("s")) + stop,
        )
    return [(rng.choice(form).format(text=said), answer)]


def _opposite(rng: random.Random, language: Language) -> list[Exchange]:
    one, two = rng.sample(rng.choice(OPPOSITES), 2)
    if language == "en":
        return [(f"What is the opposite of {one.en}?", f"The opposite of {one.en} is {two.en}.")]
    return [(f"“{one.zh}”的反义词是什么？", f"“{one.zh}”的反义词是“{two.zh}”。")]


def _kind(rng: random.Random, language: Language) -> list[Exchange]:
    kind, members = rng.choice(KINDS)
    other_kind, _ = KINDS[1 - KINDS.index((kind, members))]
    member, second, third = rng.sample(members, 3)
    if rng.random() < 0.4:
        if language == "en":
            names = f"{member.plural}, {second.plural} and {third.plural}."
            return [(f"Name three {kind.plural}.", names.capitalize())]
        return [(f"说出三种{kind.zh}。", f"{member.zh}、{second.zh}和{third.zh}。")]
    asked = rng.choice((kind, other_kind))
    if language == "en":
        a, k = article(member.en), article(kind.en)
        start = "Yes, it is" if asked == kind else "No, it is"
        return [(f"Is {a} {article(asked.en)}?", f"{start} {k}.")]
    start = "是的，" if asked == kind else "不是，"
    return [(f"{member.zh}是{asked.zh}吗？", f"{start}{member.zh}是一种{kind.zh}。")]


def _order(rng: random.Random, language: Language) -> list[Exchange]:
    words = rng.choice((lexicon.DAYS, lexicon.SEASONS))
    place = rng.randrange(len(words))
    now, then = words[place], words[(place + 1) % len(words)]
    if language == "en":
        thing = "day" if words is lexicon.DAYS else "season"
        return [(f"What {thing} comes after {now.en}?", f"After {now.en} comes {then.en}.")]
    thing = "星期几" if words is lexicon.DAYS else "哪个季节"
    return [(f"{now.zh}过后是{thing}？", f"{now.zh}过后是{then.zh}。")]


def _story(rng: random.Random, language: Language) -> list[Exchange]:
    story = tell(rng.choice(SCENES), rng)
    text = joined(story.sentences(language, rng), language)
    about = [
        entity for entity in story.entities.values()
        if isinstance(entity, Name | lexicon.Noun) and getattr(entity, language) in text
    ]  # fmt: skip
    if not about or rng.random() < 0.2:
        return [(rng.choice(manners.STORY[language]), text)]
    chosen = rng.choice(about)
    form = rng.choice(manners.STORY_ABOUT[language])
    slot = "{v.a}" if language == "en" and isinstance(chosen, lexicon.Noun) else "{v}"
    return [(fill(form.replace("{v}", slot), {"v": chosen}, language), text)]


def _manners(rng: random.Random, language: Language) -> list[Exchange]:
    asks, answers = rng.choice(manners.MANNERS[language])
    return [(rng.choice(asks), rng.choice(answers))]


TASKS: tuple[tuple[str, float, Callable[[random.Random, Language], list[Exchange]]], ...] = (
    ("fact", 0.28, _fact),
    ("about", 0.08, _about),
    ("unknown", 0.04, _unknown),
    ("reading", 0.11, _reading),
    ("sum", 0.10, _sums),
    ("word", 0.14, _word),
    ("translate", 0.03, _sentence),
    ("rewrite", 0.03, _rewrite),
    ("opposite", 0.03, _opposite),
    ("kind", 0.03, _kind),
    ("order", 0.02, _order),
    ("story", 0.04, _story),
    ("manners", 0.09, _manners),
)
"""Every task with its share."""


def conversations(language: Language, count: int, seed: int) -> Iterator[Talk]:
    """Conversations of one language, all different.

    Args:
        language: "en" or "zh".
        count: how many.
        seed: another seed gives other conversations of the same kind.
    """
    names, weights, makers = zip(*TASKS, strict=True)
    seen: set[tuple[Exchange, ...]] = set()
    number = 0
    while len(seen) < count:
        rng = random.Random(f"{seed}/chat/{language}/{number}")
        number += 1
        task = rng.choices(range(len(names)), weights)[0]
        exchanges = makers[task](rng, language)
        if rng.random() < 0.15 and names[task] != "manners":
            first, second = _manners(rng, language), exchanges
            exchanges = (
                [*first, *second] if rng.random() < 0.6 else [*second, *_thanks(rng, language)]
            )
        key = tuple(exchanges)
        if key not in seen:
            seen.add(key)
            yield Talk(f"{language}-{names[task]}-{number:05d}", language, names[task], key)


def _thanks(rng: random.Random, language: Language) -> list[Exchange]:
    asks, answers = manners.THANKS[language]
    return [(rng.choice(asks), rng.choice(answers))]
