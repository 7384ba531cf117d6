"""lm-evaluation-harness on a job: eval_harness.py JOB.json OUT.json, by its own Python.

Its stock tasks, with nothing changed but where the rows come from. CPU seconds are counted from
when the model and the questions are loaded, and start-up apart.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
SEED = 1234


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    import lm_eval
    import torch
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

    torch.set_num_threads(1)
    model = HFLM(pretrained=job["model"], dtype="float32", batch_size=job["batch"], device="cpu")
    loaded = load(job, Path(sys.argv[2]).with_suffix(""))
    start_s = time.process_time()
    found = evaluate(
        model, loaded, bootstrap_iters=0, log_samples=True, verbosity="ERROR",
    )  # fmt: skip
    result = {
        "version": lm_eval.__version__, "start_s": start_s,
        "cpu_s": time.process_time() - start_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "items": {name: [item(s) for s in rows] for name, rows in found["samples"].items()},
    }  # fmt: skip
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")


def load(job: dict[str, Any], folder: Path) -> Any:
    """The stock tasks over the job's files, set up as ``simple_evaluate`` does."""
    from lm_eval import tasks

    root = Path(tasks.__file__).parent
    stock = {p.stem: p for p in root.rglob("*.yaml")}
    stock |= {f"{p.parent.name}/{p.stem}": p for p in root.rglob("*.yaml")}
    folder.mkdir(parents=True, exist_ok=True)
    for task in job["tasks"]:
        own = {
            "include": str(stock[task["stock"]]), "task": task["name"], "dataset_path": "json",
            "dataset_name": None, "dataset_kwargs": {"data_files": task["files"]},
        }  # fmt: skip
        (folder / f"{task['name']}.yaml").write_text(json.dumps(own), encoding="utf-8")
    loaded = tasks.TaskManager(include_path=str(folder)).load([t["name"] for t in job["tasks"]])
    for task in job["tasks"]:
        object_ = loaded["tasks"][task["name"]]
        if object_.get_config("num_fewshot") != 0:
            object_.set_config(key="num_fewshot", value=task["shots"])
        object_.set_fewshot_seed(seed=SEED)
    return loaded


def item(sample: dict[str, Any]) -> dict[str, Any]:
    """What is held against ours."""
    kept = {
        k: sample[k] for k in ("doc_id", "acc", "acc_norm", "exact_match", "filter") if k in sample
    }
    first = sample["resps"][0][0]
    read = [str(arguments[0]) for arguments in sample["arguments"]]
    if isinstance(first, str):
        return kept | {"text": first, "asked": read}
    read = ["".join(arguments) for arguments in sample["arguments"]]
    return kept | {"asked": read, "logprobs": [float(r[0][0]) for r in sample["resps"]]}


if __name__ == "__main__":
    main()
