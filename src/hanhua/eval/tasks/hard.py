"""BIG-Bench Hard: https://github.com/suzgunmirac/BIG-Bench-Hard (arXiv 2210.09261).

Two wordings, both from the repository's three solved examples (cot-prompts/): ``harness`` is
lm-evaluation-harness's ``bbh_fewshot``, with the bare answers; ``original`` lets the model think
step by step and reads what stands behind "the answer is". White space around an answer is not
counted; the harness counts it, so a tokenizer that writes the space out scores 0 there, which
``accuracy_strict`` tells.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError
from hanhua.eval.tasks.by_file import subject_files, subject_of, values_of
from hanhua.eval.tasks.commonsense import HARNESS
from hanhua.eval.tasks.question import Question, Task, Wording
from hanhua.eval.tasks.rows import questions_of
from hanhua.eval.tasks.rowset import wording_of

SOURCE = "https://github.com/suzgunmirac/BIG-Bench-Hard"
STEPS = "Let's think step by step.\n"
_ANSWER = re.compile(r"the answer is (.*?)\.?\s*$", re.S)


def read_bbh(path: str, subjects: Sequence[str], shots: int, wording: str) -> Task:
    """Read BBH's tasks.

    Args:
        path: the repository, with bbh/ and cot-prompts/, or a folder with the json files and
            cot-prompts/ in it.
        subjects: tasks; empty for all that are there.
        shots: up to the three of cot-prompts.
        wording: "default", "harness" or "original".

    Raises:
        InputError: no such files, no prompts or too few, a broken row.
    """
    questions: list[Question] = []
    heads: dict[str, str] = {}
    examples: dict[str, tuple[Question, ...]] = {}
    steps = wording == "original"
    for file in subject_files(path, subjects, (), "bbh"):
        subject = subject_of(file)

        def parse(row: Any, place: str, subject: str = subject) -> Question:
            return Question(place, subject, row["input"], (row["target"],), 0, "en")

        form = '{"examples": [{"input": "…", "target": "…"}]}'
        questions += questions_of(values_of(file), parse, subject, form)
        if shots:
            heads[subject], solved = _prompts(file, subject)
            if len(solved) < shots:
                raise InputError(
                    "Too few solved examples.", where=f"cot-prompts/{subject}.txt",
                    found=f"{len(solved)}, {shots} asked for", fix="lower shots",
                )  # fmt: skip
            examples[subject] = solved if steps else tuple(map(_short, solved))
    made = wording_of("bbh", _wordings(heads), wording)
    return Task(
        name="bbh", version=2, language="en", source=SOURCE, licence="MIT", wording=made,
        answers="written", shots=shots, questions=tuple(questions), examples=examples,
        metric="exact", rule="behind" if steps else "whole", until=("</s>", "Q", "\n\n"),
        max_new_tokens=1024 if steps else 256,
    )  # fmt: skip


def _wordings(heads: dict[str, str]) -> dict[str, Wording]:
    def head(subject: str) -> str:
        return heads.get(subject, "")

    return {
        "harness": Wording(
            "lm-evaluation-harness bbh_fewshot", HARNESS + "bbh/fewshot", head, "", "", " ",
            lambda q: f"Q: {q.text}\nA:",
        ),
        "original": Wording(
            "BBH's own, step by step", f"{SOURCE}/tree/main/cot-prompts", head, "", "", "",
            lambda q: f"Q: {q.text}\nA: {STEPS}",
        ),
    }  # fmt: skip


def _prompts(file: Path, subject: str) -> tuple[str, tuple[Question, ...]]:
    """The first line of a prompt file, and its solved examples with their steps."""
    places = [f / "cot-prompts" / f"{subject}.txt" for f in (file.parent, file.parent.parent)]
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        raise InputError(
            "No solved examples of this task.", where=places[0], found="no such file",
            fix="copy the repository's cot-prompts/ there, or set shots to 0",
        )  # fmt: skip
    text = path.read_text(encoding="utf-8").partition("-----\n")[2]
    head, *parts = re.split(r"(?m)^Q: ", text.strip() + "\n")
    solved = []
    for i, part in enumerate(parts):
        asked, mark, answered = part.partition(f"\nA: {STEPS.strip()}")
        if not mark:
            raise InputError(
                "This prompt file is of another form.", where=path, found=part[:200],
                fix="fetch it again",
            )  # fmt: skip
        solved.append(
            Question(f"{subject}/example/{i}", subject, asked, (answered.strip(),), 0, "en")
        )
    return head.strip() + "\n\n", tuple(solved)


def _short(example: Question) -> Question:
    """The same with the bare answer."""
    found = _ANSWER.search(example.choices[0])
    return dataclasses.replace(example, choices=(found[1] if found else example.choices[0],))
