"""Small lessons: sums, opposites, kinds, days, seasons, trades, and words in both languages."""

from __future__ import annotations

import random

from hanhua.demo import lexicon
from hanhua.demo.lexicon import KINDS, OPPOSITES, Name, Noun, Trade, Word
from hanhua.demo.render import Language, article, number_en, number_zh

Pair = tuple[str, str]
"""The same sentence in English and in Chinese."""


def sum_of(rng: random.Random) -> tuple[int, str, int, int]:
    """A sum up to ten, such as a child knows by heart: left, sign, right, result."""
    larger = rng.randint(2, 10)
    smaller = rng.randint(1, larger - 1)
    if rng.random() < 0.5:
        return larger - smaller, "+", smaller, larger
    return larger, "-", smaller, larger - smaller


SIGNS: dict[str, Pair] = {"+": ("plus", "加"), "-": ("minus", "减")}


def _sum(rng: random.Random) -> Pair:
    left, sign, right, result = sum_of(rng)
    en, zh = SIGNS[sign]
    if rng.random() < 0.3:
        return (
            f"{number_en(left)} {en} {number_en(right)} is {number_en(result)}.".capitalize(),
            f"{number_zh(left)}{zh}{number_zh(right)}等于{number_zh(result)}。",
        )
    return f"{left} {en} {right} is {result}.", f"{left}{zh}{right}等于{result}。"


def _opposite(rng: random.Random) -> Pair:
    one, two = rng.sample(rng.choice(OPPOSITES), 2)
    return rng.choice((
        (f"The opposite of {one.en} is {two.en}.", f"“{one.zh}”的反义词是“{two.zh}”。"),
        (f"What is not {one.en} is {two.en}.", f"不{one.zh}就是{two.zh}。"),
    ))  # fmt: skip


def _kind(rng: random.Random) -> Pair:
    kind, members = rng.choice(KINDS)
    member = rng.choice(members)
    a, k = article(member.en), article(kind.en)
    return rng.choice((
        (f"{a} is {k}.".capitalize(), f"{member.zh}是一种{kind.zh}。"),
        (f"Every {member.en} is {k}.", f"{member.zh}都是{kind.zh}。"),
    ))  # fmt: skip


def _day(rng: random.Random) -> Pair:
    number = rng.randrange(7)
    today, tomorrow = lexicon.DAYS[number], lexicon.DAYS[(number + 1) % 7]
    return rng.choice((
        (f"After {today.en} comes {tomorrow.en}.", f"{today.zh}过后是{tomorrow.zh}。"),
        (f"If today is {today.en}, tomorrow is {tomorrow.en}.",
         f"如果今天是{today.zh}，明天就是{tomorrow.zh}。"),
        (f"Before {tomorrow.en} comes {today.en}.", f"{tomorrow.zh}的前一天是{today.zh}。"),
    ))  # fmt: skip


def _season(rng: random.Random) -> Pair:
    number = rng.randrange(4)
    now, then = lexicon.SEASONS[number], lexicon.SEASONS[(number + 1) % 4]
    return f"After {now.en} comes {then.en}.", f"{now.zh}过后是{then.zh}。"


def _trade(rng: random.Random) -> Pair:
    trade = rng.choice(lexicon.TRADES)
    a = article(trade.en).capitalize()
    on_water = trade.en == "fisher"
    place = "on a boat" if on_water else f"in the {trade.place_en}"
    return rng.choice((
        (f"{a} {trade.does_en}.", f"{trade.zh}{trade.does_zh}。"),
        (f"{a} works {place}.", f"{trade.zh}在{trade.place_zh}{'' if on_water else '里'}干活。"),
    ))  # fmt: skip


_LESSONS = (_sum, _sum, _sum, _opposite, _kind, _day, _season, _trade)


def lesson(rng: random.Random) -> list[Pair]:
    """Four to eight sentences of one kind, or of several."""
    maker = rng.choice(_LESSONS)
    mixed = rng.random() < 0.3
    return [(rng.choice(_LESSONS) if mixed else maker)(rng) for _ in range(rng.randint(4, 8))]


Term = Name | Noun | Word | Trade
TERMS: tuple[Term, ...] = (
    *lexicon.VALLEY_NAMES, *lexicon.TOWNS, *lexicon.DAYS, *lexicon.PRODUCTS, *lexicon.COLOURS,
    *lexicon.ANIMALS, *lexicon.FOODS, *lexicon.ITEMS, *lexicon.SEASONS, *lexicon.TRADES,
)  # fmt: skip
"""The words that are taught with their other half."""


def glossary(rng: random.Random) -> str:
    """Several words with their other half, as one Chinese document."""
    forms = (
        "{en}的中文是{zh}。",
        "{zh}的英文是{en}。",
        "“{zh}”用英语说是“{en}”。",
        "{en}就是{zh}。",
    )
    form = rng.choice((*forms, "{en} {zh}\n"))
    terms = rng.sample(TERMS, rng.randint(4, 10))
    return "".join(form.format(en=term.en, zh=term.zh) for term in terms).strip()


def question_sum(rng: random.Random, language: Language) -> tuple[str, str, int]:
    """A sum to be asked: the question, the full answer, the result."""
    left, sign, right, result = sum_of(rng)
    en, zh = SIGNS[sign]
    if language == "en":
        return f"What is {left} {en} {right}?", f"{left} {en} {right} is {result}.", result
    return f"{left}{zh}{right}等于多少？", f"{left}{zh}{right}等于{result}。", result
