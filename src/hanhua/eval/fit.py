"""Prompts that fit a model's context.

What does not fit is never cut in silence: first solved examples are left out, then the beginning
of the question, and both are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hanhua.eval.forward import CausalModel
from hanhua.eval.score import Request
from hanhua.eval.tasks.question import LETTERS, Question, Task

Fitted = tuple[Request, int, bool]
"""A request, the examples that it kept, and whether the question was cut."""


def fit(model: CausalModel, task: Task, room: Callable[[Request], int]) -> list[Fitted]:
    """Requests that fit.

    Args:
        model: whose context it is.
        task: what is asked.
        room: tokens that a request's context may have.

    Returns:
        in the order of the questions.
    """
    found: dict[int, Fitted] = {}
    open_places = list(range(len(task.questions)))
    for shots in range(task.shots, -1, -1):
        requests = encode(model, task, [task.questions[i] for i in open_places], shots)
        left = []
        for i, request in zip(open_places, requests, strict=True):
            if room(request) >= len(request.context):
                found[i] = (request, shots, False)
            elif shots:
                left.append(i)
            else:
                kept = max(room(request) - 1, 0)
                tail = request.context[len(request.context) - kept :]
                found[i] = (Request((*model.before_text(tail), *tail), request.options), 0, True)
        open_places = left
    return [found[i] for i in range(len(task.questions))]


def option_room(model: CausalModel) -> Callable[[Request], int]:
    """Tokens that a context may have so that the longest option still fits behind it."""
    return lambda request: model.context_tokens - (max(map(len, request.options)) - 1)


def encode(
    model: CausalModel, task: Task, questions: Sequence[Question], shots: int
) -> list[Request]:
    """Encode each prompt alone and with each option; the option's ids are what comes on top.

    White space at the end of a prompt goes to the option, as in lm-evaluation-harness; before an
    answer that is written out it stays. A wording may ask for a letter's token by itself instead,
    where that is one token.
    """
    texts: list[str] = []
    starts: list[int] = []
    for question in questions:
        prompt = task.prompt(question, shots)
        bare = prompt if task.answers == "written" else prompt.rstrip()
        starts.append(len(texts))
        more = task.wording.options(question, task.answers)
        texts += [bare, *(prompt + option for option in more)]
    ids = model.encode(texts)
    letters = tuple(map(tuple, model.encode(LETTERS)))
    alone = task.wording.alone and task.answers == "letter"
    if alone and all(len(letter) == 1 for letter in letters):
        wanted = [letters[: len(question.choices)] for question in questions]
    else:
        wanted = [_on_top(ids, s, len(q.choices)) for q, s in zip(questions, starts, strict=True)]
    found = []
    for start, options in zip(starts, wanted, strict=True):
        context = ids[start]
        found.append(Request((*model.before_text(context), *context), options))
    return found


def _on_top(ids: Sequence[Sequence[int]], start: int, n: int) -> tuple[tuple[int, ...], ...]:
    """What each of the `n` texts behind a context has more than it."""
    size = len(ids[start])
    return tuple(tuple(x[size:]) or (x[-1],) for x in ids[start + 1 : start + 1 + n])


def fit_texts(
    model: CausalModel, texts: Sequence[str], room: int
) -> list[tuple[tuple[int, ...], bool]]:
    """Contexts of texts as they are, and whether the beginning was cut off.

    Args:
        model: whose context it is.
        texts: to be continued.
        room: tokens that a context may have.
    """
    found = []
    for ids in model.encode(texts):
        start = model.before_text(ids)
        kept = ids[max(0, len(ids) + len(start) - room) :]
        found.append(((*start, *kept), len(kept) < len(ids)))
    return found
