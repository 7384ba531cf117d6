"""How good a conversation is to learn from: plain signals in both languages, and one score.

A score is 1 less the weights of the signals that its answers show, and never below 0. Each signal
is a rule that a person can check by reading the answer, and the drop names those that were found.
They find broken data (cut, doubled, left over from a template, of the wrong language), not wrong
facts. Of several answers the mean counts, so one "OK" in a long talk costs little.

Precision was measured by reading: see docs/guides/chatdata.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hanhua.chat import signals
from hanhua.chat.conversation import Conversation
from hanhua.chat.signals import Exchange

DIGITS = 3


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that can be wrong with an answer.

    Args:
        weight: what it takes off the score when it is there in full.
        find: how strongly it is there, from 0 to 1.
    """

    weight: float
    find: Callable[[Exchange], float]


SIGNALS: Mapping[str, Signal] = {
    "no_answer": Signal(1.0, signals.no_answer),
    "repeats_question": Signal(0.8, signals.repeats_question),
    "prompt_leftover": Signal(0.6, signals.prompt_leftover),
    "wrong_language": Signal(0.6, signals.wrong_language),
    "repetition": Signal(0.6, signals.repetition),
    "junk": Signal(0.5, signals.junk),
    "symbols": Signal(0.4, signals.symbols),
    "boilerplate": Signal(0.4, signals.boilerplate),
    "truncated": Signal(0.4, signals.truncated),
    "too_short": Signal(0.4, signals.too_short),
    "escaped": Signal(0.2, signals.escaped),
}
"""From the worst to the mildest; in this order reasons are given."""


@dataclass(frozen=True, slots=True)
class Quality:
    """A conversation's score and what was taken off.

    Args:
        score: from 0 to 1.
        found: signal -> what it took off, the most first.
    """

    score: float
    found: Mapping[str, float]

    @property
    def told(self) -> str:
        """The score and its reasons in a line: ``0.35: truncated 0.4, too_short 0.25``."""
        reasons = ", ".join(f"{name} {off:g}" for name, off in self.found.items())
        return f"{self.score:g}: {reasons}"


def quality(conversation: Conversation) -> Quality:
    """Score a conversation.

    Args:
        conversation: a sound one: user and assistant in turn.
    """
    texts = [turn.text for turn in conversation.turns]
    language = conversation.language
    exchanges = [Exchange(q, a, language) for q, a in zip(texts[::2], texts[1::2], strict=False)]
    return _score([_taken_off(exchange) for exchange in exchanges])


def answer_quality(question: str, answer: str, language: str = "") -> Quality:
    """Score one answer to a question."""
    return _score([_taken_off(Exchange(question, answer, language))])


def _taken_off(exchange: Exchange) -> dict[str, float]:
    found = {name: s.weight * s.find(exchange) for name, s in SIGNALS.items()}
    return {name: off for name, off in found.items() if off}


def _score(answers: list[dict[str, float]]) -> Quality:
    """The mean of what was taken off each answer, of each no more than 1."""
    sums: dict[str, float] = {}
    total = 0.0
    for found in answers:
        total += min(sum(found.values()), 1.0)
        for name, off in found.items():
            sums[name] = sums.get(name, 0.0) + off
    n = max(len(answers), 1)
    ordered = sorted(sums, key=lambda name: -sums[name])  # stable: of equal ones the worse first
    found = {name: round(sums[name] / n, DIGITS) for name in ordered}
    return Quality(round(1 - total / n, DIGITS), found)
