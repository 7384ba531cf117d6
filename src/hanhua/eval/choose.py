"""Multiple choice: ask a task's questions, and say how well it went, with n and error.

``accuracy`` is of the likeliest option; besides it stand those of the likeliest per character
(lm-evaluation-harness's ``acc_norm``) and per byte (its ``acc_bytes``), lengths without the space
before an option.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hanhua.core.progress import Progress, Silent
from hanhua.eval.compare import paired_accuracy, proportion, ratio, standard_error, tidy
from hanhua.eval.fit import fit, option_room
from hanhua.eval.forward import CausalModel
from hanhua.eval.score import score_options
from hanhua.eval.tasks.question import Question, Task

Group = tuple[str, int, bool]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model chose.

    Args:
        id, subject: of the question.
        answer: index of the right option; choice: of the likeliest one.
        logprobs: nats of each option, the sum over its tokens.
        likeliest_by_byte: index of the option with the highest log-probability per byte.
        shots: solved examples that fitted in; cut: whether the question's beginning did not.
        likeliest_by_char: as by byte, per character.
        also: other options that are right too.
        score: of the question, where that is not whether the choice is right.
    """

    id: str
    subject: str
    answer: int
    choice: int
    likeliest_by_byte: int
    logprobs: tuple[float, ...]
    shots: int
    cut: bool
    likeliest_by_char: int | None = None
    also: tuple[int, ...] = ()
    score: float | None = None

    @property
    def right(self) -> bool:
        """Whether the choice is the answer."""
        return self.is_right(self.choice)

    def is_right(self, option: int | None) -> bool:
        """Whether an option is the answer, or one of several."""
        return option == self.answer or option in self.also

    def as_item(self) -> dict[str, Any]:
        """One line of the items file."""
        item = {k: v for k, v in asdict(self).items() if v not in (None, ())}
        item |= {"right": self.right}
        if self.score is not None:
            item["score"] = tidy(self.score)
        return item | {"logprobs": [tidy(round(value, 6)) for value in self.logprobs]}


def ask(model: CausalModel, task: Task, progress: Progress | None = None) -> list[Answer]:
    """Ask all questions of a task, in order.

    Args:
        model: the model to ask.
        task: the questions and the words around them.
        progress: shown by questions.
    """
    fitted = fit(model, task, option_room(model))
    groups: dict[Group, list[int]] = defaultdict(list)
    for i, (_, shots, cut) in enumerate(fitted):
        groups[task.questions[i].subject, shots, cut].append(i)
    found: dict[int, list[float]] = {}
    with (progress or Silent()).bar(task.name, len(fitted), "questions") as bar:
        for places in groups.values():
            scores = score_options(model, [fitted[i][0] for i in places], bar)
            found |= dict(zip(places, scores, strict=True))
    return [
        _answer(task, question, found[i], fitted[i][1], fitted[i][2])
        for i, question in enumerate(task.questions)
    ]


def _answer(
    task: Task, question: Question, scores: Sequence[float], shots: int, cut: bool
) -> Answer:
    bare = task.wording.bare(question, task.answers)
    per_byte = [_per(score, len(o.encode())) for score, o in zip(scores, bare, strict=True)]
    per_char = [_per(score, len(o)) for score, o in zip(scores, bare, strict=True)]
    right = {question.answer, *question.also}
    return Answer(
        question.id, question.subject, question.answer, _argmax(scores), _argmax(per_byte),
        tuple(scores), shots, cut, _argmax(per_char), question.also,
        _mass(scores, right) if task.metric == "mass" else None,
    )  # fmt: skip


def _mass(scores: Sequence[float], right: set[int]) -> float:
    """Probability on the right options, of that on all."""
    top = max(scores)
    shares = [math.exp(score - top) for score in scores]
    return sum(shares[i] for i in right) / sum(shares)


def _per(score: float, size: int) -> float:
    """A log-probability by the length of its option; an empty one is never the likeliest."""
    return score / size if size else -math.inf


def _argmax(values: Sequence[float]) -> int:
    """The first of the highest."""
    return max(range(len(values)), key=lambda i: (values[i], -i))


def summary(
    task: Task,
    answers: Sequence[Answer],
    seed: int,
    draws: int,
    base: Mapping[str, bool] | None = None,
) -> dict[str, Any]:
    """A task's scores: accuracy with n, standard error, interval, chance and the paired change.

    Args:
        task: what was asked.
        answers: of the model.
        seed: of the bootstrap.
        draws: of the bootstrap.
        base: id of a question -> whether the base was right.
    """
    n, right = len(answers), sum(a.right for a in answers)
    share, error = proportion(right, n), standard_error(right, n)
    if task.metric == "mass":
        scores = [score_of(task, a) for a in answers]
        share, error = ratio(scores, [1.0] * n, seed, draws), _error_of_mean(scores)
    by_byte = sum(a.is_right(a.likeliest_by_byte) for a in answers)
    by_char = [a.is_right(a.likeliest_by_char) for a in answers if a.likeliest_by_char is not None]
    return heading(task, answers) | {
        "accuracy": tidy(share.value), "low": tidy(share.low), "high": tidy(share.high),
        "stderr": tidy(error), "accuracy_by_byte": tidy(by_byte / n),
        "accuracy_by_char": tidy(sum(by_char) / n) if len(by_char) == n else None,
        "difference": _difference(answers, base, seed, draws) if base else None,
    }  # fmt: skip


def heading(task: Task, answers: Sequence[Any]) -> dict[str, Any]:
    """What was asked and how; the metric of a task of choices."""
    of = "share of probability on right options" if task.metric == "mass" else "accuracy of the"
    metric = of if task.metric == "mass" else f"{of} likeliest {task.answers}"
    return {
        "task": task.name, "name": task.name, "version": task.version,
        "language": task.language, "source": task.source, "licence": task.licence,
        "template": task.wording.name, "template_source": task.wording.source,
        "metric": metric, "n": len(answers), "chance": tidy(task.chance), "shots": task.shots,
        "with_fewer_shots": sum(a.shots < task.shots for a in answers),
        "cut": sum(a.cut for a in answers), "by_subject": _by_subject(task, answers),
        "difference": None,
    }  # fmt: skip


def score_of(task: Task, answer: Any) -> float:
    """A question's score by the task's metric, from 0 to 1."""
    return float(answer.right if answer.score is None else answer.score)


def _error_of_mean(values: Sequence[float]) -> float:
    mean, n = sum(values) / len(values), len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n) if n > 1 else 0.0


def _by_subject(task: Task, answers: Sequence[Any]) -> dict[str, Any]:
    groups: dict[str, list[float]] = defaultdict(list)
    for answer in answers:
        groups[answer.subject].append(score_of(task, answer))
    return {
        name: {"n": len(group), "accuracy": tidy(sum(group) / len(group))}
        for name, group in sorted(groups.items())
    }


def _difference(
    answers: Sequence[Answer], base: Mapping[str, bool], seed: int, draws: int
) -> dict[str, Any] | None:
    both = [a for a in answers if a.id in base]
    if not both:
        return None
    new, old = [a.right for a in both], [base[a.id] for a in both]
    change, gained, lost = paired_accuracy(new, old, seed, draws)
    return change.as_dict() | {"gained": gained, "lost": lost}
