"""How an entry of the lexicon shows itself in a sentence, in English or in Chinese.

A template is an ordinary format string such as ``"{a} gave {b} {x.a}."``. The same entities fill
the English and the Chinese template of a sentence; only their views differ, so the two say the
same thing by construction. ``{x.a}`` is "an apple" or "一个苹果".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hanhua.demo.lexicon import Name, Noun, Trade, Word

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
_SENTENCE_START = re.compile(r'((?:^|[.!?] |[:.!?] (?="))"?)([a-z])')
_DIGITS = "零一二三四五六七八九"


@dataclass(frozen=True, slots=True)
class Count:
    """A number of things: "three apples", 三个苹果."""

    number: int
    noun: Noun


Entity = Name | Noun | Word | Trade | Count | int | str


def number_en(value: int) -> str:
    """A number from 0 to 99 in English words."""
    if value < 20:
        return _ONES[value]
    tens, ones = divmod(value, 10)
    return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")


def number_zh(value: int) -> str:
    """A number from 0 to 99 in Chinese characters, as it is counted (二, not 两)."""
    tens, ones = divmod(value, 10)
    if tens == 0:
        return _DIGITS[ones]
    return ("" if tens == 1 else _DIGITS[tens]) + "十" + (_DIGITS[ones] if ones else "")


def article(phrase: str) -> str:
    """The phrase with "a" or "an" before it, as its first letter asks (no silent h here)."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


class NameEn:
    """{a} Anna or she · {a.obj} Anna or her · {a.s} Anna's or her · {a.he} .him .his always so."""

    def __init__(self, name: Name, pronoun: bool = False) -> None:
        self.he, self.him, self.his = ("she", "her", "her") if name.female else ("he", "him", "his")
        self.name = name.en
        self.s = self.his if pronoun else f"{name.en}'s"
        self.self = "herself" if name.female else "himself"
        self.text = self.he if pronoun else name.en
        self.obj = self.him if pronoun else name.en

    def __str__(self) -> str:
        return self.text


class NameZh:
    """{a} 安娜 or 她 · {a.s} 安娜的 or 她的 · {a.he} {a.him} always so."""

    def __init__(self, name: Name, pronoun: bool = False) -> None:
        self.he = self.him = "她" if name.female else "他"
        self.his = f"{self.he}的"
        self.name = name.zh
        self.text = self.obj = self.he if pronoun else name.zh
        self.s = f"{self.text}的"

    def __str__(self) -> str:
        return self.text


class NounEn:
    """{x} apple · {x.a} an apple · {x.the} the apple · {x.s} apples."""

    def __init__(self, noun: Noun) -> None:
        self.text, self.s = noun.en, noun.plural
        self.a, self.the = article(noun.en), f"the {noun.en}"

    def __str__(self) -> str:
        return self.text


class NounZh:
    """{x} 苹果 · {x.a} 一个苹果 · {x.that} 那个苹果 · {x.m} 个."""

    def __init__(self, noun: Noun) -> None:
        self.text = self.s = noun.zh
        self.m = noun.measure
        self.a, self.that = f"一{noun.measure}{noun.zh}", f"那{noun.measure}{noun.zh}"

    def __str__(self) -> str:
        return self.text


class CountView:
    """{n} three apples / 三个苹果 · {n.n} three / 三个 · {n.d} 3."""

    def __init__(self, count: Count, language: Language) -> None:
        value, noun = count.number, count.noun
        self.d = str(value)
        if language == "en":
            self.n = number_en(value)
            self.text = f"{self.n} {noun.en if value == 1 else noun.plural}"
            self.are = "is" if value == 1 else "are"
            self.were = "was" if value == 1 else "were"
        else:
            self.n = ("两" if value == 2 else number_zh(value)) + noun.measure
            self.text = self.n + noun.zh

    def __str__(self) -> str:
        return self.text


class TradeView:
    """{t} baker / 面包师 · {t.a} · {t.place} · {t.does} · {t.doing} · {t.did}."""

    def __init__(self, trade: Trade, language: Language) -> None:
        if language == "en":
            self.text, self.a, self.place = trade.en, article(trade.en), trade.place_en
            self.does, self.doing, self.did = trade.does_en, trade.doing_en, trade.did_en
        else:
            self.text, self.a, self.place = trade.zh, f"一名{trade.zh}", trade.place_zh
            self.does = self.doing = self.did = trade.does_zh

    def __str__(self) -> str:
        return self.text


class WordZh:
    """{c} 红色 · {c.short} 红."""

    def __init__(self, word: Word) -> None:
        self.text, self.short = word.zh, word.zh.removesuffix("色")

    def __str__(self) -> str:
        return self.text


def view(entity: Entity, language: Language, pronoun: bool = False) -> object:
    """The view of an entity in a language; pronoun: a person already named."""
    if isinstance(entity, Name):
        return NameEn(entity, pronoun) if language == "en" else NameZh(entity, pronoun)
    if isinstance(entity, Noun):
        return NounEn(entity) if language == "en" else NounZh(entity)
    if isinstance(entity, Count):
        return CountView(entity, language)
    if isinstance(entity, Trade):
        return TradeView(entity, language)
    if isinstance(entity, Word):
        return entity.en if language == "en" else WordZh(entity)
    return entity


def fill(template: str, entities: Mapping[str, Entity], language: Language,
         pronouns: frozenset[str] = frozenset()) -> str:  # fmt: skip
    """Fill a template; an English sentence gets its capital letter.

    Args:
        template: a format string over the names of the entities.
        entities: what fills it.
        language: "en" or "zh".
        pronouns: the persons that are to be "she" or "he" here.
    """
    views = {name: view(entity, language, name in pronouns) for name, entity in entities.items()}
    text = template.format_map(views)
    if language == "en":
        return capitalised(text)
    people = [entity for entity in entities.values() if isinstance(entity, Name)]
    return text.replace("他们", "她们") if people and all(p.female for p in people) else text


def capitalised(text: str) -> str:
    """A capital letter wherever a sentence or a speech begins (not after a closing quote)."""
    return _SENTENCE_START.sub(lambda m: m[1] + m[2].upper(), text)


def joined(sentences: list[str], language: Language) -> str:
    """Sentences as running text: a space between in English, none in Chinese."""
    return (" " if language == "en" else "").join(sentences)
