"""Measure one model: bits per byte, drift from the base, multiple choice, samples.

Written are ``scores.json`` (what reports read), ``items/*.jsonl`` (one line for each document and
question, so that any two models can be compared pairwise later) and ``samples.json``. The base's
folder also holds ``drift_text.jsonl``, the text that it wrote itself and that all are measured on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hanhua.core.files import write_json
from hanhua.core.progress import Progress, Silent
from hanhua.eval import bits_per_byte, choose, drift
from hanhua.eval.compare import tidy
from hanhua.eval.config import EvalConfig
from hanhua.eval.forward import CausalModel
from hanhua.eval.items import read_as, read_lines, write_lines
from hanhua.eval.samples import make_samples
from hanhua.eval.tasks.load import load_tasks
from hanhua.eval.tasks.question import Task
from hanhua.text.document import Document

FORMAT = 1
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
    """

    config: EvalConfig
    documents: Documents
    source: str = "en"
    seed: int = 17
    device: str = "cpu"
    progress: Progress = field(default_factory=Silent)


def evaluate(
    model: Path | str,
    setting: Evaluation,
    out: Path,
    *,
    name: str = "model",
    base: Path | str | None = None,
    base_eval: Path | None = None,
) -> dict[str, Any]:
    """Measure a model and write what was found into a folder.

    Args:
        model: a model folder or hub id.
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
    loaded = CausalModel.load(model, setting.device)
    items = out / "items"
    found = {
        "format": FORMAT, "model": name, "compared_with": "base" if base_eval else None,
        "method": _method(loaded),
        "bits_per_byte": _bits(loaded, setting, items, base_eval),
        "tasks": _tasks(loaded, tasks, setting, items, base_eval),
    }  # fmt: skip
    samples = make_samples(loaded, setting.config, setting.seed)
    write_json(out / "samples.json", samples)
    found["samples"] = len(samples)
    found |= _drift(loaded, setting, out, base, base_eval)
    write_json(out / "scores.json", found)
    return found


def _method(model: CausalModel) -> dict[str, Any]:
    return {
        "context_tokens": model.context_tokens,
        "overlap": bits_per_byte.OVERLAP,
        "start_token": model.tokenizer.convert_ids_to_tokens(model.start),
        "precision": "float32",
        "interval": "95 %, percentile bootstrap over documents; Wilson for accuracy",
    }


def _bits(
    model: CausalModel, setting: Evaluation, items: Path, base_eval: Path | None
) -> dict[str, Any]:
    config = setting.config.bits_per_byte
    found = {}
    for language, documents in sorted(setting.documents.items()):
        chosen = bits_per_byte.choose(documents, config.max_docs, config.max_chars_per_doc)
        if not chosen:
            continue
        scores = bits_per_byte.score_texts(model, chosen, setting.progress)
        name = f"bits_per_byte-{language}.jsonl"
        write_lines(items / name, ({k: tidy(v) for k, v in asdict(s).items()} for s in scores))
        base = None
        if base_eval:
            base = read_as(bits_per_byte.TextScore, base_eval / "items" / name)
        draws = setting.config.intervals
        found[language] = bits_per_byte.summary(scores, setting.seed, draws, base)
    return found


def _tasks(
    model: CausalModel, tasks: Sequence[Task], setting: Evaluation, items: Path,
    base_eval: Path | None,
) -> list[dict[str, Any]]:  # fmt: skip
    found = []
    for task in tasks:
        answers = choose.ask(model, task, setting.progress)
        name = f"{task.name}.jsonl"
        write_lines(items / name, (a.as_item() for a in answers))
        base = None
        if base_eval:
            base = {row["id"]: bool(row["right"]) for row in read_lines(base_eval / "items" / name)}
        found.append(choose.summary(task, answers, setting.seed, setting.config.intervals, base))
    return found


def _drift(
    model: CausalModel, setting: Evaluation, out: Path, base: Path | str | None,
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
    old = CausalModel.load(base, setting.device)
    reason = drift.not_exact(old, model)
    method = {"exact": reason is None, "reason": reason, "unit": "bits per byte"}
    if reason is not None:
        setting.progress.say(f"  drift is not measured: {reason}")
        return {"drift": None, "drift_method": method}
    found = {}
    for place, texts in _drift_texts(old, setting, base_eval).items():
        if texts:
            measured = drift.measure(old, model, texts, setting.progress)
            write_lines(out / "items" / f"drift-{place}.jsonl", map(drift.as_item, measured))
            found[place] = drift.summary(measured, setting.seed, setting.config.intervals)
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
