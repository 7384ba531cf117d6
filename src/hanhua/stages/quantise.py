"""Stage ``quantise``: the last model of the walk in fewer bits, each result held against it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanhua.core.artifact import Artifact
from hanhua.core.files import read_json
from hanhua.core.stage import Context, Result, Stage
from hanhua.export.config import QuantiseConfig

if TYPE_CHECKING:
    from hanhua.eval.config import EvalConfig

CALIBRATION_DOCS = 20_000
"""Documents of each language that are read to calibrate on, at most."""


def _run(context: Context[QuantiseConfig], measured: EvalConfig) -> Result:
    """Quantise ``inputs["model"]`` and compare with its scores in ``inputs["measured"]``."""
    import torch

    from hanhua.eval.evaluate import Evaluation
    from hanhua.export.calibration import counted_shares
    from hanhua.export.llama_cpp import LlamaCpp
    from hanhua.export.methods import METHODS
    from hanhua.export.quantise import Job
    from hanhua.export.quantise_all import Trial, quantise_all

    inputs, config, machine = context.inputs, context.config, context.machine
    if machine.threads:
        torch.set_num_threads(machine.threads)
    device = machine.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    methods = [METHODS[name] for name in config.methods]
    texts = {
        code: islice(found, CALIBRATION_DOCS) for code, found in _texts(context, "train").items()
    } if any(method.calibrated for method in methods) else {}  # fmt: skip
    tokens = inputs["tokens"].path if "tokens" in inputs else None
    job = Job(
        model=inputs["model"].path / "model", name=f"hanhua-{context.target}",
        llama=LlamaCpp.find(),
        texts=texts, shares=counted_shares(tokens, list(texts)), rows=config.calibration_rows,
        length=config.calibration_tokens, device=device, progress=context.progress,
    )  # fmt: skip
    setting = Evaluation(
        config=measured, documents={c: list(d) for c, d in _texts(context, "held_out").items()},
        source=context.source, seed=context.seed, device=device, progress=context.progress,
    )  # fmt: skip
    trial = Trial(setting=setting, source=inputs["measured"].path)
    found = quantise_all(methods, job, trial, context.out)
    counts = {row["method"]: row["bytes"] for row in found["rows"]}
    return Result(counts={"bytes": counts}, metrics={"rows": found["rows"]})


def _texts(context: Context[QuantiseConfig], part: Any) -> dict[str, Any]:
    from hanhua.text.shards import language_files, read_language

    corpus: Path = context.inputs["corpus"].path
    return {
        code: read_language(corpus, code, part)
        for code in dict.fromkeys((context.target, context.source))
        if language_files(corpus, code, part)
    }


def check(config: QuantiseConfig, artifact: Artifact) -> None:
    """Hold what was lost against the recipe's gate; the artifact stays.

    Raises:
        GateError: when a language lost more than it may.
        RecipeError: for a gate that has nothing to judge by.
    """
    if not config.gate:
        return
    from hanhua.export.quality import broken, read_losses, refusal

    rows = read_json(artifact.path / "quantise.json")["rows"]
    judged = {row["method"]: broken(read_losses(row), config.gate) for row in rows[1:]}
    if bad := {method: found for method, found in judged.items() if found}:
        where = f"quantise.gate, {artifact.path.name}"
        raise refusal(", ".join(bad), [line for found in bad.values() for line in found], where)


def stage(measured: EvalConfig) -> Stage:
    """The stage that measures by a recipe's ``eval`` section.

    Args:
        measured: that section; it is part of the identity of the scores that are an input.
    """
    return Stage(
        name="quantise", version=1, title="store the model in fewer bits", check=check,
        run=lambda context: _run(context, measured),
    )  # fmt: skip
