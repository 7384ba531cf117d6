"""A task asked, whichever way it is answered: chosen among options, or written out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from hanhua.core.progress import Progress
from hanhua.eval import choose, written
from hanhua.eval.compare import paired_ratios, tidy
from hanhua.eval.forward import CausalModel
from hanhua.eval.tasks.question import Task

Answer = choose.Answer | written.Written


def ask(model: CausalModel, task: Task, progress: Progress | None = None) -> Sequence[Answer]:
    """Ask all questions of a task, in order."""
    if task.answers == "written":
        return written.ask(model, task, progress)
    return choose.ask(model, task, progress)


def summary(task: Task, answers: Sequence[Answer], seed: int, draws: int) -> dict[str, Any]:
    """A task's scores: ``accuracy`` is the mean of its metric, whatever that is, from 0 to 1."""
    if task.answers != "written":
        chosen = [a for a in answers if isinstance(a, choose.Answer)]
        return choose.summary(task, chosen, seed, draws)
    texts = [a for a in answers if isinstance(a, written.Written)]
    return choose.heading(task, texts) | written.summary(task, texts, seed, draws)


def from_rows(task: Task, rows: Iterable[Mapping[str, Any]]) -> list[Answer]:
    """Answers from lines of an items file, those that failed left out."""
    kind: Any = written.Written if task.answers == "written" else choose.Answer
    names = [f.name for f in fields(kind)]
    return [
        kind(**{n: tuple(v) if isinstance(v := row[n], list) else v for n in names if n in row})
        for row in rows if "error" not in row
    ]  # fmt: skip


def is_binary(task: Task) -> bool:
    """Whether each question is right or wrong; else it has a score between."""
    return task.metric in ("accuracy", "exact")


def score_change(
    new: Iterable[Mapping[str, Any]], old: Iterable[Mapping[str, Any]], seed: int, draws: int
) -> dict[str, Any] | None:
    """Difference of two mean scores on the questions that both answered, by paired bootstrap.

    Returns:
        as JSON; None where they share no question.
    """
    before = {row["id"]: row for row in old if "error" not in row}
    pairs = [(r, before[r["id"]]) for r in new if "error" not in r and r["id"] in before]
    if not pairs:
        return None
    a, b = ([float(row["score"]) for row in side] for side in zip(*pairs, strict=True))
    return paired_ratios(a, b, [1.0] * len(a), seed, draws).as_dict()


def averages(task: Task, answers: Sequence[Answer]) -> dict[str, Any]:
    """Averages as published, of subjects that have questions here.

    Returns:
        ``macro``: the mean over subjects; ``by_category``: for each of the set's categories n,
        the mean over its subjects and the mean over its questions; empty for a single subject.
    """
    scores: dict[str, list[float]] = defaultdict(list)
    for answer in answers:
        scores[answer.subject].append(choose.score_of(task, answer))
    if len(scores) < 2:
        return {}
    groups: dict[str, list[str]] = defaultdict(list)
    for subject in sorted(scores):
        for category in task.categories.get(subject, ()):
            groups[category].append(subject)
    return {"macro": _macro(scores, list(scores))} | (
        {"by_category": {name: _category(scores, group) for name, group in sorted(groups.items())}}
        if groups else {}
    )  # fmt: skip


def _category(scores: Mapping[str, Sequence[float]], subjects: Sequence[str]) -> dict[str, Any]:
    all_scores = [score for subject in subjects for score in scores[subject]]
    return {
        "n": len(all_scores), "subjects": len(subjects), "macro": _macro(scores, subjects),
        "accuracy": tidy(sum(all_scores) / len(all_scores)),
    }  # fmt: skip


def _macro(scores: Mapping[str, Sequence[float]], subjects: Sequence[str]) -> float:
    means = [sum(scores[s]) / len(scores[s]) for s in subjects]
    return float(tidy(sum(means) / len(means)))
