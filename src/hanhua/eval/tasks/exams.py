"""CMMLU and MMLU, read from folders laid out as in their repositories.

Prompts are those of lm-evaluation-harness (its tasks ``cmmlu`` and ``mmlu``), so that scores can
be held against published ones: description, the first examples of dev/, question, options, cue;
the letter with the highest log-probability is the answer.

CMMLU: https://github.com/haonan-li/CMMLU (paper: https://arxiv.org/abs/2306.09212)
MMLU: https://github.com/hendrycks/test (paper: https://arxiv.org/abs/2009.03300)
Prompts: https://github.com/EleutherAI/lm-evaluation-harness, lm_eval/tasks/{cmmlu,mmlu}
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hanhua.core.errors import InputError
from hanhua.eval.tasks.question import LETTERS, Answers, Question, Task, Wording
from hanhua.eval.tasks.subjects import CMMLU_SUBJECTS

N_CHOICES = 4
HARNESS = "https://github.com/EleutherAI/lm-evaluation-harness/tree/main/lm_eval/tasks/"


def _cmmlu_description(subject: str) -> str:
    name = CMMLU_SUBJECTS.get(subject, subject)
    return f"以下是关于{name}的单项选择题，请直接给出正确答案的选项。\n\n"


def _mmlu_description(subject: str) -> str:
    name = subject.replace("_", " ")
    return f"The following are multiple choice questions (with answers) about {name}.\n\n"


@dataclass(frozen=True, slots=True)
class Exam:
    """One published exam.

    Args:
        name: in recipes and results.
        language: of the questions.
        version: of hanhua's form.
        source, licence: as published.
        wording: of prompts.
        header: whether the csv files name their columns, with a number before the question.
        suffix: "{split}" stands for dev or test in a file's name behind the subject.
    """

    name: str
    language: str
    version: int
    source: str
    licence: str
    wording: Wording
    header: bool
    suffix: str

    def path(self, folder: Path, split: str, subject: str) -> Path:
        """The file of one subject and split."""
        return folder / split / f"{subject}{self.suffix.format(split=split)}.csv"

    def subjects(self, folder: Path) -> list[str]:
        """All subjects with test questions."""
        tail = self.suffix.format(split="test") + ".csv"
        return sorted(p.name.removesuffix(tail) for p in (folder / "test").glob(f"*{tail}"))


EXAMS = {
    exam.name: exam
    for exam in (
        Exam(
            name="cmmlu",
            language="zh",
            version=1,
            source="https://github.com/haonan-li/CMMLU",
            licence="CC BY-NC-SA 4.0",
            wording=Wording(
                "lm-evaluation-harness cmmlu", HARNESS + "cmmlu", _cmmlu_description,
                "", "答案：", " ",
            ),
            header=True,
            suffix="",
        ),
        Exam(
            name="mmlu",
            language="en",
            version=1,
            source="https://github.com/hendrycks/test",
            licence="MIT",
            wording=Wording(
                "lm-evaluation-harness mmlu", HARNESS + "mmlu", _mmlu_description,
                "", "Answer:", " ",
            ),
            header=False,
            suffix="_{split}",
        ),
    )
}  # fmt: skip


def read_exam(
    exam: Exam, folder: Path, subjects: Sequence[str], shots: int, answers: Answers
) -> Task:
    """Read an exam's questions and, for shots, its solved examples.

    Args:
        exam: one of `EXAMS`.
        folder: with test/ and dev/.
        subjects: empty for all that have test questions.
        shots: examples before each question.
        answers: what is scored.

    Raises:
        InputError: a folder of another form, an unknown subject, a broken line.
    """
    there = exam.subjects(folder)
    if not there:
        raise InputError(
            f"This is no {exam.name} folder.", where=folder, found="no test/*.csv",
            fix=f"give the data folder of {exam.source}, with dev/ and test/",
        )  # fmt: skip
    for subject in subjects:
        if subject not in there:
            near = difflib.get_close_matches(subject, there, n=1)
            raise InputError(
                f"{exam.name} has no test questions of this subject here.", where=folder / "test",
                found=subject, fix=f"did you mean {near[0]}?" if near else "leave subjects empty",
            )  # fmt: skip
    asked = list(subjects) or there
    return Task(
        name=exam.name, version=exam.version, language=exam.language, source=exam.source,
        licence=exam.licence, wording=exam.wording, answers=answers, shots=shots,
        questions=tuple(q for s in asked for q in _read(exam, folder, "test", s)),
        examples={s: _examples(exam, folder, s, shots) for s in asked} if shots else {},
    )  # fmt: skip


def _examples(exam: Exam, folder: Path, subject: str, shots: int) -> tuple[Question, ...]:
    found = tuple(_read(exam, folder, "dev", subject))
    if len(found) < shots:
        raise InputError(
            "Too few solved examples.", where=exam.path(folder, "dev", subject),
            found=f"{len(found)}, {shots} asked for", fix="lower shots",
        )  # fmt: skip
    return found


def _read(exam: Exam, folder: Path, split: str, subject: str) -> Iterator[Question]:
    path = exam.path(folder, split, subject)
    for i, (line, row) in enumerate(_rows(path, exam.header)):
        fields = row[1:] if exam.header else row
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
    """(line number, fields) of a csv file, without its header and empty lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError("No such file.", where=path, fix="fetch the data set again") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("This file does not read.", where=path, found=error) from error
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
