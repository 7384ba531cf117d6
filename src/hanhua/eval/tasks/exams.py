"""CMMLU, MMLU and C-Eval, read from folders laid out as in their repositories, or from a hub.

Each has the prompt of lm-evaluation-harness, so that scores can be held against published ones,
and the prompt of its own repository: description, the first examples of dev/, question, options,
cue; the letter with the highest log-probability is the answer. C-Eval keeps the answers of its
test split to itself, so val/ is asked, as everywhere.

CMMLU: https://github.com/haonan-li/CMMLU (paper: https://arxiv.org/abs/2306.09212)
MMLU: https://github.com/hendrycks/test (paper: https://arxiv.org/abs/2009.03300)
C-Eval: https://github.com/hkust-nlp/ceval (paper: https://arxiv.org/abs/2305.08322)
Prompts: https://github.com/EleutherAI/lm-evaluation-harness, lm_eval/tasks/{cmmlu,mmlu,ceval}
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError
from hanhua.eval.tasks import categories
from hanhua.eval.tasks.exam_wordings import CEVAL_WORDINGS, CMMLU_WORDINGS, MMLU_WORDINGS
from hanhua.eval.tasks.question import LETTERS, Answers, Question, Task, Wording
from hanhua.eval.tasks.rows import Place, questions_of, rows_of
from hanhua.eval.tasks.rowset import wording_of
from hanhua.eval.tasks.subjects import CEVAL_SUBJECTS, CMMLU_SUBJECTS

N_CHOICES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """One published exam.

    Args:
        name: in recipes and results.
        language: of the questions.
        version: of hanhua's form.
        source, licence: as published.
        hub: the dataset, with one config for each subject.
        wordings: of prompts; the first is the default.
        categories: subject -> the categories that averages are published for.
        header: whether the csv files name their columns, with a number before the question.
        suffix: "{split}" stands for the split in a file's name behind the subject.
        asked: the split that is asked.
    """

    name: str
    language: str
    version: int
    source: str
    licence: str
    hub: str
    wordings: dict[str, Wording]
    categories: categories.Categories
    header: bool
    suffix: str
    asked: str = "test"

    def path(self, folder: Path, split: str, subject: str) -> Path:
        """The file of one subject and split."""
        return folder / split / f"{subject}{self.suffix.format(split=split)}.csv"

    def subjects(self, folder: Path) -> list[str]:
        """All subjects with questions to ask."""
        tail = self.suffix.format(split=self.asked) + ".csv"
        return sorted(p.name.removesuffix(tail) for p in (folder / self.asked).glob(f"*{tail}"))


EXAMS = {
    exam.name: exam
    for exam in (
        Exam(
            name="cmmlu", language="zh", version=1, source="https://github.com/haonan-li/CMMLU",
            licence="CC BY-NC-SA 4.0", hub="haonan-li/cmmlu", wordings=CMMLU_WORDINGS,
            categories=categories.CMMLU, header=True, suffix="",
        ),
        Exam(
            name="mmlu", language="en", version=2, source="https://github.com/hendrycks/test",
            licence="MIT", hub="cais/mmlu", wordings=MMLU_WORDINGS,
            categories=categories.MMLU, header=False, suffix="_{split}",
        ),
        Exam(
            name="ceval", language="zh", version=2, source="https://github.com/hkust-nlp/ceval",
            licence="CC BY-NC-SA 4.0", hub="ceval/ceval-exam", wordings=CEVAL_WORDINGS,
            categories=categories.CEVAL, header=True, suffix="_{split}", asked="val",
        ),
    )
}  # fmt: skip
KNOWN_SUBJECTS = {"cmmlu": CMMLU_SUBJECTS, "mmlu": categories.MMLU, "ceval": CEVAL_SUBJECTS}


def read_exam(
    exam: Exam, folder: Path, subjects: Sequence[str], shots: int, answers: Answers,
    wording: str = "default", dataset: str | None = None,
) -> Task:  # fmt: skip
    """Read an exam's questions and, for shots, its solved examples.

    Args:
        exam: one of `EXAMS`.
        folder: with dev/ and test/ (C-Eval: val/).
        subjects: empty for all that have questions.
        shots: examples before each question.
        answers: what is scored.
        wording: a key of the exam's wordings.
        dataset: a hub's, in place of the folder.

    Raises:
        InputError: a folder of another form, an unknown subject or wording, a broken line.
    """
    there = sorted(KNOWN_SUBJECTS[exam.name]) if dataset else exam.subjects(folder)
    if not there:
        raise InputError(
            f"This is no {exam.name} folder.", where=folder, found=f"no {exam.asked}/*.csv",
            fix=f"give the data folder of {exam.source}, with dev/ and {exam.asked}/",
        )  # fmt: skip
    for subject in subjects:
        if subject not in there:
            near = difflib.get_close_matches(subject, there, n=1)
            raise InputError(
                f"{exam.name} has no {exam.asked} questions of this subject here.",
                where=dataset or folder / exam.asked, found=subject,
                fix=f"did you mean {near[0]}?" if near else "leave subjects empty",
            )  # fmt: skip
    source = _Source(exam, folder, dataset)
    asked, words = list(subjects) or there, wording_of(exam.name, exam.wordings, wording)
    return Task(
        name=exam.name, version=exam.version + words.revision, language=exam.language,
        source=exam.source, licence=exam.licence, wording=words,
        answers=answers, shots=shots,
        questions=tuple(q for s in asked for q in source.read(exam.asked, s)),
        examples={s: _examples(source, s, shots) for s in asked} if shots else {},
        categories=exam.categories,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Source:
    """An exam's folder, or its dataset."""

    exam: Exam
    folder: Path
    dataset: str | None

    def read(self, split: str, subject: str) -> Iterator[Question]:
        if not self.dataset:
            return _read(self.exam, self.folder, split, subject)
        rows = rows_of(Place("", self.dataset, subject), split)

        def parse(row: Any, name: str) -> Question:
            choices = row["choices"] if "choices" in row else [row[c] for c in LETTERS[:N_CHOICES]]
            text = row.get("question", row.get("Question"))
            answer = row["answer"] if "answer" in row else row["Answer"]
            place = LETTERS.index(answer) if isinstance(answer, str) else int(answer)
            return Question(name, subject, text, tuple(choices), place, self.exam.language)

        return questions_of(rows, parse, subject, "question, A, B, C, D, answer")


