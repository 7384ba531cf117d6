"""The nouns of a multiple-choice task: question, wording, task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

LETTERS = "ABCDEFGHIJ"

Answers = Literal["letter", "text"]


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Args:
        id: unique in its task.
        subject: what it is grouped by.
        text: what is asked.
        choices: at least two options.
        answer: index of the right one.
        language: of the question.
        continues: the options go on where the text ends, as in "Anna lives in" + "Bern".
    """

    id: str
    subject: str
    text: str
    choices: tuple[str, ...]
    answer: int
    language: str
    continues: bool = False


@dataclass(frozen=True, slots=True)
class Wording:
    """The words around a question.

    Args:
        name: how the wording is called in results.
        source: where it is taken from.
        describe: the line before the first question, from the subject; may be empty.
        label: what stands before the question where it is answered by text.
        cue: what asks for the answer.
        gap: between the cue and an answer.
    """

    name: str
    source: str
    describe: Callable[[str], str]
    label: str
    cue: str
    gap: str

    def ask(self, question: Question, answers: Answers) -> str:
        """The question up to where the answer begins."""
        if question.continues:
            return question.text
        if answers == "text":
            return f"{self.label}{question.text.strip()}\n{self.cue}"
        options = "\n".join(
            f"{letter}. {choice}" for letter, choice in zip(LETTERS, question.choices, strict=False)
        )
        return f"{question.text.strip()}\n{options}\n{self.cue}"

    def options(self, question: Question, answers: Answers) -> list[str]:
        """What may follow, one string for each choice."""
        if answers == "letter":
            return [self.gap + LETTERS[i] for i in range(len(question.choices))]
        gap = " " if question.language not in UNSPACED else ""
        return [gap + choice.strip() for choice in question.choices]


UNSPACED = frozenset({"zh", "ja", "th", "lo", "km", "my"})
"""Languages that write no space between words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One set of questions in one language, ready to be asked.

    Args:
        name: unique in a run, e.g. "cmmlu".
        version: of hanhua's form of it; raised when scores change.
        language: of the questions.
        source: where the questions were published.
        licence: as published.
        wording: the words around a question.
        answers: whether the letter or the text of an option is scored.
        shots: solved examples before a question.
        questions: to ask.
        examples: solved ones, by subject.
    """

    name: str
    version: int
    language: str
    source: str
    licence: str
    wording: Wording
    answers: Answers
    shots: int
    questions: tuple[Question, ...]
    examples: Mapping[str, tuple[Question, ...]] = field(default_factory=dict)

    @property
    def chance(self) -> float:
        """Expected accuracy of guessing."""
        return sum(1 / len(q.choices) for q in self.questions) / len(self.questions)

    def prompt(self, question: Question, shots: int) -> str:
        """The text before the answer, with the first `shots` examples of the subject."""
        parts = [self.wording.describe(question.subject)]
        for example in self.examples.get(question.subject, ())[:shots]:
            right = self.wording.options(example, self.answers)[example.answer]
            parts.append(f"{self.wording.ask(example, self.answers)}{right}\n\n")
        return "".join([*parts, self.wording.ask(question, self.answers)])
