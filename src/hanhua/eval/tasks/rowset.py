"""A set that is published as rows: what it is, and from its rows to a task.

Solved examples are those that lm-evaluation-harness would show. Where a set fixes their order
they are the first; elsewhere the harness draws them anew for each question, from one generator
seeded with 1234 that runs on from question to question, so they are drawn for every question of
the set, whichever are asked. Of sets whose validation split is asked it draws one more than it
shows, to have one to spare should the question itself be drawn.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hanhua.core.errors import InputError
from hanhua.eval.tasks.question import Answers, Metric, Question, Task, Wording
from hanhua.eval.tasks.rows import Parse, Place, questions_of, rows_of

HARNESS_SEED = 1234
"""Of the harness's few-shot sampler: lm_eval/evaluator.py, ``fewshot_random_seed``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSet:
    """One published set.

    Args:
        name: in recipes and results.
        language: of the answers.
        version: of hanhua's form.
        source, licence: as published.
        hub: the dataset that its rows are published as; empty where there is none.
        config: the subset of it.
        form: a row, for error messages.
        parse: of a row.
        wordings: the first is the default; their keys are what a recipe's ``wording`` says.
        split: that is asked.
        shots_split: that solved examples come from; None: there are none.
        sampler: which of them are shown.
        answers, metric, until, max_new_tokens, rule: as in `Task`.
    """

    name: str
    language: str
    version: int
    source: str
    licence: str
    hub: str
    form: str
    parse: Parse
    wordings: dict[str, Wording]
    config: str | None = None
    split: str = "test"
    shots_split: str | None = "train"
    sampler: Literal["first", "drawn"] = "drawn"
    answers: Answers = "text"
    metric: Metric = "accuracy"
    until: tuple[str, ...] = ()
    max_new_tokens: int = 0
    rule: str = ""


def read_rowset(entry: RowSet, place: Place, shots: int, wording: str, answers: str) -> Task:
    """Read a set's questions and, for shots, its solved examples.

    Args:
        entry: the set.
        place: where its rows are.
        shots: examples before each question.
        wording: a key of the set's wordings.
        answers: what is scored; "auto": as the set has it.

    Raises:
        InputError: no such wording, no questions, too few examples, a broken row.
    """
    place = Place(place.path, place.dataset, place.config or entry.config)
    questions = _read(entry, place, entry.split)
    if not questions:
        raise InputError(
            "No questions here.", where=place.dataset or place.path, found="no row with an answer",
            fix=f"give rows as published: {entry.form}",
        )  # fmt: skip
    kind: Answers = entry.answers if answers == "auto" else answers  # type: ignore[assignment]
    return Task(
        name=entry.name, version=entry.version, language=entry.language, source=entry.source,
        licence=entry.licence, wording=wording_of(entry.name, entry.wordings, wording),
        answers=kind, shots=shots, questions=questions,
        examples=_examples(entry, place, questions, shots), metric=entry.metric,
        until=entry.until, max_new_tokens=entry.max_new_tokens, rule=entry.rule,
    )  # fmt: skip


def wording_of(name: str, wordings: dict[str, Wording], wanted: str) -> Wording:
    """The wording that a recipe asks for; "default" is the first.

    Raises:
        InputError: when the set has no such wording.
    """
    if wanted == "default":
        return next(iter(wordings.values()))
    if wanted not in wordings:
        raise InputError(
            f"{name} has no such wording.", where="eval.tasks.wording", found=wanted,
            fix=f"choose one of: {', '.join(wordings)}, or leave it out",
        )  # fmt: skip
    return wordings[wanted]


def _read(entry: RowSet, place: Place, split: str) -> tuple[Question, ...]:
    found = questions_of(rows_of(place, split), entry.parse, split, entry.form)
    return tuple(found)


def _examples(
    entry: RowSet, place: Place, questions: Sequence[Question], shots: int
) -> dict[str, tuple[Question, ...]]:
    if not shots:
        return {}
    if entry.shots_split is None:
        raise InputError(
            f"{entry.name} has no solved examples.", where="eval.tasks.shots", found=shots,
            fix="set shots to 0",
        )  # fmt: skip
    pool = _read(entry, place, entry.shots_split)
    spare = int(entry.sampler == "drawn" and entry.split == "validation")
    if len(pool) < shots + spare:
        raise InputError(
            "Too few solved examples.", where=place.dataset or place.path,
            found=f"{len(pool)}, {shots + spare} needed", fix="lower shots",
        )  # fmt: skip
    if entry.sampler == "first":
        return dict.fromkeys((q.subject for q in questions), pool[:shots])
    draw = random.Random(HARNESS_SEED)
    return {q.id: _drawn(draw, pool, q, shots, spare) for q in questions}


def _drawn(
    draw: random.Random, pool: Sequence[Question], question: Question, shots: int, spare: int
) -> tuple[Question, ...]:
    """As ``ContextSampler.sample`` of the harness (0.4.13, lm_eval/api/samplers.py)."""
    found = draw.sample(pool, shots + spare)
    if not spare:
        return tuple(found)

    def other(one: Question) -> bool:
        return replace(one, id="") != replace(question, id="")

    kept = list(filter(other, found))[:shots]
    if len(kept) < shots:  # the pool has the question more than once
        kept = draw.sample(list(filter(other, pool)), shots)
    return tuple(kept)
