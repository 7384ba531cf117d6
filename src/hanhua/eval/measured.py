"""Texts and tasks of one model, item by item, with a journal: the parts of an evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from hanhua.core.progress import Progress
from hanhua.eval import asked, bits_per_byte, drift
from hanhua.eval.compare import tidy
from hanhua.eval.contaminated import LookedFor
from hanhua.eval.forward import CausalModel
from hanhua.eval.items import read_lines, write_lines
from hanhua.eval.paired import Row, accuracy_change, bits_change, by_group, untouched
from hanhua.eval.resume import Journals, Work, pieces_by, pieces_of
from hanhua.eval.tasks.question import Question, Task
from hanhua.text.document import Document

T = TypeVar("T")
QUESTIONS_AT_ONCE = 256
TEXTS_AT_ONCE = 64

Ask = Callable[[Task, Progress], Sequence[asked.Answer]]
"""Asks all questions of a task, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What the parts of an evaluation share.

    Args:
        journals: where finished items are kept.
        items: the folder of items files.
        base_items: that of the model compared with; None: no comparison.
        seed, draws: of the bootstraps.
        progress: bars.
        looked_for: in training texts; None: nothing is known of that.
    """

    journals: Journals
    items: Path
    base_items: Path | None
    seed: int
    draws: int
    progress: Progress
    looked_for: LookedFor | None = None

    def old(self, name: str) -> list[dict[str, Any]] | None:
        """Rows of the model compared with.

        Raises:
            ArtifactError: when they are missing or broken.
        """
        return read_lines(self.base_items / name) if self.base_items else None


def measure_texts(
    model: CausalModel, language: str, documents: Sequence[Document], bench: Bench
) -> dict[str, Any]:
    """Bits per byte of one language's documents, written and summed up."""

    def compute(some: Sequence[Document], progress: Progress) -> list[dict[str, Any]]:
        scores = bits_per_byte.score_texts(model, some)
        with progress.bar("", None, "") as bar:
            bar.advance(len(some))
        return [{k: tidy(v) for k, v in asdict(s).items()} for s in scores]

    name = f"bits_per_byte-{language}"
    work = Work(
        name=name, items=documents, key=lambda d: d.id, content=lambda d: f"{d.id}\1{d.text}",
        pieces=pieces_of(len(documents), TEXTS_AT_ONCE), compute=compute,
        means={"overlap": bits_per_byte.OVERLAP}, unit="documents",
    )  # fmt: skip
    rows = bench.journals.measure(work, bench.progress)
    write_lines(bench.items / f"{name}.jsonl", rows)
    scores = _as(bits_per_byte.TextScore, rows)
    found = bits_per_byte.summary(scores, bench.seed, bench.draws)
    old = bench.old(f"{name}.jsonl")
    found["difference"] = bits_change(rows, old, bench.seed, bench.draws) if old else None
    return found | _account(rows, bench.journals.fingerprint(work))


def measure_task(
    ask: Ask, task: Task, bench: Bench, at_once: int = QUESTIONS_AT_ONCE
) -> dict[str, Any]:
    """A task's questions asked, written and summed up; `at_once` are one piece of a journal."""
    work = Work(
        name=task.name, items=task.questions, key=lambda q: q.id,
        content=lambda q: "\1".join([q.id, task.prompt(q, task.shots), *_options(task, q)]),
        pieces=pieces_by([q.subject for q in task.questions], at_once),
        compute=lambda some, progress: [
            answer.as_item() for answer in ask(_only(task, some), progress)
        ],
        means={"version": task.version, "wording": task.wording.name, "answers": task.answers,
               "shots": task.shots,
               "answer": [[q.answer, list(q.also), q.subject] for q in task.questions],
               "written": [task.metric, task.rule, list(task.until), task.max_new_tokens]},
        unit="questions",
    )  # fmt: skip
    rows = _with_category(task, bench.journals.measure(work, bench.progress))
    if looked := bench.looked_for:
        rows = [_marked(row, q, looked) for row, q in zip(rows, task.questions, strict=True)]
    write_lines(bench.items / f"{task.name}.jsonl", rows)
    old = bench.old(f"{task.name}.jsonl")
    answers = asked.from_rows(task, rows)
    found = asked.summary(task, answers, bench.seed, bench.draws) | asked.averages(task, answers)
    if old and not asked.is_binary(task):
        found["difference"] = asked.score_change(rows, old, bench.seed, bench.draws)
    elif old:
        found["difference"] = accuracy_change(rows, old, bench.seed, bench.draws)
        found["change_by_subject"] = by_group(rows, old)
        if any("category" in row for row in rows):
            found["change_by_category"] = by_group(rows, old, "category")
    if asked.is_binary(task) and any("contaminated" in row for row in rows):
        found["untouched"] = untouched(rows, old, bench.seed, bench.draws)
    return found | _account(rows, bench.journals.fingerprint(work))


def measure_drift(
    base: CausalModel, new: CausalModel, place: str, texts: Sequence[drift.Text], bench: Bench,
    means: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """How far a model is from the base on some texts, written and summed up."""

    def compute(some: Sequence[drift.Text], progress: Progress) -> list[dict[str, Any]]:
        found = drift.measure(base, new, some)
        with progress.bar("", None, "") as bar:
            bar.advance(len(some))
        return [drift.as_item(one) for one in found]

    work = Work(
        name=f"drift-{place}", items=texts, key=lambda t: t.id,
        content=lambda t: f"{t.id}\1{t.ids}", pieces=pieces_of(len(texts), TEXTS_AT_ONCE),
        compute=compute, means=means, unit="texts",
    )  # fmt: skip
    rows = bench.journals.measure(work, bench.progress)
    write_lines(bench.items / f"drift-{place}.jsonl", rows)
    found = drift.summary(_as(drift.TextDrift, rows), bench.seed, bench.draws)
    return found | _account(rows, bench.journals.fingerprint(work))


def _only(task: Task, questions: Sequence[Question]) -> Task:
    return dataclasses.replace(task, questions=tuple(questions))


def _with_category(task: Task, rows: Iterable[Row]) -> list[Row]:
    """Rows with the first category that their subject is published under."""
    return [
        {**row, "category": task.categories[row["subject"]][0]}
        if row.get("subject") in task.categories else row
        for row in rows
    ]  # fmt: skip


def _options(task: Task, question: Question) -> list[str]:
    return task.wording.options(question, task.answers)


def _marked(row: Row, question: Question, looked: LookedFor) -> Row:
    """The row with ``contaminated``, and by what; without it where it was never looked for."""
    held = looked.held(question.text, question.choices)
    if held is None:
        return row
    return {**row, "contaminated": bool(held)} | ({"contaminated_by": list(held)} if held else {})


def _account(rows: Sequence[Row], print_: str) -> dict[str, Any]:
    """How many items failed, and the fingerprint of what was measured."""
    failed = sum("error" in row for row in rows)
    return {"fingerprint": print_} | ({"failed": failed} if failed else {})


def _as(kind: type[T], rows: Iterable[Row]) -> list[T]:
    """Rows that were measured, as a dataclass whose lists are tuples."""
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    return [
        kind(**{n: tuple(v) if isinstance(v := row[n], list) else v for n in names if n in row})
        for row in rows if "error" not in row
    ]  # fmt: skip
