"""The nouns of a task: question, wording, task.

A question whose answer is written out rather than chosen has one choice, the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

LETTERS = "ABCDEFGHIJ"

Answers = Literal["letter", "text", "written"]
"""What is scored: the letter of an option, its text, or what the model writes by itself."""

Metric = Literal["accuracy", "mass", "exact", "chrf"]
"""accuracy: the likeliest option is right. mass: probability on the right options, of all.
exact: what is written equals the reference. chrf: character n-grams shared with the reference."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Args:
        id: unique in its task.
        subject: what it is grouped by.
        text: what is asked.
        choices: at least two options; the reference alone where the answer is written out.
        answer: index of the right one.
        language: of the question.
        continues: the options go on where the text ends, as in "Anna lives in" + "Bern".
        passage: what the question is about, where the set gives one.
        kind: what a wording needs to know besides, e.g. "cause" or "effect".
        also: other options that are right too.
    """

    id: str
    subject: str
    text: str
    choices: tuple[str, ...]
    answer: int
    language: str
    continues: bool = False
    passage: str = ""
    kind: str = ""
    also: tuple[int, ...] = ()


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
        body: the question up to where the answer begins, in place of label, options and cue.
        texts: the answers without the gap, in place of letters or the choices' texts.
        between: what parts solved examples.
        whole: the prompt of a question behind solved examples, in place of all of the above.
        reference: what a written answer is held against, in place of the right choice's text.
        then: from a question, its prompt and what was written to what is asked next; the answer to
            that is the one that counts.
        alone: a letter's token is that of the letter by itself, not of it behind the prompt.
        revision: raised when this wording's scores change; added to the task's version.
    """

    name: str
    source: str
    describe: Callable[[str], str]
    label: str
    cue: str
    gap: str
    body: Callable[[Question], str] | None = None
    texts: Callable[[Question], Sequence[str]] | None = None
    between: str = "\n\n"
    whole: Callable[[Question, Sequence[Question]], str] | None = None
    reference: Callable[[Question], str] | None = None
    then: Callable[[Question, str, str], str] | None = None
    alone: bool = False
    revision: int = 0

    def ask(self, question: Question, answers: Answers) -> str:
        """The question up to where the answer begins."""
        if self.body:
            return self.body(question)
        if question.continues:
            return question.text
        if answers != "letter":
            return f"{self.label}{question.text.strip()}\n{self.cue}"
        return f"{question.text.strip()}\n{lettered(question.choices)}\n{self.cue}"

    def bare(self, question: Question, answers: Answers) -> list[str]:
        """The answers alone, one string for each choice: what lengths are counted of."""
        if self.texts:
            return list(self.texts(question))
        if answers == "letter":
            return list(LETTERS[: len(question.choices)])
        return [choice if self.body else choice.strip() for choice in question.choices]

    def options(self, question: Question, answers: Answers) -> list[str]:
        """What may follow, one string for each choice."""
        spaced = answers == "letter" or self.body or question.language not in UNSPACED
        gap = self.gap if spaced else ""
        return [gap + answer for answer in self.bare(question, answers)]


def lettered(choices: Sequence[str]) -> str:
    """Options below each other: "A. …"."""
    return "\n".join(f"{a}. {choice}" for a, choice in zip(LETTERS, choices, strict=False))


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
        examples: solved ones, by subject, or by the id of the question where each has its own.
        metric: what a question's score is.
        categories: subject -> the categories that it is published under.
        until: strings that end a written answer.
        max_new_tokens: of a written answer.
        rule: how a written answer is read: a name in :data:`hanhua.eval.written.RULES`; a question
            whose kind is such a name has its own.
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
    metric: Metric = "accuracy"
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    until: tuple[str, ...] = ()
    max_new_tokens: int = 0
    rule: str = ""

    @property
    def chance(self) -> float:
        """Expected score of guessing."""
        if self.answers == "written":
            return 0.0
        rights = (1 + len(q.also) for q in self.questions)
        shares = (r / len(q.choices) for r, q in zip(rights, self.questions, strict=True))
        return sum(shares) / len(self.questions)

    def shown(self, question: Question, shots: int) -> tuple[Question, ...]:
        """The first `shots` solved examples that stand before a question."""
        own = self.examples.get(question.id)
        return (own if own is not None else self.examples.get(question.subject, ()))[:shots]

    def prompt(self, question: Question, shots: int) -> str:
        """The text before the answer, with the first `shots` examples."""
        if self.wording.whole:
            return self.wording.whole(question, self.shown(question, shots))
        parts = [self.wording.describe(question.subject)]
        for example in self.shown(question, shots):
            right = self.wording.options(example, self.answers)[example.answer]
            parts.append(f"{self.wording.ask(example, self.answers)}{right}{self.wording.between}")
        return "".join([*parts, self.wording.ask(question, self.answers)])
