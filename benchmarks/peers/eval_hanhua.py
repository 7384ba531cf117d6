"""Run this project on a job: eval_hanhua.py JOB.json OUT.json; counted as in eval_harness.py."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    import torch

    from hanhua.eval import asked
    from hanhua.eval.config import TaskConfig
    from hanhua.eval.forward import CausalModel
    from hanhua.eval.tasks.load import load_tasks

    torch.set_num_threads(1)
    model = CausalModel.load(job["model"])
    tasks = load_tasks([TaskConfig.model_validate(c) for c in job["ours"]])
    start_s = time.process_time()
    items, scores = {}, {}
    for task in tasks:
        answers = asked.ask(model, task)
        scores[task.name] = asked.summary(task, answers, 1, 200)
        items[task.name] = [
            a.as_item() | {"asked": prompts(task, q, a.shots)}
            for a, q in zip(answers, task.questions, strict=True)
        ]
    result: dict[str, Any] = {
        "start_s": start_s, "cpu_s": time.process_time() - start_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "items": items, "scores": scores,
    }  # fmt: skip
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")


def prompts(task: Any, question: Any, shots: int) -> list[str]:
    """All that the model read of a question, an option each; of a written answer the prompt."""
    prompt = task.prompt(question, shots)
    if task.answers == "written":
        return [prompt]
    return [prompt + option for option in task.wording.options(question, task.answers)]


if __name__ == "__main__":
    main()
