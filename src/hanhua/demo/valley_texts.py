"""Texts about the valley: portraits, towns, talks, lists, days and errands.

Every text is given the facts that its language (or both, for a text told in both) may say, and
says nothing else about the people and towns of the valley.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hanhua.demo.lexicon import OTHER_NAMES, TOWNS, VALLEY_NAMES, Name, Word
from hanhua.demo.render import Entity, Language, fill
from hanhua.demo.scene import Beat
from hanhua.demo.tellings import PHRASES
from hanhua.demo.world import PERSON_KINDS, TOWN_KINDS, Fact, Kind, valley


@dataclass(frozen=True, slots=True)
class ValleyText:
    """A text that can be put into each language it has facts for."""

    name: str
    steps: tuple[Callable[[Language, random.Random], str], ...]

    def sentences(self, language: Language, rng: random.Random) -> list[str]:
        """The text sentence by sentence."""
        return [step(language, rng) for step in self.steps]


def facts_for(about: Name | Word, languages: Sequence[Language]) -> list[Fact]:
    """The facts about a person or town that all these languages may say."""
    return [fact for fact in valley().of(about) if all(map(fact.told_in, languages))]


def statement(fact: Fact, language: Language, rng: random.Random, pronoun: bool = False) -> str:
    """A fact as a clause, without a full stop."""
    template = rng.choice(PHRASES[fact.kind][language].tell)
    entities: dict[str, Entity] = {"s": fact.about, "v": fact.value}
    return fill(template, entities, language, frozenset("s") if pronoun else frozenset())


def _lowered(clause: str, fact: Fact, pronoun: bool) -> str:
    """A clause as it stands after "and": lower case unless it starts with a name."""
    if not pronoun and clause.startswith(fact.about.en):
        return clause
    first = clause.split()[0].rstrip(",.'s")
    proper = first in {town.en for town in TOWNS} or first.endswith("day")
    return clause if proper else clause[0].lower() + clause[1:]


def _say(fact: Fact, pronoun: bool) -> Callable[[Language, random.Random], str]:
    def step(language: Language, rng: random.Random) -> str:
        return statement(fact, language, rng, pronoun) + ("." if language == "en" else "。")

    return step


def _say_two(first: Fact, second: Fact, pronoun: bool) -> Callable[[Language, random.Random], str]:
    same_person = isinstance(first.about, Name) and first.about == second.about

    def step(language: Language, rng: random.Random) -> str:
        one = statement(first, language, rng, pronoun)
        two = statement(second, language, rng, same_person)
        if language == "zh":
            return f"{one}，{two}。"
        return f"{one}, and {_lowered(two, second, same_person)}."

    return step


def _beat(beat: Beat, entities: dict[str, Entity]) -> Callable[[Language, random.Random], str]:
    def step(language: Language, rng: random.Random) -> str:
        return fill(rng.choice(beat.told(language)), entities, language)

    return step


_MEET = Beat(
    ("This is {p}.", "Let me tell you about {p}.", "Do you know {p}?", "Who is {p}?"),
    ("这是{p}。", "我来说说{p}。", "你认识{p}吗？", "{p}是谁呢？"),
)
_PART = Beat(
    ("That is all about {p}.", "Everybody in the valley knows {p}.", "Now you know {p}.",
     "{p} is a good neighbour."),
    ("{p}的事就说到这里。", "河谷里的人都认识{p}。", "现在你认识{p}了。", "{p}是个好邻居。"),
)  # fmt: skip


def portrait(rng: random.Random, languages: Sequence[Language]) -> ValleyText | None:
    """One person in two to five facts."""
    person = rng.choice(VALLEY_NAMES)
    facts = facts_for(person, languages)
    if len(facts) < 2:
        return None
    facts = rng.sample(facts, rng.randint(2, len(facts)))
    entities: dict[str, Entity] = {"p": person}
    steps = [_beat(_MEET, entities)] if rng.random() < 0.4 else []
    while facts:
        named = bool(steps) and rng.random() < 0.7
        if len(facts) > 1 and rng.random() < 0.35:
            steps.append(_say_two(facts.pop(), facts.pop(), named))
        else:
            steps.append(_say(facts.pop(), named))
    if rng.random() < 0.3:
        steps.append(_beat(_PART, entities))
    return ValleyText("portrait", tuple(steps))


_TOWN_OPEN = Beat(
    ("{t} is a small town in the valley.", "{t} is one of the eight towns in the valley.",
     "Many people like {t}."),
    ("{t}是河谷里的一个小镇。", "{t}是河谷里八个镇当中的一个。", "很多人喜欢{t}。"),
)  # fmt: skip
_TOWN_PEOPLE = Beat(
    ("{p} lives there.", "If you go to {t}, you can meet {p}, who lives there.",
     "One of the people of {t} is {p}."),
    ("{p}就住在那里。", "要是你去{t}，会遇见住在那里的{p}。", "{p}是{t}人。"),
)  # fmt: skip


def town(rng: random.Random, languages: Sequence[Language]) -> ValleyText | None:
    """One town: what it has, and who lives there."""
    place = rng.choice(TOWNS)
    facts = facts_for(place, languages)
    people = [
        fact.about for fact in valley().facts
        if fact.kind == "home" and fact.value == place and all(map(fact.told_in, languages))
    ]  # fmt: skip
    if len(facts) + len(people) < 2:
        return None
    steps = [_beat(_TOWN_OPEN, {"t": place})] if rng.random() < 0.7 else []
    rng.shuffle(facts)
    steps += [_say(fact, False) for fact in facts[: rng.randint(1, 4)]]
    if people and steps:
        steps.append(_beat(_TOWN_PEOPLE, {"t": place, "p": rng.choice(people)}))
    return ValleyText("town", tuple(steps))


_TALK_OPEN = Beat(
    ("{b} meets {a} on the road.", "{b} wants to know more about {a}.",
     "{a} and {b} sit on a bench and talk."),
    ("{b}在路上遇见了{a}。", "{b}想多了解{a}。", "{a}和{b}坐在长椅上说话。"),
)  # fmt: skip
_TALK_END = Beat(
    ('"Thank you, {a}," says {b}.', "Then {b} says goodbye.", '"How interesting!" says {b}.'),
    ("“谢谢你，{a}。”{b}说。", "然后{b}说了再见。", "“真有意思！”{b}说。"),
)


def talk(rng: random.Random, languages: Sequence[Language]) -> ValleyText | None:
    """A stranger asks somebody of the valley, who answers for himself or herself."""
    person, other = rng.choice(VALLEY_NAMES), rng.choice(OTHER_NAMES)
    facts = facts_for(person, languages)
    if not facts:
        return None
    facts = rng.sample(facts, rng.randint(1, min(3, len(facts))))
    names: dict[str, Entity] = {"a": person, "b": other}
    steps = [_beat(_TALK_OPEN, names)]
    steps += [_exchange(fact, person, other) for fact in facts]
    if rng.random() < 0.5:
        steps.append(_beat(_TALK_END, names))
    return ValleyText("talk", tuple(steps))


def _exchange(fact: Fact, person: Name, other: Name) -> Callable[[Language, random.Random], str]:
    def step(language: Language, rng: random.Random) -> str:
        phrases = PHRASES[fact.kind][language]
        question = rng.choice(phrases.ask_you)
        own = fill(rng.choice(phrases.own), {"v": fact.value}, language)
        if language == "zh":
            return f"“{question}”{other.zh}问。“{own}。”{person.zh}说。"
        return f'"{question}" asks {other.en}. "{own}," says {person.en}.'

    return step


def listing(rng: random.Random, languages: Sequence[Language]) -> ValleyText | None:
    """One kind of fact for several people or towns."""
    kind: Kind = rng.choice((*PERSON_KINDS, *TOWN_KINDS))
    facts = [f for f in valley().facts if f.kind == kind and all(map(f.told_in, languages))]
    chosen = rng.sample(facts, rng.randint(2, min(5, len(facts))))
    steps = []
    while chosen:
        if len(chosen) > 1 and rng.random() < 0.5:
            steps.append(_say_two(chosen.pop(), chosen.pop(), False))
        else:
            steps.append(_say(chosen.pop(), False))
    return ValleyText("listing", tuple(steps))


_DAY: dict[str, tuple[Beat, ...]] = {
    "trade": (
        Beat(("In the morning {p} goes to the {v.place}, because {p.he} is {v.a}.",
              "{p} gets up early and goes to the {v.place}. {p.he} is {v.a}."),
             ("早上，{p}去{v.place}，因为{p.he}是{v.a}。",
              "{p}很早起床，到{v.place}去，{p.he}是{v.a}。")),
        Beat(("{p} is {v.a}. Today {p.he} {v.does} until the evening.",
              "All day long {p} is busy {v.doing}, as {v.a} should be."),
             ("{p}是{v.a}，今天{p.he}{v.does}，一直忙到晚上。",
              "{p}一整天都在{v.doing}，{v}就该这样。")),
    ),
    "fruit": (
        Beat(("At noon {p} eats {v.a}, {p.his} favourite fruit.",
              "{p} buys some {v.s}, because {p.he} likes {v.s} best."),
             ("中午，{p}吃了{v.a}，那是{p.he}最爱的水果。",
              "{p}买了一些{v}，因为{p.he}最喜欢吃{v}。")),
    ),
    "pet": (
        Beat(("Before breakfast {p} feeds {p.his} {v}.", "{p} plays with {p.his} {v} after work.",
              "\"Where is my {v}?\" asks {p}. It is asleep in the garden."),
             ("早饭前，{p}先喂自己养的{v}。", "干完活，{p}和自己养的{v}玩。",
              "“我的{v}在哪里？”{p}问。它在花园里睡着了。")),
    ),
    "door": (
        Beat(("In the evening {p} comes home and opens {p.his} {v} door.",
              "The rain falls on {p.s} {v} front door."),
             ("晚上，{p}回到家，打开{v}的家门。", "雨落在{p}家{v}的大门上。")),
    ),
    "home": (
        Beat(("{p} walks through the streets of {v}, where {p.he} lives.",
              "It is a quiet day in {v}. {p}, who lives there, looks out of the window."),
             ("{p}走过{v}的街道，{p.he}就住在这里。", "{v}很安静，住在那里的{p}往窗外看。")),
    ),
}  # fmt: skip
_ORDER = ("pet", "trade", "fruit", "home", "door")


def day(rng: random.Random, languages: Sequence[Language]) -> ValleyText | None:
    """A day in somebody's life."""
    person = rng.choice(VALLEY_NAMES)
    facts = {fact.kind: fact for fact in facts_for(person, languages)}
    kinds = [kind for kind in _ORDER if kind in facts and rng.random() < 0.85]
    if len(kinds) < 2:
        return None
    steps = [_beat(rng.choice(_DAY[kind]), {"p": person, "v": facts[kind].value}) for kind in kinds]
    return ValleyText("day", tuple(steps))


