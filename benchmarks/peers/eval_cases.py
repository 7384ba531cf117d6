"""The same questions for lm-evaluation-harness and for hanhua, from the published files.

Exams are cut to the first questions of each subject and written twice: as csv folders for hanhua,
as rows for the harness. Of the other sets both read one file of rows in the hub's form.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LETTERS = "ABCD"
EXAM_STOCK = {"cmmlu": "cmmlu_", "mmlu": "default/mmlu_", "ceval": "ceval-valid_"}
EXAM_SPLITS = {"cmmlu": "test", "mmlu": "test", "ceval": "val"}


def exam(name: str, data: Path, work: Path, subjects: int, each: int, shots: int) -> dict[str, Any]:
    """A job's part for CMMLU, MMLU or C-Eval, `each` questions of the first `subjects`."""
    source, split = data / "benchmarks" / name, EXAM_SPLITS[name]
    tasks = []
    for path in sorted((source / split).glob("*.csv"))[:subjects]:
        subject = re.sub(f"_{split}$", "", path.stem) if name != "cmmlu" else path.stem
        files = {}
        for part, n in ((split, each), ("dev", 5)):
            origin = source / part / path.name.replace(f"_{split}.csv", f"_{part}.csv")
            head, rows = _table(origin, header=name != "mmlu")
            _write_csv(work / name / part / origin.name, head, rows[:n])
            files[part] = write_rows(
                work / name / f"{subject}.{part}.jsonl", [_exam_row(name, r) for r in rows[:n]]
            )
        stock = EXAM_STOCK[name] + subject
        tasks.append({"name": f"{name}:{subject}".replace(":", "__"), "stock": stock,
                      "files": files, "shots": shots})  # fmt: skip
    own = {"name": name, "path": str(work / name), "shots": shots, "limit": 0}
    return {"tasks": tasks, "ours": [own]}


def _table(path: Path, header: bool) -> tuple[list[list[str]], list[list[str]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    return (rows[:1], rows[1:]) if header else ([], rows)


def _write_csv(path: Path, head: list[list[str]], rows: list[list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([*head, *rows])


def write_rows(path: Path, rows: list[dict[str, Any]]) -> str:
    """Rows as JSON lines; their path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return str(path)


def _exam_row(name: str, row: list[str]) -> dict[str, Any]:
    if name == "mmlu":
        return {"question": row[0], "choices": row[1:5], "answer": LETTERS.index(row[5])}
    question, answer = ("Question", "Answer") if name == "cmmlu" else ("question", "answer")
    return {question: row[1], **dict(zip(LETTERS, row[2:6], strict=True)), answer: row[6]}


def _adapters(path: Path) -> Iterator[tuple[str, list[str], int]]:
    for row in json.loads(gzip.decompress(path.read_bytes())):
        said = row["instruction"].rpartition("\n\nAnswer format:")[0].partition("question: ")[2]
        text, *choices = re.split(r"\s*(?:Answer|Solution)[1-9]: ", said)
        yield text, choices, int(row["answer"][-1]) - 1


def _arc(text: str, choices: list[str], answer: int) -> dict[str, Any]:
    labels = list(LETTERS[: len(choices)]) if len(choices) <= 4 else list("ABCDE")
    return {"question": text, "choices": {"text": choices, "label": labels},
            "answerKey": labels[answer]}  # fmt: skip


def _obqa(text: str, choices: list[str], answer: int) -> dict[str, Any]:
    row = _arc(text, choices, answer)
    return {"question_stem": row.pop("question"), **row}


def _piqa(text: str, choices: list[str], answer: int) -> dict[str, Any]:
    return {"goal": text, "sol1": choices[0], "sol2": choices[1], "label": answer}


def _truthful(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            text, *choices = re.split(r"\n\s*[A-J]\. ", row["prompt"])
            right = "abcdefghij".index(row["answer"].strip().lower())
            if right < len(choices):
                first = [choices[right], *(c for i, c in enumerate(choices) if i != right)]
                targets = {
                    "choices": [c.strip() for c in first],
                    "labels": [1] + [0] * (len(first) - 1),
                }
                yield {"question": text.strip(), "mc1_targets": targets}


def _jsonl(path: Path) -> list[dict[str, Any]]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def rows(name: str, data: Path, work: Path, n: int, shots: int) -> dict[str, Any]:
    """A job's part for a set of rows: its first n questions, the rest to draw examples from."""
    found, split = ROWS[name](data / "benchmarks")
    pool = found[n:] or found
    files = {split: write_rows(work / name / f"{split}.jsonl", found[:n]),
             "train": write_rows(work / name / "train.jsonl", pool)}  # fmt: skip
    if name == "xcopa_zh":
        files["validation"] = files.pop("train")
    own = {"name": name, "path": str(work / name), "shots": shots, "limit": 0}
    return {"tasks": [{"name": f"{name}__all", "stock": STOCK.get(name, name), "files": files,
                       "shots": shots}], "ours": [own]}  # fmt: skip


def _made(folder: str, form: Callable[..., dict[str, Any]], split: str) -> Callable[[Path], Any]:
    return lambda data: (
        [form(*row) for row in _adapters(data / "commonsense_llm_adapters" / folder)], split
    )  # fmt: skip


STOCK = {"xcopa_zh": "xcopa/default_zh"}
ROWS: dict[str, Callable[[Path], tuple[list[dict[str, Any]], str]]] = {
    "arc_easy": _made("ARC-Easy/test.json.gz", _arc, "test"),
    "arc_challenge": _made("ARC-Challenge/train.json.gz", _arc, "test"),
    "openbookqa": _made("openbookqa/test.json.gz", _obqa, "test"),
    "piqa": _made("piqa/test.json.gz", _piqa, "validation"),
    "xcopa_zh": lambda data: (_jsonl(data / "xcopa_zh" / "val.zh.jsonl"), "test"),
    "truthfulqa_mc1": lambda data: (
        list(_truthful(data / "truthfulqa" / "TruthfulQA.csv")), "validation"
    ),
    "gsm8k": lambda data: (_jsonl(data / "gsm8k" / "train.jsonl.gz"), "test"),
}  # fmt: skip
