"""AGIEval in two languages: https://github.com/ruixiangcui/AGIEval (arXiv 2304.06364).

``harness`` is lm-evaluation-harness's: AGIEval's zero-shot prompt, the options' texts scored.
``original`` is AGIEval's own way, where an answer is written and a letter is read from it. Without
solved examples the model is asked twice: what it wrote to the first prompt stands before the
second. With them it is asked once, behind those of few_shot_prompts.csv; the repository leaves out
examples beyond 2,048 of GPT-4's tokens, here `shots` says how many there are.
"""

from __future__ import annotations

import ast
import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError
from hanhua.eval.tasks.by_file import subject_files, subject_of, values_of
from hanhua.eval.tasks.commonsense import HARNESS
from hanhua.eval.tasks.question import LETTERS, Answers, Question, Task, Wording
from hanhua.eval.tasks.rows import questions_of
from hanhua.eval.tasks.rowset import wording_of

SOURCE = "https://github.com/ruixiangcui/AGIEval"
LOADER = f"{SOURCE}/blob/main/src/dataset_loader.py"
PROMPTS = "few_shot_prompts.csv"
EXAMS = {
    "agieval_en": (
        "aqua-rat", "gaokao-english", "logiqa-en", "lsat-ar", "lsat-lr", "lsat-rc", "sat-en",
        "sat-en-without-passage", "sat-math",
    ),
    "agieval_zh": (
        "gaokao-biology", "gaokao-chemistry", "gaokao-chinese", "gaokao-geography",
        "gaokao-history", "gaokao-mathqa", "gaokao-physics", "jec-qa-ca", "jec-qa-kd", "logiqa-zh",
    ),
}  # fmt: skip
SEVERAL = frozenset({"gaokao-physics", "jec-qa-ca", "jec-qa-kd"})
"""Exams whose answers are sets of letters, in AGIEval's own scoring."""
BARE = "sat-en-without-passage"
"""Shows the examples of sat-en, without their passages."""
NEW_TOKENS = 256
"""Of a written answer; the repository asks for up to 2,000."""


def read_agieval(
    name: str, path: str, subjects: Sequence[str], wording: str, answers: str, shots: int = 0
) -> Task:
    """Read one language of AGIEval.

    Args:
        name: a key of `EXAMS`.
        path: the folder of jsonl files.
        subjects: file names without suffix; empty for all of the language.
        wording: "default", "harness" or "original".
        answers: of ``harness``: "auto" scores the options' texts.
        shots: solved examples of ``original``; ``harness`` has none, whatever is asked for.

    Raises:
        InputError: no such files, a broken row, too few examples, or answers of ``original``.
    """
    language = name[-2:]
    words = wording_of(name, _wordings(language, shots), wording)
    own = words.reference is not None
    shots = shots if own else 0
    if own and answers != "auto":
        raise InputError(
            f"Answers to {name} are written out in this wording.", where="eval.tasks.answers",
            found=answers, fix="leave answers out, or set wording to harness",
        )  # fmt: skip
    questions: list[Question] = []
    examples: dict[str, tuple[Question, ...]] = {}
    for file in subject_files(path, subjects, EXAMS[name], name):
        subject = subject_of(file)

        def parse(row: Any, place: str, subject: str = subject) -> Question:
            return _question(row, place, subject, language)

        form = '{"passage": null, "question": "…", "options": ["(A)…"], "label": "A"}'
        questions += questions_of(values_of(file), parse, subject, form)
        if shots:
            examples[subject] = _examples(file, subject, shots, language)
    chosen: Answers = "text" if answers == "auto" else answers  # type: ignore[assignment]
    return Task(
        name=name, version=1 + words.revision, language=language, source=SOURCE,
        licence="MIT; some exams have terms of their own", shots=shots, wording=words,
        answers="written" if own else chosen, questions=tuple(questions), examples=examples,
        metric="exact" if own else "accuracy", until=("<END>", "<|im_end|>") if own else (),
        max_new_tokens=NEW_TOKENS if own else 0,
        rule=(f"letter_{language}" if shots else "first_letter") if own else "",
    )  # fmt: skip


def _question(row: Any, place: str, subject: str, language: str) -> Question:
    label = row["label"]
    marks = re.findall("[A-G]", "".join(label) if isinstance(label, list) else str(label))
    right = [LETTERS.index(mark) for mark in marks]
    choices = tuple(map(str, row["options"]))
    if not right or max(right) >= len(choices):
        raise ValueError(f"label {label!r} of {len(choices)} options")
    return Question(
        place, subject, row["question"], choices, right[0], language,
        passage=row.get("passage") or "", also=tuple(right[1:]),
        kind="letters" if subject in SEVERAL else "",
    )  # fmt: skip


