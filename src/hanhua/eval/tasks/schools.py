"""GAOKAO-Bench: https://github.com/OpenLMLab/GAOKAO-Bench (arXiv 2305.12474), a file an exam.

Its own prompt asks for reasoning; here the letter is scored, in this project's words. Questions
with several parts or several right letters are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hanhua.eval.tasks.by_file import subject_files, subject_of, values_of
from hanhua.eval.tasks.question import LETTERS, Question, Task, Wording
from hanhua.eval.tasks.rows import questions_of
from hanhua.eval.tasks.rowset import wording_of

_GAOKAO = Wording(
    "hanhua gaokao", "hanhua", lambda _: "", "", "", "", lambda q: f"{q.text.strip()}\n答案："
)


def read_gaokao(path: str, subjects: Sequence[str], wording: str) -> Task:
    """Read GAOKAO-Bench's questions with one right letter.

    Args:
        path: its folder Data/Objective_Questions, or files of it.
        subjects: file names without suffix; empty for all.
        wording: "default" or "hanhua".

    Raises:
        InputError: no such files, or none with a question.
    """
    questions: list[Question] = []
    for file in subject_files(path, subjects, (), "gaokao"):
        subject = subject_of(file)

        def parse(row: Any, place: str, subject: str = subject) -> Question | None:
            return _gaokao_question(row, place, subject)

        form = '{"example": [{"question": "… A. … B. …", "answer": ["A"]}]}'
        questions += questions_of(values_of(file), parse, subject, form)
    return Task(
        name="gaokao", version=1, language="zh", source="https://github.com/OpenLMLab/GAOKAO-Bench",
        licence="Apache-2.0", shots=0, answers="letter", questions=tuple(questions),
        wording=wording_of("gaokao", {"hanhua": _GAOKAO}, wording),
    )  # fmt: skip


def _gaokao_question(row: Any, place: str, subject: str) -> Question | None:
    answer = row["answer"]
    if len(answer) != 1 or len(answer[0]) != 1 or answer[0] not in LETTERS:
        return None
    # The options stand in the text; how many there are, their letters tell.
    found = re.findall(r"(?m)(?:^|\s)([A-G])\s*[.．、]", row["question"])
    n = 1 + max((LETTERS.index(letter) for letter in found), default=3)
    right = LETTERS.index(answer[0])
    if right >= n:
        return None
    return Question(place, subject, row["question"], tuple(LETTERS[:n]), right, "zh")
