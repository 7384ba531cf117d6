"""The same answers as lm-evaluation-harness, and as the sets' own repositories.

    python benchmarks/agreement.py --peer PYTHON --originals FOLDER --data FOLDER
    python benchmarks/agreement.py --quick           # the prompts alone, nothing to fetch

PYTHON is that of an environment with lm-eval 0.4.13, torch and pandas; it runs beside this project
over the same files. ``--originals`` holds checkouts of haonan-li/CMMLU, hendrycks/test,
hkust-nlp/ceval and ruixiangcui/AGIEval, each by its name; ``--data`` holds models/ and benchmarks/,
or is HANHUA_DATA or ../shared/data. Every part asks `each` questions of a subject:

- ``agieval``: options' texts, by the harness's stock tasks over rows that AGIEval's own code made;
- ``bbh``, ``bbh-steps``: written answers, by the harness's bbh_fewshot and bbh_cot_fewshot;
- ``exams``: CMMLU, MMLU and C-Eval in their own words, by the code of their repositories;
- ``agieval-own``: AGIEval's prompts without and with solved examples, and how its code reads and
  scores what hanhua's model wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from evaluation import REPOSITORY, compared, real_model, shared_data
from peers.eval_cases import exam
from peers.eval_held import hold
from peers.eval_own import agieval_own
from peers.eval_rules import check_prompts
from peers.eval_schools import agieval, bbh

PARTS = ("agieval", "bbh", "bbh-steps", "exams", "agieval-own")
CONTEXT = 4096
SHOTS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="prompts of invented rows alone")
    parser.add_argument("--peer", help="Python of an environment with lm-evaluation-harness")
    parser.add_argument("--originals", type=Path, help="folder with the sets' repositories")
    parser.add_argument("--data", type=Path, help="folder with models/ and benchmarks/")
    parser.add_argument("--model", type=Path, help="a LLaMA's folder; default: stories3M")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--each", type=int, default=50, help="questions of a subject")
    parser.add_argument("--subjects", type=int, default=6, help="of each exam")
    parser.add_argument("--batch", type=int, default=4, help="of the harness")
    asked = parser.parse_args()
    if asked.quick:
        print(json.dumps({"benchmark": "agreement --quick", **check_prompts()}))
        return
    data = asked.data or shared_data()
    if not (asked.peer and asked.originals and data):
        raise SystemExit("give --peer, --originals and --data, or --quick")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = roomy(asked.model, data, Path(folder) / "model")
        for part in asked.parts:
            work = Path(folder) / part
            work.mkdir()
            found[part] = run(part, asked, data, model, work)
            print(json.dumps({part: found[part]}), flush=True)
    model_name = asked.model.name if asked.model else "stories3M"
    print(json.dumps({"benchmark": "agreement", "model": model_name, "parts": found}))


def roomy(source: Path | None, data: Path, folder: Path) -> Path:
    """A model's folder with a longer context; positions beyond its own are untrained for all."""
    if source is None:
        return real_model(data, folder)
    shutil.copytree(source, folder)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"max_position_embeddings": CONTEXT}
    path.write_text(json.dumps(config), encoding="utf-8")
    return folder


def run(part: str, asked: Any, data: Path, model: Path, work: Path) -> dict[str, Any]:
    """One part's figures, by task."""
    originals = asked.originals.resolve()
    if part == "agieval":
        parts = agieval(data, originals, work, asked.each)
        return compared(asked.peer, model, parts, work, asked.batch)
    if part.startswith("bbh"):
        made = bbh(data, work, asked.each, "original" if part == "bbh-steps" else "harness")
        return compared(asked.peer, model, [made], work, asked.batch)
    if part == "exams":
        return by_their_code(asked, data, model, work)
    return agieval_own(data, originals, model, work, asked.each)


def by_their_code(asked: Any, data: Path, model: Path, work: Path) -> dict[str, Any]:
    """CMMLU, MMLU and C-Eval by the code of their repositories."""
    names = ("cmmlu", "mmlu", "ceval")
    parts = [exam(n, data, work, asked.subjects, asked.each, SHOTS) for n in names]
    ours = [one | {"wording": "original"} for part in parts for one in part["ours"]]
    sets = [{"name": n, "path": str(work / n), "shots": SHOTS} for n in names]
    job = {"model": str(model), "ours": ours, "sets": sets,
           "originals": str(asked.originals.resolve())}  # fmt: skip
    (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
    found = {}
    for name, python in (("hanhua", sys.executable), ("originals", asked.peer)):
        script = REPOSITORY / "benchmarks" / "peers" / f"eval_{name}.py"
        out = work / f"{name}.json"
        done = subprocess.run(
            [python, str(script), str(work / "job.json"), str(out)], capture_output=True,
            text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
        found[name] = json.loads(out.read_text(encoding="utf-8"))["items"]
    return {"tasks": hold(found["hanhua"], found["originals"])}


if __name__ == "__main__":
    main()
