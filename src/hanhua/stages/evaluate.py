"""Stages ``eval-base``, ``eval-expand`` … ``eval-prefer``: measure one model.

The untouched base is measured first; the others are compared with it item by item.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hanhua.core.artifact import Artifact
from hanhua.core.files import read_json
from hanhua.core.stage import Context, Result, Stage
from hanhua.eval.config import EvalConfig

TITLES = {
    "eval-base": "measure the untouched base",
    "eval-expand": "measure the expanded model",
    "eval-pretrain": "measure the pretrained model",
    "eval-finetune": "measure the chat model",
    "eval-prefer": "measure the preference-tuned model",
}
LEDGERS = ("corpus", "chatdata", "prefer")
"""Roles whose artifacts say which evaluation questions their texts held."""
METRICS = ("bits_per_byte", "drift", "drift_method", "tasks", "answers", "verdicts")


def run(context: Context[EvalConfig]) -> Result:
    """Measure ``inputs["model"]`` on the held-out text of ``inputs["corpus"]``.

    Where the model is not the base itself, ``inputs["base"]`` is what drift is measured from, and
    ``inputs["base-eval"]`` what scores are compared with. ``inputs["chatdata"]`` and
    ``inputs["prefer"]`` are there where they were held against evaluation questions.
    """
    import torch

    from hanhua.eval.evaluate import Evaluation, evaluate
    from hanhua.text.shards import language_files, read_language

    inputs, machine = context.inputs, context.machine
    if machine.threads:
        torch.set_num_threads(machine.threads)
    device = machine.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    corpus = inputs["corpus"].path
    documents = {
        language: list(read_language(corpus, language, "held_out"))
        for language in sorted({context.target, context.source})
        if language_files(corpus, language, "held_out")
    }
    setting = Evaluation(
        config=context.config, documents=documents, source=context.source, seed=context.seed,
        device=device, progress=context.progress, journals=context.work,
        identity=inputs["model"].fingerprint,
        base_identity=inputs["base"].fingerprint if "base" in inputs else "",
        contamination={
            role: _account(inputs[role].path) for role in LEDGERS if role in inputs
        },
    )  # fmt: skip
    model, base = inputs["model"], inputs.get("base")
    before = inputs.get("base-eval")
    if base is not None and base.fingerprint == model.fingerprint:
        base = before = None
    scores = evaluate(
        model.path / "model", setting, context.out, name=model.stage,
        base=base.path / "model" if base else None, base_eval=before.path if before else None,
    )  # fmt: skip
    return Result(counts=_counts(scores), metrics={key: scores[key] for key in METRICS})


def _account(artifact: Path) -> dict[str, Any]:
    """What a ledger tells of evaluation questions in texts."""
    ledger = artifact / "ledger.json"
    return dict(read_json(ledger).get("contamination") or {}) if ledger.is_file() else {}


def _counts(scores: Mapping[str, Any]) -> dict[str, Any]:
    texts = scores["bits_per_byte"].items()
    return {
        "documents": {language: score["n_docs"] for language, score in texts},
        "questions": {task["task"]: task["n"] for task in scores["tasks"]},
        "samples": scores["samples"],
    }


def check(config: EvalConfig, artifact: Artifact) -> None:
    """Hold the scores against the recipe's gates.

    Raises:
        GateError: when one is broken.
    """
    from hanhua.eval.gates import hold

    hold(config.gates, artifact)


def stage(name: str) -> Stage:
    """The stage that measures one model of the walk.

    Args:
        name: "eval-" and the stage that made the model.
    """
    return Stage(name=name, version=2, title=TITLES[name], run=run, check=check)
