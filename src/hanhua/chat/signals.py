"""What can be wrong with an answer, each as a rule from 0 (not there) to 1 (there in full).

The rules are written for Chinese and English; on other languages those that go by words find
nothing. Each holds back where its sign is right: code, tables and lists may end without a full
stop, a translation is in another language, a poem repeats.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from hanhua.chat import signal_words as words
from hanhua.text.languages.language import detect
from hanhua.text.scripts import han_count, profile

GRAM = 6
_PROSE_CHARS = {"zh": 40}
_LONG_CHARS = {"zh": 25}


@dataclass(frozen=True)
class Exchange:
    """A question with its answer.

    Args:
        question: what the user says.
        answer: what the assistant says.
        language: of the conversation; empty while not known.
    """

    question: str
    answer: str
    language: str = ""

    @cached_property
    def is_code(self) -> bool:
        """Whether the answer holds code, or is to hold some."""
        return bool(words.CODE.search(self.answer) or words.CODE_ASKED.search(self.question))

    @cached_property
    def chinese(self) -> bool:
        """Whether the answer is mostly Han characters."""
        return 3 * han_count(self.answer) > len(self.answer.replace(" ", ""))


def plain(text: str) -> str:
    """Letters and digits alone, no case, no width."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def no_answer(exchange: Exchange) -> float:
    """A word for nothing in place of an answer, or no letter and no digit at all."""
    text = exchange.answer.strip().strip(".。!！<>[]()（）")
    if words.NOTHING.fullmatch(text):
        asked = text.casefold() in exchange.question.casefold()
        return 0.0 if asked and len(text) > 1 else 1.0
    return 0.0


def too_short(exchange: Exchange) -> float:
    """A few words where an essay, a story or details were asked for."""
    asked = exchange.question
    if not words.ASKS_LONG.search(asked) or words.ASKS_PART.search(asked) or exchange.is_code:
        return 0.0
    wanted = _LONG_CHARS["zh"] if exchange.chinese else 60
    long_question = len(exchange.question) > 300  # a text to work on, with words of its own
    return 0.0 if long_question or len(exchange.answer.strip()) >= wanted else 1.0


def repeats_question(exchange: Exchange) -> float:
    """The answer is the question, or the question with next to nothing behind it."""
    asked, answered = plain(exchange.question), plain(exchange.answer)
    if len(asked) < 12 or not answered.startswith(asked):
        return 0.0
    return 1.0 if len(answered) <= 1.1 * len(asked) else 0.0


def repetition(exchange: Exchange) -> float:
    """The part of the answer's words that stand in stretches said before; full from three fifths.

    A stretch is six words, of Chinese six characters. Verse repeats a line or two, hence nothing
    below three tenths.
    """
    said = words.WORDS.findall(exchange.answer.casefold())
    if len(said) < 30 or exchange.is_code or words.SUNG.search(exchange.question):
        return 0.0
    grams = [tuple(said[i : i + GRAM]) for i in range(len(said) - GRAM + 1)]
    counts = Counter(grams)
    again = (len(grams) - len(counts)) / len(grams)
    return min(max((again - 0.3) / 0.3, 0.0), 1.0)


def truncated(exchange: Exchange) -> float:
    """Prose that stops in the middle of a sentence.

    Only of an answer that ends its other sentences: who writes without full stops has no end to
    miss. Lists, tables and code end as they like.
    """
    text = exchange.answer.rstrip()
    last = text.rpartition("\n")[2].strip()
    if last and (last.split()[-1][0] in "#＃@" or words.LAST_WORDS.search(last)):
        return 0.0
    if not last or exchange.is_code or last[-1] in words.SENTENCE_END or not last[-1].isprintable():
        return 0.0
    if unicodedata.category(last[-1]) in ("So", "Sk", "Mn", "Cf", "Sm"):
        return 0.0
    listed = words.LIST_LINE.match(last)
    open_end = bool(words.OPEN_END.search(last))
    least = _PROSE_CHARS["zh"] if exchange.chinese else 100
    ends = len(words.SENTENCES.findall(text[: len(text) - 1]))
    if len(text) < least or not ends:
        return 0.0
    if open_end and not listed:
        return 1.0
    wide = len(last) >= (20 if exchange.chinese else 60) and bool(words.SENTENCES.search(last))
    return 0.75 if wide and not listed else 0.0


def boilerplate(exchange: Exchange) -> float:
    """A refusal or talk of being an AI in place of an answer; in full where that is all."""
    head = exchange.answer[:200]
    found = bool(words.REFUSES.match(head)) + bool(words.AS_AI.search(head))
    if not found:
        return 0.0
    return 1.0 if found == 2 or len(exchange.answer) < 160 else 0.5


def wrong_language(exchange: Exchange) -> float:
    """An answer in another language than its question, where none was asked for or worked on."""
    asked = words.LINK.sub(" ", exchange.question)
    if exchange.is_code or words.OTHER_LANGUAGE.search(asked):
        return 0.0
    said = words.LINK.sub(" ", exchange.answer)
    if han_count(said) >= 20 and detect(profile(said)) == "zh":
        return 1.0 if not han_count(asked) and len(words.LATIN.findall(asked)) >= 3 else 0.0
    if len(words.ENGLISH.findall(said)) < 5 or han_count(said):  # names, a cipher, a list of words
        return 0.0
    return 1.0 if han_count(asked) >= 4 and not words.LATIN.search(asked) else 0.0


def junk(exchange: Exchange) -> float:
    """A wrong decoding, or tags of web pages where no page was asked for; in full from three."""
    if words.MOJIBAKE.search(exchange.answer):
        return 1.0
    if exchange.is_code or words.TAG.search(exchange.question):
        return 0.0
    return min(len(words.TAG.findall(exchange.answer)) / 3, 1.0)


def escaped(exchange: Exchange) -> float:
    """Signs written as in a web page's source: ``&quot;``, ``&#39;``."""
    if words.ENTITY.search(exchange.question):
        return 0.0
    return 1.0 if words.ENTITY.search(exchange.answer) else 0.0


def symbols(exchange: Exchange) -> float:
    """More than a third of the answer is neither words nor their punctuation."""
    text = exchange.answer.strip()
    if len(text) < 20 or exchange.is_code:
        return 0.0
    odd = len(words.SPARE.sub("", text))
    return 1.0 if odd > len(text) / 3 else 0.0


def prompt_leftover(exchange: Exchange) -> float:
    """What a template or a table of data wrote stands in the answer."""
    found = words.LEFTOVER.search(exchange.answer)
    if not found or found[0].strip() in exchange.question:
        return 0.0
    if found[0][0] in "<#[":
        return 1.0
    return 0.0 if exchange.is_code or words.SHOWS_TALK.search(exchange.question) else 0.5
