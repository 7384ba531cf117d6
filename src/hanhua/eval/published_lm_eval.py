"""Results of lm-evaluation-harness: its results file and the samples that it logs beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError
from hanhua.eval.published import Measured, Results, Row, read_object

METRICS = ("acc", "exact_match", "acc_norm")
"""Of a task the first that it has."""


def read_lm_eval(path: Path) -> Results:
    """Read ``results_*.json``; a group whose subjects are there becomes one task.

    Raises:
        InputError: when it holds no results.
    """
    found = read_object(path)
    if not isinstance(found.get("results"), dict):
        raise InputError("This file holds no results.", where=path, found=", ".join(found),
                         fix="name results_*.json of lm-evaluation-harness")  # fmt: skip
    groups = _groups(found)
    inside = {leaf for leaves in groups.values() for leaf in leaves}
    tasks = [_task(path, found, name, leaves) for name, leaves in groups.items()]
    tasks += [_task(path, found, name, [name]) for name in found["results"]
              if name not in inside | set(found.get("group_subtasks") or {})]  # fmt: skip
    config = found.get("config") or {}
    facts = {key: config[key] for key in ("model_dtype", "limit") if config.get(key) is not None}
    if found.get("lm_eval_version"):
        facts["tool's version"] = found["lm_eval_version"]
    for key in ("chat_template", "system_instruction"):
        if found.get(key):
            facts[key.replace("_", " ")] = found.get(f"{key}_sha") or True
    for key in ("max_length", "fewshot_as_multiturn"):
        if found.get(key):
            facts[key] = found[key]
    return Results(
        tool="lm-evaluation-harness", path=path,
        model=str(found.get("model_name") or config.get("model_args") or path.parent.name),
        measured={task.name: task for task in tasks if task.value is not None}, facts=facts,
    )  # fmt: skip


def _groups(found: Mapping[str, Any]) -> dict[str, list[str]]:
    """The outermost groups with the leaves under them that have results."""
    children = {k: list(v) for k, v in (found.get("group_subtasks") or {}).items() if v}
    inner = {child for names in children.values() for child in names}

    def leaves(name: str) -> Iterator[str]:
        for child in children.get(name, []):
            yield from leaves(child) if child in children else [child]

    tops = {name: list(leaves(name)) for name in children if name not in inner}
    return {
        name: there for name, below in tops.items()
        if (there := [leaf for leaf in below if leaf in found["results"]])
    }  # fmt: skip


def _task(path: Path, found: Mapping[str, Any], name: str, leaves: list[str]) -> Measured:
    metric, key = _metric(found["results"][leaves[0]])
    values = [float(found["results"][leaf].get(key, "nan")) for leaf in leaves]
    counts = [_n(found, leaf) for leaf in leaves]
    n = sum(c for c in counts if c) if all(counts) else None
    weights = [c or 1 for c in counts]
    value = sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights) if key else None
    items = [row for leaf in leaves for row in _samples(path, name, leaf, key)]
    own = found["results"].get(name, {}).get(f"{metric}_stderr,{key.partition(',')[2]}")
    if not isinstance(own, (int, float)):
        own = (value * (1 - value) / (n - 1)) ** 0.5 if value is not None and n and n > 1 else None
    return Measured(
        name=name, language="", unit="accuracy", value=value, n=n, stderr=own,
        facts=_facts(found, leaves[0], metric), items=tuple(items) or None,
    )  # fmt: skip


def _metric(result: Mapping[str, Any]) -> tuple[str, str]:
    """Its name and its key with the filter, as "acc,none"; empty where there is none."""
    for metric in METRICS:
        for key in result:
            if key.partition(",")[0] == metric:
                return metric, key
    return "", ""


def _n(found: Mapping[str, Any], leaf: str) -> int | None:
    told = (found.get("n-samples") or {}).get(leaf) or {}
    n = told.get("effective") or told.get("original")
    return int(n) if n else None


def _facts(found: Mapping[str, Any], leaf: str, metric: str) -> dict[str, Any]:
    config = (found.get("configs") or {}).get(leaf) or {}
    facts = {
        "version": (found.get("versions") or {}).get(leaf),
        "shots": (found.get("n-shot") or {}).get(leaf),
        "metric": metric or None,
        "prompt": _told(config, "doc_to_text") or None,
        "description": _told(config, "description") if config else None,
        "options": _told(config, "doc_to_choice") or None,
        "data": _told(config, "dataset_path", "dataset_name") or None,
    }
    return {key: value for key, value in facts.items() if value is not None}


def _told(config: Mapping[str, Any], *keys: str) -> str:
    return " ".join(str(config[key]) for key in keys if config.get(key) is not None)


def _samples(path: Path, group: str, leaf: str, key: str) -> list[Row]:
    """Rows of a leaf that were logged beside this results file, of the key's filter."""
    stamp = path.stem.removeprefix("results_")
    names = (f"samples_{leaf}_{stamp}.jsonl", f"samples_{leaf}.jsonl")
    file = next((f for name in names if (f := path.parent / name).is_file()), None)
    if file is None:
        return []
    subject = leaf.removeprefix(f"{group}_") if leaf != group else ""
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
        if line.strip() and (row := _sample(line, f"{file}:{number}", subject, key)):
            rows.append(row)
    return rows


def _sample(line: str, where: str, subject: str, key: str) -> Row | None:
    """A logged sample; None for one of another filter, as each sample is logged once for each."""
    metric, _, filter_ = key.partition(",")
    try:
        row = json.loads(line)
        if str(row.get("filter") or filter_) != filter_:
            return None
        doc, score = int(row["doc_id"]), float(row[metric])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError("This line is no logged sample.", where=where, found=repr(error),
                         fix="log the samples again") from error  # fmt: skip
    found = {"id": f"{subject}/{doc:04d}" if subject else f"{doc:04d}", "subject": subject,
             "right": score > 0.5}  # fmt: skip
    if score not in (0.0, 1.0):  # such as TruthfulQA's share of probability
        found["score"] = score
    return found | ({"prompt": row["prompt_hash"]} if row.get("prompt_hash") else {})