def _letters(question: Question) -> str:
    """Those of the right options; an exam that wants one letter gets none right of several."""
    found = [LETTERS[i] for i in (question.answer, *question.also)]
    return "".join(sorted(set(found)))


def _once_en(question: Question) -> str:
    last = LETTERS[len(question.choices) - 1]
    return (
        f"{question.passage}Q: {question.text} Answer Choices: {' '.join(question.choices)}\n"
        f"A: Among A through {last}, the answer is"
    )


def _once_zh(question: Question) -> str:
    last = LETTERS[len(question.choices) - 1]
    return (
        f"{question.passage}问题：{question.text} 选项：{' '.join(question.choices)}\n"
        f"答案：从A到{last}, 我们应选择"
    )


def _numbered_en(question: Question, number: int) -> str:
    return (
        f"Problem {number}.   {question.passage} {question.text}\n"
        f"Choose from the following options:    {' '.join(question.choices)}\n"
    )


def _numbered_zh(question: Question, number: int) -> str:
    return (
        f"问题 {number}.   {question.passage} {question.text}\n"
        f"从以下选项中选择:    {' '.join(question.choices)}\n"
    )


_ONCE = {"en": _once_en, "zh": _once_zh}
_NUMBERED = {"en": _numbered_en, "zh": _numbered_zh}
_HEAD = {
    "en": "Here are the answers for the problems in the exam.\n",
    "zh": "以下是考试中各个问题的答案。\n",
}
_SOLVED = {"en": "The answer is therefore {}\n<END>\n", "zh": "答案是 {}\n<END>\n"}
_THEN = {"en": "Therefore, among A through E, the answer is", "zh": "因此，从A到D, 我们应选择"}


def _behind_examples(language: str) -> Callable[[Question, Sequence[Question]], str]:
    numbered, solved = _NUMBERED[language], _SOLVED[language]

    def whole(question: Question, shown: Sequence[Question]) -> str:
        parts = [
            numbered(example, i) + solved.format(example.kind)
            for i, example in enumerate(shown, 1)
        ]  # fmt: skip
        return "".join([_HEAD[language], *parts, numbered(question, len(shown) + 1)])

    return whole


def _wordings(language: str, shots: int) -> dict[str, Wording]:
    once, then = _ONCE[language], _THEN[language]

    def follow(question: Question, prompt: str, text: str) -> str:
        return f"{prompt}\n{text}\n{then}"

    return {
        "harness": Wording(
            "lm-evaluation-harness agieval", HARNESS + "agieval", lambda _: "", "", "", " ", once
        ),
        "original": Wording(
            f"AGIEval's own, {'few-shot' if shots else 'zero-shot, asked twice'}", LOADER,
            lambda _: "", "", "", "", once, reference=_letters, revision=1,
            whole=_behind_examples(language) if shots else None, then=None if shots else follow,
        ),
    }  # fmt: skip


def _examples(file: Path, subject: str, shots: int, language: str) -> tuple[Question, ...]:
    """The first solved examples of an exam; ``kind`` is their answer as it is written."""
    places = [folder / PROMPTS for folder in (file.parent, file.parent.parent)]
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        raise InputError(
            "No solved examples of this set.", where=places[0], found="no such file",
            fix=f"copy the repository's data/{PROMPTS} there, or set shots to 0",
        )  # fmt: skip
    column = "sat-en" if subject == BARE else subject
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
    told = [row[column] for row in rows if row.get(column) and row[""].startswith("sample")]
    if len(told) < shots:
        raise InputError(
            "Too few solved examples.", where=path, found=f"{len(told)} of {column}, {shots} asked",
            fix="lower shots",
        )  # fmt: skip
    found = []
    for i, text in enumerate(told[:shots]):
        try:
            row = ast.literal_eval(text)
            found.append(Question(
                f"{subject}/example/{i}", subject, row["question"], tuple(row["options"]), 0,
                language, passage="" if subject == BARE else row["passage"] or "",
                kind=str(row["label"]),
            ))  # fmt: skip
        except (ValueError, SyntaxError, KeyError, TypeError) as error:
            raise InputError(
                "This solved example is of another form.", where=path,
                found=f"{error!r} in {text[:100]}", fix="fetch it again",
            ) from error  # fmt: skip
    return tuple(found)
