"""Benchmark questions put into clean documents: which of them ``hanhua corpus --against`` finds."""

from __future__ import annotations

import csv
import json
import math
import random
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from corpus_planted import HAN, WIDE, Text, converted, write_jsonl
from hanhua.text.contamination.overlap import OverlapIndex
from hanhua.text.contamination.questions import read_question_files
from hanhua.text.copies.minhash import canonical_points
from peers.measure import HERE, measure

BENCHMARKS = {"zh": ("cmmlu", "ceval"), "en": ("mmlu",)}
ALONE = {
    "quality": "false", "boilerplate": "false", "dedup": "none", "language_check": "false",
    "min_chars": "0", "max_chars_per_doc": "10000000", "pii": "[]",
}  # fmt: skip
"""Every rule off but the one that is measured."""


@dataclass(frozen=True, slots=True)
class Question:
    """As a benchmark's file has it."""

    text: str
    options: tuple[str, ...]


def read_questions(path: Path) -> Iterator[Question]:
    """The questions of CMMLU and C-Eval (named columns), MMLU (no header) or of JSON lines."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        if path.suffix == ".jsonl":
            for line in file:
                row = json.loads(line)
                yield Question(row["question"], tuple(row["choices"]))
            return
        rows = list(csv.reader(file))
    names = [name.lower() for name in rows[0]]
    start = names.index("question") if "question" in names else 0
    for cells in rows[1:] if "question" in names else rows:
        yield Question(cells[start], tuple(cells[start + 1 : start + 5]))


def letters(text: str) -> str:
    """What of a text is no space and no mark."""
    return re.sub(r"[\W_]+", "", text)


def ways(chance: random.Random, language: str) -> dict[str, Callable[[Question], str | None]]:
    """Every way in which a question is put into a document."""

    def wrapped(question: Question) -> str:
        width = chance.randint(12, 24)
        flat = question.text.replace("\n", " ")
        return "\n".join(flat[i : i + width] for i in range(0, len(flat), width))

    def spaced(question: Question) -> str:
        if language == "zh":
            return HAN.sub(lambda found: found[0] + " ", question.text)
        return re.sub(r"\s", "  ", question.text)

    found: dict[str, Callable[[Question], str | None]] = {
        "verbatim": lambda question: question.text, "re-wrapped": wrapped, "re-spaced": spaced,
        "full-width": lambda question: question.text.translate(WIDE),
        "with options": lambda question: "\n".join(
            [question.text, *(f"{n}. {o}" for n, o in zip("ABCD", question.options, strict=False))]
        ),
    }  # fmt: skip
    found |= {"short, alone": found["verbatim"], "short, with options": found["with options"]}
    if language == "zh":
        found["traditional"] = lambda question: converted(question.text, "s2t")
    return found


@dataclass(frozen=True, slots=True)
class Injected:
    """A question in a document."""

    way: str
    host: int
    question: Question
    text: str


def make(
    texts: Sequence[Text], questions: Sequence[Question], language: str, each: int, seed: int
) -> list[Injected]:
    """``each`` injections a way, each into another document; short questions by themselves."""
    chance, found = random.Random(seed), list[Injected]()
    hosts = [i for i, text in enumerate(texts) if 60 <= len(text.text) <= 20_000]
    chance.shuffle(hosts)
    short = 12 if language == "zh" else 36
    for way, put in ways(chance, language).items():
        wanted = each
        fit = [q for q in questions if (len(letters(q.text)) < short) == way.startswith("short")]
        for question in chance.sample(fit, len(fit)):
            injected = put(question) if wanted and hosts else None
            if injected and injected.strip():
                host = hosts.pop()
                text = inject(texts[host].text, injected, chance)
                found.append(Injected(way, host, question, text))
                wanted -= 1
    return found


def contamination(
    texts: Sequence[Text], paths: Sequence[Path], language: str, each: int, seed: int
) -> dict[str, Any]:
    """Found shares by way, and what is hit of clean documents.

    Args:
        texts: clean documents.
        paths: files of questions.
        language: of both.
        each: injections a way.
        seed: of all chance.
    """
    questions = [question for path in paths for question in read_questions(path)]
    made = make(texts, questions, language, each, seed)
    every = [Text(f"clean-{i}", text.text) for i, text in enumerate(texts)]
    every += [Text(f"made-{i}", injected.text) for i, injected in enumerate(made)]
    hit = dropped(every, paths, language)
    counts: dict[str, list[int]] = {}
    missed = []
    for number, injected in enumerate(made):
        if f"clean-{injected.host}" not in hit:
            count = counts.setdefault(injected.way, [0, 0])
            count[0] += f"made-{number}" in hit
            count[1] += 1
            if f"made-{number}" not in hit:
                missed.append([injected.way, injected.question.text, *injected.question.options])
    clean_hit = [text for i, text in enumerate(texts) if f"clean-{i}" in hit]
    return {
        "questions": len(questions), "documents": len(texts), "clean_hit": len(clean_hit),
        "found": {way: (*count, *wilson(*count)) for way, count in counts.items()},
        "missed": missed, "hits": looked_at(clean_hit, paths),
    }  # fmt: skip


def inject(text: str, question: str, chance: random.Random) -> str:
    """Put a question between two sentences of a text, on a line of its own."""
    ends = [found.end() for found in re.finditer(r"[。！？\n]+|[.!?]\s", text)] or [len(text)]
    place = chance.choice(ends)
    return f"{text[:place].rstrip()}\n{question}\n{text[place:]}"


def dropped(texts: Sequence[Text], paths: Sequence[Path], language: str) -> set[str]:
    """Ids of what the command drops with ``--against`` alone in force."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "texts.jsonl", Path(folder) / "out"
        write_jsonl(texts, source)
        command = [HERE, "-m", "hanhua", "corpus", str(source), "--out", str(out), "--quiet",
                   "--language", language, "--workers", "1"]  # fmt: skip
        for path in paths:
            command += ["--against", str(path)]
        for key, value in ALONE.items():
            command += ["--set", f"{key}={value}"]
        measure(command)
        report = json.loads((out / "report.json").read_text(encoding="utf-8"))
        if set(report["dropped"]) - {"contamination"}:
            raise SystemExit(f"dropped for other reasons too: {report['dropped']}")
        kept = {
            name.rsplit("/", 1)[-1]
            for path in (out / "train").glob("*.parquet")
            for name in pq.read_table(path, columns=["id"])["id"].to_pylist()
        }
    return {text.id for text in texts} - kept


