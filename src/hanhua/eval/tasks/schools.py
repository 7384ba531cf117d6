"""AGIEval in two languages, and GAOKAO-Bench: one file for each exam.

AGIEval: https://github.com/ruixiangcui/AGIEval (paper: https://arxiv.org/abs/2304.06364), asked
with its own zero-shot prompt; the options' texts are scored, as lm-evaluation-harness does.
GAOKAO-Bench: https://github.com/OpenLMLab/GAOKAO-Bench (paper: https://arxiv.org/abs/2305.12474).
Its own prompt asks for reasoning; here the letter is scored, in this project's words. Questions
with several parts or several right letters are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hanhua.eval.tasks.by_file import subject_files, subject_of, values_of
from hanhua.eval.tasks.question import LETTERS, Answers, Question, Task, Wording
from hanhua.eval.tasks.rows import questions_of
from hanhua.eval.tasks.rowset import wording_of

AGIEVAL_EN = (
    "aqua-rat", "gaokao-english", "logiqa-en", "lsat-ar", "lsat-lr", "lsat-rc", "sat-en",
    "sat-en-without-passage", "sat-math",
)  # fmt: skip
AGIEVAL_ZH = (
    "gaokao-biology", "gaokao-chemistry", "gaokao-chinese", "gaokao-geography", "gaokao-history",
    "gaokao-mathqa", "gaokao-physics", "jec-qa-ca", "jec-qa-kd", "logiqa-zh",
)  # fmt: skip
_AGIEVAL_SOURCE = "https://github.com/ruixiangcui/AGIEval"


def _agieval_en(question: Question) -> str:
    last = LETTERS[len(question.choices) - 1]
    return (
        f"{question.passage}Q: {question.text} Answer Choices: {' '.join(question.choices)}\n"
        f"A: Among A through {last}, the answer is"
    )


def _agieval_zh(question: Question) -> str:
    last = LETTERS[len(question.choices) - 1]
    return (
        f"{question.passage}问题：{question.text} 选项：{' '.join(question.choices)}\n"
        f"答案：从A到{last}, 我们应选择"
    )


def _agieval_wordings(body: Any) -> dict[str, Wording]:
    source = f"{_AGIEVAL_SOURCE}/blob/main/src/dataset_loader.py"
    own = Wording("AGIEval's own, zero-shot", source, lambda _: "", "", "", " ", body)
    return {"original": own}


AGIEVAL = {
    "agieval_en": ("en", AGIEVAL_EN, _agieval_wordings(_agieval_en)),
    "agieval_zh": ("zh", AGIEVAL_ZH, _agieval_wordings(_agieval_zh)),
}


def read_agieval(name: str, path: str, subjects: Sequence[str], wording: str, answers: str) -> Task:
    """Read one language of AGIEval.

    Args:
        name: a key of `AGIEVAL`.
        path: the folder of jsonl files.
        subjects: file names without suffix; empty for all of the language.
        wording: "default" or "original".
        answers: "auto" scores the options' texts.

    Raises:
        InputError: no such files, or a broken row.
    """
    language, known, wordings = AGIEVAL[name]
    questions: list[Question] = []
    for file in subject_files(path, subjects, known, name):
        subject = subject_of(file)

        def parse(row: Any, place: str, subject: str = subject) -> Question:
            return _agieval_question(row, place, subject, language)

        form = '{"passage": null, "question": "…", "options": ["(A)…"], "label": "A"}'
        questions += questions_of(values_of(file), parse, subject, form)
    kind: Answers = "text" if answers == "auto" else answers  # type: ignore[assignment]
    return Task(
        name=name, version=1, language=language, source=_AGIEVAL_SOURCE,
        licence="MIT; some exams have terms of their own", shots=0, answers=kind,
        wording=wording_of(name, wordings, wording), questions=tuple(questions),
    )  # fmt: skip


def _agieval_question(row: Any, place: str, subject: str, language: str) -> Question:
    label = row["label"]
    marks = re.findall("[A-G]", "".join(label) if isinstance(label, list) else str(label))
    right = [LETTERS.index(mark) for mark in marks]
    choices = tuple(map(str, row["options"]))
    if not right or max(right) >= len(choices):
        raise ValueError(f"label {label!r} of {len(choices)} options")
    return Question(
        place, subject, row["question"], choices, right[0], language,
        passage=row.get("passage") or "", also=tuple(right[1:]),
    )  # fmt: skip


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
