"""From the recipe's ``eval.tasks`` to tasks with the questions to ask."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Sequence

from hanhua.core.errors import InputError
from hanhua.eval.config import TaskConfig
from hanhua.eval.tasks.question import Question, Task
from hanhua.eval.tasks.registry import READERS
from hanhua.eval.written import check


def load_tasks(configs: Sequence[TaskConfig]) -> list[Task]:
    """Read the tasks of a recipe, in its order.

    Raises:
        InputError: when data are missing or broken, or two tasks would have one name.
        DependencyError: when a task's scores need a package that is not installed.
    """
    tasks = [task for config in configs for task in _load(config)]
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                "Two tasks have one name.", where="eval.tasks", found=name,
                fix="give them together as one task, or rename the file",
            )  # fmt: skip
    return tasks


def _load(config: TaskConfig) -> list[Task]:
    tasks = READERS[config.name](config)
    for task in tasks:
        if not task.questions:
            raise InputError(
                "No questions here.", where=config.path or config.dataset,
                found=f"none of {task.name}",
                fix="give the set as published, or name subjects that have questions",
            )  # fmt: skip
        check(task)
    return [dataclasses.replace(t, questions=pick(t.questions, config.limit)) for t in tasks]


def pick(questions: Sequence[Question], limit: int) -> tuple[Question, ...]:
    """At most `limit` questions, spread evenly over subjects, the same ones every time.

    Within a subject a hash of the id decides, so that a higher limit contains a lower one.
    """
    if not limit or len(questions) <= limit:
        return tuple(questions)
    by_subject: dict[str, list[Question]] = defaultdict(list)
    for question in sorted(questions, key=lambda q: _hash(q.id)):
        by_subject[question.subject].append(question)
    rank = {q.id: i for group in by_subject.values() for i, q in enumerate(group)}
    order = sorted(questions, key=lambda q: (rank[q.id], _hash(q.id)))
    chosen = {q.id for q in order[:limit]}
    return tuple(q for q in questions if q.id in chosen)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
