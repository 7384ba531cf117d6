"""Measure a model behind an OpenAI-style address; what is written is what `evaluate` writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hanhua.core.errors import HanhuaError, InputError
from hanhua.core.files import write_json
from hanhua.eval.answers import measure_answers
from hanhua.eval.answers_prompts import load_prompts
from hanhua.eval.config import TaskConfig
from hanhua.eval.endpoint import AT_ONCE, Endpoint
from hanhua.eval.evaluate import FORMAT, Evaluation, add_verdicts
from hanhua.eval.measured import measure_task
from hanhua.eval.tasks.load import load_tasks
from hanhua.eval.tasks.question import Task


def read_askable(configs: Sequence[TaskConfig]) -> list[Task]:
    """The tasks, if a server can be asked them.

    Raises:
        InputError: a task whose answers are whole texts.
    """
    tasks = load_tasks(configs)
    for task in tasks:
        if task.answers != "letter":
            raise InputError(
                "A server can be asked only tasks that are answered by a letter.",
                where=task.name, found=f"answers: {task.answers}",
                fix="leave the task out, or evaluate the model's folder",
            )  # fmt: skip
    return tasks


def evaluate_endpoint(
    endpoint: Endpoint, setting: Evaluation, out: Path, place: str | None = None
) -> dict[str, Any]:
    """Measure a served model; what is written is what `evaluate` writes.

    Args:
        endpoint: where it is asked.
        setting: what to measure.
        out: the folder to write.
        place: how the server is called in the results; None: by its address.

    Raises:
        InputError: a task whose answers are whole texts; ModelError: see `Endpoint`.
    """
    tasks = read_askable(setting.config.tasks)
    prompts = load_prompts(setting.config.answers)
    if tasks:
        endpoint.probe()
    bench = setting.bench(out, None)
    found: dict[str, Any] = {
        "format": FORMAT, "model": endpoint.model, "compared_with": None,
        "method": {"endpoint": place or endpoint.url, "likeliest_tokens": endpoint.top,
                   "interval": "95 %, Wilson"},
        "bits_per_byte": {}, "drift": None,
        "drift_method": {"exact": False, "reason": "a server tells no token's distribution"},
        "tasks": [measure_task(endpoint.ask, task, bench, AT_ONCE) for task in tasks],
    }  # fmt: skip
    samples = _samples(endpoint, setting)
    write_json(out / "samples.json", samples)
    found["samples"] = len(samples)
    found["answers"] = measure_answers(endpoint.asker, prompts, setting.config.answers, bench)
    found["verdicts"] = add_verdicts(found)
    write_json(out / "scores.json", found)
    return found


def _samples(endpoint: Endpoint, setting: Evaluation) -> list[dict[str, Any]]:
    rows = []
    for language, prompts in setting.config.prompts.items():
        for prompt in prompts:
            row: dict[str, Any] = {"language": language, "prompt": prompt}
            try:
                said = endpoint.answer(prompt, setting.config.sample.max_new_tokens)
                rows.append(row | {"text": said.text, "template": endpoint.template})
            except HanhuaError as error:
                rows.append(row | {"text": "", "error": str(error.found), "template": None})
    return rows