def looked_at(texts: Sequence[Text], paths: Sequence[Path]) -> list[dict[str, Any]]:
    """What was hit, for a person to judge: the question and where the document is like it."""
    questions = read_question_files(paths).texts if texts else []
    index, found = OverlapIndex(questions, questions=True), []
    for text in texts:
        for overlap in index.find_all(canonical_points(text.text))[:1]:
            question = questions[overlap.item]
            found.append({
                "id": text.id, "share": overlap.share, "question": question,
                "passage": passage(text.text, question),
            })  # fmt: skip
    return found


def passage(text: str, question: str) -> str:
    """The stretch of a text that holds most pieces of the question."""
    size = 4 if HAN.search(question) else 12
    pieces = {question[i : i + size] for i in range(len(question) - size + 1)}
    places = [i for i in range(len(text) - size + 1) if text[i : i + size] in pieces]
    best = max(places, key=lambda p: sum(p <= q < p + 2 * len(question) for q in places), default=0)
    return text[max(best - 10, 0) : best + 2 * len(question)].replace("\n", " ")


def wilson(found: int, of: int) -> tuple[float, float, float]:
    """A share and its 95 % interval."""
    share, z = found / of, 1.96
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return round(share, 4), round(max(middle - half, 0), 4), round(min(middle + half, 1), 4)
