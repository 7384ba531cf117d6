"""AGIEval in its own words: hanhua's prompts, readings and scores against AGIEval's code."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hanhua.eval import written
from hanhua.eval.forward import CausalModel
from hanhua.eval.tasks.agieval import EXAMS, PROMPTS, read_agieval
from hanhua.eval.tasks.question import Question, Task
from peers.eval_cases import write_rows
from peers.eval_originals import agieval_code

SHOTS = (0, 3)
SETTINGS = {0: "zero-shot", 3: "few-shot"}
PLANTED = (
    "A", " (B)", "The answer is therefore C", "答案是 D", "答案是C\n\n所以 B", "I think B and D.",
    "A and C, that is (A)(C)", "none", "", "Because E. The answer is (A).", "answer is:\nB", "BCD",
    "F", "G",
)  # fmt: skip
"""Answers that are read by both besides what the model wrote."""
WRITTEN = 3
"""Questions of an exam that the model answers: up to 512 tokens each, the slowest by far."""


def agieval_own(data: Path, originals: Path, model: Path, work: Path, each: int) -> dict[str, Any]:
    """Both languages without and with solved examples: what agrees, of how many."""
    code = agieval_code(originals)
    loaded = CausalModel.load(model)
    rows = dict(exams(data, work, each))
    found = {}
    for name in EXAMS:
        for shots in SHOTS:
            task = read_agieval(name, str(work), (), "original", "auto", shots)
            few = [q for q in task.questions if int(q.id.partition("/")[2]) < WRITTEN]
            answers = written.ask(loaded, dataclasses.replace(task, questions=tuple(few)))
            found[f"{name}, {SETTINGS[shots]}"] = {
                "n": len(task.questions),
                "same_prompts": same_prompts(code, task, rows, work / PROMPTS),
                **same_scores(code, task, rows, few, answers),
                "cut": sum(a.cut or a.shots < shots for a in answers),
            }  # fmt: skip
    return {"tasks": found}


def exams(data: Path, work: Path, each: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """(id of a question, row) of the first questions of each exam, which are written to `work`."""
    source = data / "benchmarks" / "agieval"
    (work / PROMPTS).write_bytes((source / PROMPTS).read_bytes())
    for path in sorted(source.glob("*.jsonl.gz")):
        exam = path.name.partition(".")[0]
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
        rows = [json.loads(line) for line in lines if line][:each]
        write_rows(work / f"{exam}.jsonl", rows)
        yield from ((f"{exam}/{i:05d}", row) for i, row in enumerate(rows))


def same_prompts(code: Any, task: Task, rows: dict[str, Any], prompts: Path) -> int:
    """Questions whose prompt is theirs to the letter; without examples the second one too."""
    same, loader, shown = 0, code.dataset_loader, {}
    for question in task.questions:
        exam, row = question.subject, rows[question.id]
        ours = task.prompt(question, task.shots)
        if not task.shots:
            theirs = loader.convert_zero_shot(row, exam)
            asked = [{"context": theirs, "metadata": 0}]
            second = loader.generate_second_stage_input(exam, asked, ["so B"])[0]["context"]
            assert task.wording.then is not None
            same += ours == theirs and task.wording.then(question, ours, "so B") == second
            continue
        if exam not in shown:
            told = loader.combine_prompt(prompts, exam, load_explanation=False)[: task.shots]
            shown[exam] = loader.concat_prompt(told, exam, 2048, end_of_example="<END>\n")[0]
        same += ours == loader.convert_few_shot(row, exam, shown[exam], task.shots)
    return same


def same_scores(
    code: Any, task: Task, rows: dict[str, Any], few: Sequence[Question],
    answers: Sequence[written.Written],
) -> dict[str, Any]:  # fmt: skip
    """Of what the model wrote, and of planted answers: read and scored as theirs."""
    setting = SETTINGS[task.shots]

    def theirs(question: Question, text: str) -> bool:
        read = code.post_process.post_process(question.subject, setting, text)
        label = rows[question.id]["label"]
        return bool(code.evaluation.evaluate_single_sample(question.subject, read, label))

    pairs = [(a.right, theirs(q, a.text)) for q, a in zip(few, answers, strict=True)]
    planted = [
        (written.judge(task, q, text).right, theirs(q, text))
        for q in task.questions for text in PLANTED
    ]  # fmt: skip
    return {
        "written": len(pairs), "same": sum(a == b for a, b in pairs),
        "accuracy": [sum(column) / len(pairs) for column in zip(*pairs, strict=True)],
        "planted": len(planted), "same_planted": sum(a == b for a, b in planted),
        "planted_accuracy": [sum(c) / len(planted) for c in zip(*planted, strict=True)],
    }  # fmt: skip
