"""Questions of one's own: a jsonl file, one object a line.

    {"question": "Who lives in Elmford?", "choices": ["Anna", "Ben"], "answer": 0,
     "language": "en", "subject": "places", "id": "optional"}

``answer`` is the index of the right choice; ``subject`` (or ``kind``) is what scores are grouped
by. Where ``"form": "continue"`` is given, a choice goes
on where the question ends; otherwise the question is put with "Question: … Answer:" in its
language. Questions of several languages become one task for each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError
from hanhua.eval.tasks.question import LETTERS, Answers, Question, Task, Wording

VERSION = 1
LABELS: Mapping[str, tuple[str, str]] = {
    "zh": ("问题：", "答案："),
    "ja": ("質問：", "答え："),
}
ENGLISH = ("Question: ", "Answer:")
KEYS = {"question", "choices", "answer", "language", "subject", "kind", "id", "form"}


def read_worlds(paths: Sequence[Path], answers: Answers) -> list[Task]:
    """Read files of questions.

    Args:
        paths: jsonl files, at least one.
        answers: what is scored.

    Returns:
        one task for each language in them, by code.

    Raises:
        InputError: naming the line that is no question.
    """
    questions = [question for path in paths for question in _read(path)]
    if not questions:
        raise InputError("No questions here.", where=paths[0], found="an empty file")
    languages = sorted({q.language for q in questions})
    return [
        Task(
            name=paths[0].stem if len(paths) == len(languages) == 1 else f"worlds-{language}",
            version=VERSION, language=language, source="a file of the recipe", licence="own",
            wording=_wording(language), answers=answers, shots=0,
            questions=tuple(q for q in questions if q.language == language),
        )
        for language in languages
    ]  # fmt: skip


def _wording(language: str) -> Wording:
    label, cue = LABELS.get(language, ENGLISH)
    return Wording(f"hanhua worlds, {language}", "hanhua", lambda _: "", label, cue, " ")


def _read(path: Path) -> Iterator[Question]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("This file of questions does not read.", where=path, found=error) from error  # fmt: skip # noqa: E501
    seen: set[tuple[str, str]] = set()
    for number, line in enumerate(lines, 1):
        if line.strip():
            question = _question(line, f"{path}:{number}", number)
            key = (question.language, question.id)
            if key in seen:
                raise InputError(
                    "Two questions have one id.", where=f"{path}:{number}", found=question.id,
                    fix="give each its own id, or none",
                )  # fmt: skip
            seen.add(key)
            yield question


def _question(line: str, where: str, number: int) -> Question:
    try:
        raw = json.loads(line)
        fault = _fault(raw)
    except ValueError as error:
        raise InputError("This line is not JSON.", where=where, found=error) from error
    if fault:
        raise InputError(
            "This line is no multiple-choice question.",
            where=where,
            found=fault,
            fix='write {"question": "…", "choices": ["…", "…"], "answer": 0, "language": "en"}',
        )
    return Question(
        id=str(raw.get("id", f"{number:06d}")),
        subject=str(raw.get("subject", raw.get("kind", ""))),
        text=raw["question"],
        choices=tuple(raw["choices"]),
        answer=raw["answer"],
        language=raw["language"],
        continues=raw.get("form") == "continue",
    )


def _fault(raw: Any) -> str | None:
    if not isinstance(raw, dict):
        return "not an object"
    if unknown := sorted(set(raw) - KEYS):
        return f"unknown key {unknown[0]!r}"
    for key in ("question", "language"):
        if not isinstance(raw.get(key), str) or not raw[key]:
            return f"{key}: {raw.get(key)!r}"
    choices, answer = raw.get("choices"), raw.get("answer")
    if not isinstance(choices, list) or not 2 <= len(choices) <= len(LETTERS):
        return f"choices: {choices!r}"
    if not all(isinstance(c, str) and c.strip() for c in choices):
        return f"choices: {choices!r}"
    if type(answer) is not int or not 0 <= answer < len(choices):
        return f"answer: {answer!r}"
    if choices.count(choices[answer]) > 1:
        return f"the right choice is there twice: {choices!r}"
    if raw.get("form", "question") not in ("question", "continue"):
        return f"form: {raw['form']!r}"
    return None