def _examples(source: _Source, subject: str, shots: int) -> tuple[Question, ...]:
    found = tuple(source.read("dev", subject))
    if len(found) < shots:
        where = source.dataset or source.exam.path(source.folder, "dev", subject)
        raise InputError(
            "Too few solved examples.", where=where, found=f"{len(found)}, {shots} asked for",
            fix="lower shots",
        )  # fmt: skip
    return found


def _read(exam: Exam, folder: Path, split: str, subject: str) -> Iterator[Question]:
    path = exam.path(folder, split, subject)
    for i, (line, row) in enumerate(_rows(path, exam.header)):
        # Behind the answer, C-Eval's dev/ has an explanation.
        fields = row[1 : N_CHOICES + 3] if exam.header else row
        answer = fields[-1].strip() if len(fields) == N_CHOICES + 2 else ""
        if answer not in LETTERS[:N_CHOICES] or not answer:
            raise InputError(
                f"This line is no question with {N_CHOICES} options and a letter.",
                where=f"{path}:{line}", found=",".join(row), fix="fetch the file again",
            )  # fmt: skip
        yield Question(
            f"{subject}/{i:04d}", subject, fields[0], tuple(fields[1:-1]), LETTERS.index(answer),
            exam.language,
        )  # fmt: skip


def _rows(path: Path, header: bool) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of a csv file, without its header and empty lines.

    Line ends within a field stay as they are, as other programs read these files.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError("No such file.", where=path, fix="fetch the data set again") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "This file does not read.", where=path, found=error,
            fix="it must be UTF-8, as published: fetch it again, or convert it",
        ) from error  # fmt: skip
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if row and not (header and reader.line_num == 1):
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(
            "This csv file is broken.", where=f"{path}:{reader.line_num}", found=error,
            fix="fetch the file again",
        ) from error  # fmt: skip
