"""Multiple choice: ask a task's questions, and say how well it went, with n and error.

What does not fit into the context is never cut in silence: first solved examples are left out,
then the beginning of the question, and both are counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hanhua.core.progress import Progress, Silent
from hanhua.eval.compare import paired_accuracy, proportion, standard_error, tidy
from hanhua.eval.forward import CausalModel
from hanhua.eval.score import Request, score_options
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
    """

    id: str
    subject: str
    answer: int
    choice: int
    likeliest_by_byte: int
    logprobs: tuple[float, ...]
    shots: int
    cut: bool

    @property
    def right(self) -> bool:
        """Whether the choice is the answer."""
        return self.choice == self.answer

    def as_item(self) -> dict[str, Any]:
        """One line of the items file."""
        item = asdict(self) | {"right": self.right}
        return item | {"logprobs": [tidy(round(value, 6)) for value in self.logprobs]}


def ask(model: CausalModel, task: Task, progress: Progress | None = None) -> list[Answer]:
    """Ask all questions of a task, in order.

    Args:
        model: the model to ask.
        task: the questions and the words around them.
        progress: shown by questions.
    """
    fitted = _fit(model, task)
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
    sizes = [len(o.encode()) for o in task.wording.options(question, task.answers)]
    by_byte = [score / size for score, size in zip(scores, sizes, strict=True)]
    return Answer(
        question.id, question.subject, question.answer, _argmax(scores), _argmax(by_byte),
        tuple(scores), shots, cut,
    )  # fmt: skip


def _argmax(values: Sequence[float]) -> int:
    """The first of the highest."""
    return max(range(len(values)), key=lambda i: (values[i], -i))


def _fit(model: CausalModel, task: Task) -> list[tuple[Request, int, bool]]:
    """Requests that fit the context, with the examples that each kept and whether it was cut."""
    found: dict[int, tuple[Request, int, bool]] = {}
    open_places = list(range(len(task.questions)))
    for shots in range(task.shots, -1, -1):
        requests = _requests(model, task, [task.questions[i] for i in open_places], shots)
        left = []
        for i, request in zip(open_places, requests, strict=True):
            if _room(model, request) >= len(request.context):
                found[i] = (request, shots, False)
            elif shots:
                left.append(i)
            else:
                room = max(_room(model, request) - 1, 0)
                tail = request.context[len(request.context) - room :]
                found[i] = (Request((model.start, *tail), request.options), 0, True)
        open_places = left
    return [found[i] for i in range(len(task.questions))]


def _room(model: CausalModel, request: Request) -> int:
    """Tokens that a context may have so that the longest option still fits behind it."""
    return model.context_tokens - (max(map(len, request.options)) - 1)


def _requests(
    model: CausalModel, task: Task, questions: Sequence[Question], shots: int
) -> list[Request]:
    """Encode each prompt alone and with each option; the option's ids are what comes on top."""
    texts: list[str] = []
    starts: list[int] = []
    for question in questions:
        prompt = task.prompt(question, shots)
        starts.append(len(texts))
        more = task.wording.options(question, task.answers)
        texts += [prompt, *(prompt + option for option in more)]
    ids = model.encode(texts)
    found = []
    for question, start in zip(questions, starts, strict=True):
        context = ids[start]
        wholes = ids[start + 1 : start + 1 + len(question.choices)]
        options = tuple(tuple(whole[len(context) :]) or (whole[-1],) for whole in wholes)
        found.append(Request((model.start, *context), options))
    return found


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
    by_byte = sum(a.likeliest_by_byte == a.answer for a in answers)
    share = proportion(right, n)
    return {
        "task": task.name, "name": task.name, "version": task.version,
        "language": task.language, "source": task.source, "licence": task.licence,
        "template": task.wording.name, "template_source": task.wording.source,
        "metric": f"accuracy of the likeliest {task.answers}", "n": n,
        "accuracy": tidy(share.value), "low": tidy(share.low), "high": tidy(share.high),
        "stderr": tidy(standard_error(right, n)), "chance": tidy(task.chance),
        "accuracy_by_byte": tidy(by_byte / n), "shots": task.shots,
        "with_fewer_shots": sum(a.shots < task.shots for a in answers),
        "cut": sum(a.cut for a in answers), "by_subject": _by_subject(answers),
        "difference": _difference(answers, base, seed, draws) if base else None,
    }  # fmt: skip


def _by_subject(answers: Sequence[Answer]) -> dict[str, Any]:
    groups: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        groups[answer.subject].append(answer)
    return {
        name: {"n": len(group), "accuracy": tidy(sum(a.right for a in group) / len(group))}
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
