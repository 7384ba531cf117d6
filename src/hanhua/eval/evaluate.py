"""Measure one model: bits per byte, drift from the base, multiple choice, samples.

Written are ``scores.json`` (what reports read), ``items/*.jsonl`` (one line for each document and
question, so that any two models can be compared pairwise later) and ``samples.json``. The base's
folder also holds ``drift_text.jsonl``, the text that it wrote itself and that all are measured on.
Killed and called again with the same folder of journals, it goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from hanhua.core.files import write_json
from hanhua.core.progress import Progress, Silent
from hanhua.eval import asked, bits_per_byte, drift
from hanhua.eval.answers import asker_of, measure_answers
from hanhua.eval.answers_prompts import load_prompts
from hanhua.eval.config import EvalConfig
from hanhua.eval.contaminated import looked_for
from hanhua.eval.forward import CausalModel
from hanhua.eval.items import read_as, write_lines
from hanhua.eval.measured import Bench, measure_drift, measure_task, measure_texts
from hanhua.eval.resume import Journals
from hanhua.eval.samples import make_samples
from hanhua.eval.tasks.load import load_tasks
from hanhua.eval.verdict import Claim, at_chance, settle
from hanhua.text.document import Document

FORMAT = 1
METHOD = 1
"""Raised when the same model and items give other numbers."""
DRIFT_TEXT = "drift_text.jsonl"

Documents = Mapping[str, Sequence[Document]]
"""language -> held-out documents"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What `evaluate` measures with.

    Args:
        config: what is measured, and on how much.
        documents: held-out text by language.
        source: the base's language, in which drift is measured.
        seed: of samples and bootstraps.
        device: "cpu" or "cuda".
        progress: bars.
        journals: a folder that survives a kill; None: nothing is kept.
        identity: what tells the model from any other, such as its fingerprint; needed with
            journals.
        base_identity: the same of the base that drift is measured from.
        contamination: name of training texts -> the account of their ledger: questions that
            were looked for there, and found.
    """

    config: EvalConfig
    documents: Documents
    source: str = "en"
    seed: int = 17
    device: str = "cpu"
    progress: Progress = field(default_factory=Silent)
    journals: Path | None = None
    identity: str = ""
    base_identity: str = ""
    contamination: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def bench(self, out: Path, base_eval: Path | None) -> Bench:
        """What the parts of the evaluation share."""
        config = self.config
        looked = looked_for(self.contamination, config.tasks) if config.tasks else None
        by = {"method": METHOD, "model": self.identity, "device": self.device,
              "torch": torch.__version__}  # fmt: skip
        return Bench(
            journals=Journals(self.journals, by), items=out / "items",
            base_items=base_eval / "items" if base_eval else None, seed=self.seed,
            draws=config.intervals, progress=self.progress, looked_for=looked,
        )  # fmt: skip


def evaluate(
    model: Path | str | CausalModel,
    setting: Evaluation,
    out: Path,
    *,
    name: str = "model",
    base: Path | str | CausalModel | None = None,
    base_eval: Path | None = None,
) -> dict[str, Any]:
    """Measure a model and write what was found into a folder.

    Args:
        model: a model folder, hub id, or a model that is loaded.
        setting: what to measure, on what.
        out: the folder.
        name: of the model, in the results.
        base: the untouched base, where drift is wanted; None or the model itself: no drift.
        base_eval: the folder that this function wrote for the base, for paired comparisons.

    Returns:
        the content of scores.json.

    Raises:
        ModelError, InputError: what does not load; ArtifactError: a broken base_eval.
    """
    tasks = load_tasks(setting.config.tasks)  # first, so that a wrong path costs no hour
    prompts = load_prompts(setting.config.answers)
    loaded = _loaded(model, setting.device)
    bench = setting.bench(out, base_eval)
    found = {
        "format": FORMAT, "model": name, "compared_with": "base" if base_eval else None,
        "method": _method(loaded),
        "bits_per_byte": _bits(loaded, setting, bench),
        "tasks": [
            measure_task(lambda t, p: asked.ask(loaded, t, p), task, bench) for task in tasks
        ],
    }  # fmt: skip
    samples = make_samples(loaded, setting.config, setting.seed)
    write_json(out / "samples.json", samples)
    found["samples"] = len(samples)
    found["answers"] = measure_answers(
        lambda n: asker_of(loaded, n), prompts, setting.config.answers, bench
    )
    found |= _drift(loaded, setting, out, base, base_eval)
    found["verdicts"] = add_verdicts(found)
    write_json(out / "scores.json", found)
    return found


def _loaded(model: Path | str | CausalModel, device: str) -> CausalModel:
    return model if isinstance(model, CausalModel) else CausalModel.load(model, device)


def add_verdicts(scores: dict[str, Any]) -> list[dict[str, Any]]:
    """The verdict on every task and language, as one family; also put into their differences."""
    parts: list[dict[str, Any]] = [*scores["bits_per_byte"].values(), *scores["tasks"]]
    claims = [
        Claim(name=f"bits_per_byte/{code}", language=code, unit="bits per byte",
              difference=part["difference"])
        for code, part in scores["bits_per_byte"].items()
    ]  # fmt: skip
    for task in scores["tasks"]:
        claims.append(Claim(
            name=task["name"], language=task["language"], unit="accuracy",
            difference=task["difference"], at_chance=at_chance(task),
        ))  # fmt: skip
    rows = settle(claims)
    for part, row in zip(parts, rows, strict=True):
        part["difference"] = row["difference"]
    return [row for row in rows if row["difference"]]


def _method(model: CausalModel) -> dict[str, Any]:
    return {
        "context_tokens": model.context_tokens,
        "overlap": bits_per_byte.OVERLAP,
        "start_token": model.tokenizer.convert_ids_to_tokens(model.start),
        "precision": "float32",
        "interval": "95 %, percentile bootstrap over documents; Wilson for accuracy",
    }


def _bits(model: CausalModel, setting: Evaluation, bench: Bench) -> dict[str, Any]:
    config = setting.config.bits_per_byte
    found = {}
    for language, documents in sorted(setting.documents.items()):
        chosen = bits_per_byte.choose(documents, config.max_docs, config.max_chars_per_doc)
        if chosen:
            found[language] = measure_texts(model, language, chosen, bench)
    return found


def _drift(
    model: CausalModel, setting: Evaluation, out: Path, base: Path | str | CausalModel | None,
    base_eval: Path | None,
) -> dict[str, Any]:  # fmt: skip
    """The keys "drift" and "drift_method"; the base itself only writes its text."""
    config = setting.config.drift
    if config is None:
        return {"drift": None, "drift_method": None}
    if base is None:
        texts = drift.from_base(model, config.samples, config.sample_tokens, setting.seed)
        write_lines(out / DRIFT_TEXT, map(asdict, texts))
        return {"drift": None, "drift_method": None}
    old = _loaded(base, setting.device)
    reason = drift.not_exact(old, model)
    method = {"exact": reason is None, "reason": reason, "unit": "bits per byte"}
    if reason is not None:
        setting.progress.say(f"  drift is not measured: {reason}")
        return {"drift": None, "drift_method": method}
    bench, means = setting.bench(out, None), {"base": setting.base_identity}
    found = {
        place: measure_drift(old, model, place, texts, bench, means)
        for place, texts in _drift_texts(old, setting, base_eval).items() if texts
    }  # fmt: skip
    return {"drift": found, "drift_method": method}


def _drift_texts(
    base: CausalModel, setting: Evaluation, base_eval: Path | None
) -> dict[str, list[drift.Text]]:
    config = setting.config.drift
    assert config is not None
    documents = setting.documents.get(setting.source, ())
    chosen = bits_per_byte.choose(documents, config.docs, config.max_chars_per_doc)
    if base_eval:
        sampled = read_as(drift.Text, base_eval / DRIFT_TEXT)
    else:
        sampled = drift.from_base(base, config.samples, config.sample_tokens, setting.seed)
    return {"held_out": drift.from_documents(base, chosen), "sampled": sampled}
