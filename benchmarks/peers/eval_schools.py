"""AGIEval's and BBH's questions for lm-evaluation-harness and for hanhua, from the published files.

The harness reads AGIEval from a hub's copy, whose rows hold the finished prompt. Those rows are
made here by AGIEval's own code, from which the copy was made too.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

from hanhua.eval.tasks.agieval import EXAMS
from peers.eval_cases import write_rows
from peers.eval_originals import agieval_code

SHOTS = 3


def agieval(data: Path, originals: Path, work: Path, each: int) -> list[dict[str, Any]]:
    """A job's parts: the first questions of each exam, of both languages."""
    loader = agieval_code(originals).dataset_loader
    parts = []
    for name, known in EXAMS.items():
        tasks = []
        for path in sorted((data / "benchmarks" / "agieval").glob("*.jsonl*")):
            exam = path.name.partition(".")[0]
            if exam not in known:
                continue
            rows = [json.loads(line) for line in _text(path).split("\n") if line][:each]
            write_rows(work / name / f"{exam}.jsonl", rows)
            made = [_hub_row(loader, exam, row) for row in rows]
            files = {"test": write_rows(work / f"{name}.hub" / f"{exam}.jsonl", made)}
            tasks.append({"name": f"{name}__{exam}", "stock": f"agieval/{exam}", "files": files,
                          "shots": 0})  # fmt: skip
        own = {"name": name, "path": str(work / name), "limit": 0, "wording": "harness"}
        parts.append({"tasks": tasks, "ours": [own]})
    return parts


def _hub_row(loader: Any, exam: str, row: dict[str, Any]) -> dict[str, Any]:
    letters = re.findall("[A-G]", "".join(row["label"]))
    return {
        "query": loader.convert_zero_shot(row, exam), "choices": row["options"],
        "gold": ["ABCDEFG".index(letter) for letter in letters],
    }  # fmt: skip


def bbh(data: Path, work: Path, each: int, wording: str) -> dict[str, Any]:
    """A job's part: the first questions of each task, with bare answers or step by step."""
    source, folder = data / "benchmarks" / "bbh", work / f"bbh-{wording}"
    shutil.copytree(source / "cot-prompts", folder / "cot-prompts", dirs_exist_ok=True)
    stock = {"harness": "fewshot", "original": "cot_fewshot"}[wording]
    tasks = []
    for path in sorted(source.glob("*.json*")):
        name = path.name.partition(".")[0]
        rows = json.loads(_text(path))["examples"][:each]
        (folder / f"{name}.json").write_text(json.dumps({"examples": rows}), encoding="utf-8")
        files = {"test": write_rows(work / f"bbh-{wording}.hub" / f"{name}.jsonl", rows)}
        tasks.append({"name": f"bbh__{name}", "stock": f"{stock}/{name}", "files": files,
                      "shots": SHOTS})  # fmt: skip
    own = {"name": "bbh", "path": str(folder), "limit": 0, "shots": SHOTS, "wording": wording}
    return {"tasks": tasks, "ours": [own]}


def _text(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