_ERRAND: dict[Kind, Beat] = {
    "market": Beat(
        ("It is {v}, and {p} is on the way to the market in {t}.",
         "\"Today is {v}, so there is a market in {t},\" says {p}."),
        ("今天是{v}，{p}正要去{t}赶集。", "“今天是{v}，{t}有集市。”{p}说。"),
    ),
    "product": Beat(
        ("{p} wants to buy {v}, and the best {v} comes from {t}.",
         "\"Bring me some {v} from {t},\" {p.his} mother said. {t} is known for its {v}."),
        ("{p}想买{v}，最好的{v}出自{t}。",
         "“从{t}给我带些{v}回来。”妈妈对{p.him}说。{t}的{v}很有名。"),
    ),
    "landmark": Beat(
        ("In {t} {p} stops in front of {v.a} in the square.",
         "{p} waits near the {v} in the middle of {t}."),
        ("在{t}，{p}在广场上的{v}前面停了下来。", "{p}在{t}中间的{v}旁边等着。"),
    ),
    "river": Beat(
        ("Then {p} crosses {v}, which runs through {t}.",
         "In {t} {p} sits by {v} and watches the water."),
        ("然后{p}过了从{t}流过的{v}。", "在{t}，{p}坐在{v}边上看水。"),
    ),
}  # fmt: skip


def errand(rng: random.Random, languages: Sequence[Language]) -> ValleyText | None:
    """Somebody who lives for this text only goes to a town."""
    place, person = rng.choice(TOWNS), rng.choice(OTHER_NAMES)
    facts = {fact.kind: fact for fact in facts_for(place, languages)}
    kinds = [kind for kind in _ERRAND if kind in facts and rng.random() < 0.85]
    if not kinds:
        return None
    steps = [
        _beat(_ERRAND[kind], {"p": person, "t": place, "v": facts[kind].value}) for kind in kinds
    ]
    return ValleyText("errand", tuple(steps))


FORMS: tuple[Callable[[random.Random, Sequence[Language]], ValleyText | None], ...] = (
    portrait, portrait, day, town, talk, listing, errand,
)  # fmt: skip


def valley_text(rng: random.Random, languages: Sequence[Language]) -> ValleyText:
    """Some text about the valley, of facts that all these languages may say."""
    while True:
        text = rng.choice(FORMS)(rng, languages)
        if text is not None:
            return text
