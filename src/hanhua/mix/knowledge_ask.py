"""Ask a model for the facts of ``hanhua study knowledge``: by likelihood, and as it answers.

A fact is asked as text (its statement with every object of its kind in place of its own; which
is likeliest?) and as a question (the same of the answer). Texts are compared whole, from the first
token in which they differ, so it does not matter where a tokenizer cuts them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hanhua.chat.conversation import Conversation, Turn
from hanhua.chat.encode import encode_conversation, encode_prompt
from hanhua.chat.template import Template
from hanhua.core.errors import InputError
from hanhua.core.progress import Progress
from hanhua.eval.forward import CausalModel
from hanhua.eval.score import Request, score_options
from hanhua.mix.knowledge import Fact, objects_by_kind, options
from hanhua.model.generate import Sampling, generate

AS_TEXT, AS_QUESTION = "text", "question"
KNOWN, NEW = "trained", "new"
"""A wording that training may have used, and one that it never did."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model made of one fact, asked in one way.

    Args:
        id: of the fact.
        language: in which it was asked.
        form: ``text`` or ``question``.
        wording: ``trained`` or ``new``.
        options: how many objects there were to choose from.
        object: its own.
        choice: the likeliest.
        exact: whether the model, left to write, wrote it; None where that was not tried.
    """

    id: str
    language: str
    form: str
    wording: str
    options: int
    object: str
    choice: str
    exact: bool | None

    @property
    def right(self) -> bool:
        """Whether its own object was the likeliest."""
        return self.choice == self.object

    def as_item(self) -> dict[str, Any]:
        """One line of the items file."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Way:
    """A fact, asked in one way."""

    fact: Fact
    language: str
    form: str
    wording: str
    question: str
    """empty: as text"""
    sentence: str
    objects: Sequence[str]

    def whole(self, thing: str) -> str:
        """The sentence with another object."""
        before, behind = self.cut
        return f"{before}{thing}{behind}"

    @property
    def cut(self) -> tuple[str, str]:
        """What stands before and behind the object, where it stands last."""
        before, _, behind = self.sentence.rpartition(self.objects[0])
        return before, behind


def ask(
    model: CausalModel, template: Template, facts: Sequence[Fact], languages: Sequence[str],
    progress: Progress,
) -> list[Answer]:  # fmt: skip
    """Ask for all facts in all ways.

    Args:
        model: which.
        template: of questions.
        facts: which; also give each other's objects.
        languages: to ask in.
        progress: shown by questions.

    Returns:
        an answer for each fact, language, form and wording.

    Raises:
        InputError: for a fact that the model has no room for.
    """
    ways = [
        way for language in languages
        for objects in [objects_by_kind(facts, language)] for fact in facts
        for way in _ways(fact, language, options(fact, objects[fact.kind], language))
    ]  # fmt: skip
    requests = [_request(model, template, way) for way in ways]
    with progress.bar("asking for facts", len(ways), "questions") as bar:
        scores = score_options(model, requests, bar)
    tried = [i for i, way in enumerate(ways) if way.wording == KNOWN]
    exact = dict(zip(tried, _write(model, template, [ways[i] for i in tried]), strict=True))
    return [
        Answer(way.fact.id, way.language, way.form, way.wording, len(way.objects), way.objects[0],
               way.objects[max(range(len(of)), key=lambda j: (of[j], j))], exact.get(i))
        for i, (way, of) in enumerate(zip(ways, scores, strict=True))
    ]  # fmt: skip


def _ways(fact: Fact, language: str, objects: Sequence[str]) -> Iterator[_Way]:
    said = fact.said[language]
    for wording, place in ((KNOWN, 0), (NEW, -1)):
        if wording == KNOWN or len(said.text) > 1:
            yield _Way(fact, language, AS_TEXT, wording, "", said.text[place], objects)
        if wording == KNOWN or len(said.question) > 1:
            question, answer = said.question[place], said.answer[0]
            yield _Way(fact, language, AS_QUESTION, wording, question, answer, objects)


def _request(model: CausalModel, template: Template, way: _Way) -> Request:
    """Whole texts as ids, cut where the first of them differ."""
    wholes = [way.whole(thing) for thing in way.objects]
    if way.form == AS_TEXT:
        ids = [(model.start, *own) for own in model.encode(wholes)]
    else:
        ids = [_exchange(model, template, way, answer) for answer in wholes]
    if max(map(len, ids)) > model.context_tokens:
        raise InputError(
            "This fact is longer than the model's context.", where=f"{way.fact.id}, {way.language}",
            found=f"{max(map(len, ids))} tokens, the model takes {model.context_tokens}",
            fix="say it shorter",
        )  # fmt: skip
    first, last = min(ids), max(ids)
    shared = 0
    while shared < min(map(len, ids)) - 1 and first[shared] == last[shared]:
        shared += 1
    return Request(ids[0][:shared], tuple(own[shared:] for own in ids))


def _exchange(model: CausalModel, template: Template, way: _Way, answer: str) -> tuple[int, ...]:
    turns = Turn("user", way.question), Turn("assistant", answer)
    said = Conversation(way.fact.id, "", turns, way.language)
    ids, mask = encode_conversation(model.tokenizer, template, said)
    return tuple(ids[: len(mask) - mask[::-1].index(True)])


def _write(model: CausalModel, template: Template, ways: Sequence[_Way]) -> list[bool]:
    """Whether the likeliest next tokens name the object, and no other of its kind."""
    prompts = [_prompt(model, template, way) for way in ways]
    longest = max(len(own) for own in model.encode([way.sentence for way in ways]))
    made = generate(
        model.model, model.tokenizer, prompts,
        Sampling(max_new_tokens=longest + 4, stop=("\n",)),
    )  # fmt: skip
    return [_names(way, one.text) for way, one in zip(ways, made, strict=True)]


def _prompt(model: CausalModel, template: Template, way: _Way) -> list[int]:
    if way.form == AS_TEXT:
        return [model.start, *model.encode([way.cut[0].rstrip()])[0]]
    message = {"role": "user", "content": way.question}
    return encode_prompt(model.tokenizer, template.name, [message])


def _names(way: _Way, text: str) -> bool:
    """As text: the object comes next. As an answer: it is the first object of its kind in it."""
    right, *wrong = way.objects
    text = text.lstrip()
    places = {one: text.find(one) for one in way.objects if one in text}
    longer = [one for one in wrong if right in one and places.get(one) == places.get(right)]
    if right not in places or longer:
        return False
    if way.form == AS_TEXT:
        return places[right] == 0
    return all(
        places[right] < at or (one in right and places[right] <= at) for one, at in places.items()
        if one != right
    )  # fmt: skip


def exposures(told: Mapping[str, int], asked: Sequence[Fact]) -> dict[str, float]:
    """How often facts were told: the mean, the least and the most."""
    counts = [told.get(fact.id, 0) for fact in asked]
    return {"mean": sum(counts) / len(counts), "least": min(counts), "most": max(counts)}
