"""Results that were measured before: hanhua's folders, and those of two other tools.

Read are: a folder of ``hanhua eval`` or of an eval stage (scores.json, items/), the latter by
``RUN`` or ``RUN/STAGE`` too; a results file of
lm-evaluation-harness (``results_*.json``, with ``samples_*.jsonl`` beside it where logged), or its
folder; an OpenCompass summary (csv), result (json) or model folder. They become one form, with
what decides whether two of them may be compared.

https://github.com/EleutherAI/lm-evaluation-harness, lm_eval/loggers/evaluation_tracker.py
https://github.com/open-compass/opencompass, opencompass/summarizers/default.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hanhua.core.errors import InputError
from hanhua.core.files import read_json
from hanhua.eval.items import read_lines
from hanhua.eval.of_run import named, scores_of

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One task, the bits per byte of one language, or one metric of its answers, of one model.

    Args:
        name: of the task, "bits_per_byte/" and language, or set, metric and language of answers.
        language: where known.
        unit: "accuracy", "bits per byte" or "share" of answers.
        value: the score, None where the tool gives none.
        n: items; None where the tool does not say.
        stderr: as the tool gives it, or None.
        chance: of guessing, where known.
        facts: what must agree for a fair comparison: version, prompt, shots, metric and so on;
            only what the tool tells.
        items: a row for each item (see ``paired.py``), or None.
        touched: items that training texts held.
        better: of a share, whether more or less of it is wanted.
    """

    name: str
    language: str
    unit: str
    value: float | None
    n: int | None
    stderr: float | None
    chance: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    items: tuple[Row, ...] | None = None
    touched: int = 0
    better: Literal["higher", "lower"] = "higher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that one evaluation tells of one model.

    Args:
        tool: "hanhua", "lm-evaluation-harness" or "OpenCompass".
        model: its name there.
        path: read from.
        measured: by name.
        facts: of all of them, such as precision and context.
    """

    tool: str
    model: str
    path: Path
    measured: Mapping[str, Measured]
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_results(path: Path) -> Results:
    """Read an evaluation, whichever tool wrote it.

    Raises:
        InputError: when nothing there is one.
    """
    from hanhua.eval.published_lm_eval import read_lm_eval
    from hanhua.eval.published_opencompass import read_opencompass, read_opencompass_folder

    path = scores_of(path)
    if path.is_dir():
        if (path / "scores.json").is_file():
            return _hanhua(path)
        for pattern, reader in (
            ("results_*.json", read_lm_eval), ("*/results_*.json", read_lm_eval),
            ("results.json", read_lm_eval), ("summary/summary_*.csv", read_opencompass),
            ("summary_*.csv", read_opencompass), ("*/summary/summary_*.csv", read_opencompass),
        ):  # fmt: skip
            if found := sorted(path.glob(pattern)):
                if reader is read_lm_eval:
                    _refuse_several(path, found)
                return reader(found[-1])  # names end in the time; the newest
        if path.resolve().parent.name == "results" and any(path.glob("*.json")):
            return read_opencompass_folder(path)
    elif path.is_file():
        return read_opencompass(path) if path.suffix == ".csv" else _json(path)
    raise InputError(
        "There are no scores here.", where=path,
        found="no scores.json, results_*.json or summary_*.csv" if path.is_dir()
        else "no such file or folder",
        fix="name a folder of `hanhua eval`, a run (runs/NAME) or a model of it "
        "(runs/NAME/pretrain), or results of lm-evaluation-harness or OpenCompass",
    )  # fmt: skip


def _refuse_several(folder: Path, found: list[Path]) -> None:
    """The harness writes a folder for each model into one: which is meant is not to be guessed."""
    models = sorted({str(file.relative_to(folder).parent) for file in found})
    if len(models) > 1:
        raise InputError(
            "There are results of several models here.", where=folder, found=", ".join(models),
            fix=f"name the folder of one, such as {folder / models[0]}",
        )  # fmt: skip


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: broken, or something else.
    """
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError("This file does not read.", where=path, found=error,
                         fix="write it again") from error  # fmt: skip
    if not isinstance(found, dict):
        raise InputError("This file holds no scores.", where=path, found=type(found).__name__,
                         fix="name results of hanhua, lm-evaluation-harness or OpenCompass")  # fmt: skip # noqa: E501
    return found


def _json(path: Path) -> Results:
    from hanhua.eval.published_lm_eval import read_lm_eval
    from hanhua.eval.published_opencompass import read_opencompass

    if path.name == "scores.json":
        return _hanhua(path.parent)
    return read_lm_eval(path) if "results" in read_object(path) else read_opencompass(path)


def _hanhua(folder: Path) -> Results:
    scores = read_object(folder / "scores.json")
    try:
        found = [_bits(folder, code, part) for code, part in scores["bits_per_byte"].items()]
        found += [_task(folder, task) for task in scores["tasks"]]
        found += _answers(folder, scores.get("answers") or {})
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "These scores are of another form.", where=folder / "scores.json", found=repr(error),
            fix="measure the model again with this release",
        ) from error  # fmt: skip
    method = scores.get("method") or {}
    facts = {key: method.get(key) for key in ("precision", "context_tokens", "endpoint")}
    return Results(
        tool="hanhua", model=named(folder, str(scores.get("model", folder.name))), path=folder,
        measured={one.name: one for one in found},
        facts={key: value for key, value in facts.items() if value is not None},
    )  # fmt: skip


def _items(folder: Path, name: str) -> tuple[Row, ...] | None:
    path = folder / "items" / f"{name}.jsonl"
    return tuple(read_lines(path)) if path.is_file() else None


def _bits(folder: Path, code: str, part: Mapping[str, Any]) -> Measured:
    return Measured(
        name=f"bits_per_byte/{code}", language=code, unit="bits per byte", value=part["value"],
        n=part["n_docs"], stderr=(part["high"] - part["low"]) / (2 * 1.959964),
        items=_items(folder, f"bits_per_byte-{code}"),
    )  # fmt: skip


def _task(folder: Path, task: Mapping[str, Any]) -> Measured:
    items = _items(folder, task["name"])
    facts = {"version": task["version"], "prompt": task["template"], "shots": task["shots"],
             "metric": task["metric"]}  # fmt: skip
    return Measured(
        name=task["name"], language=task["language"], unit="accuracy", value=task["accuracy"],
        n=task["n"], stderr=_stderr(task), chance=task.get("chance"), facts=facts, items=items,
        touched=sum(bool(row.get("contaminated")) for row in items or ()),
    )  # fmt: skip


def _answers(folder: Path, answers: Mapping[str, Any]) -> Iterator[Measured]:
    told = answers.get("method") or {}
    facts = {key: told.get(key) for key in ("rules", "prompts", "template", "max_new_tokens")}
    rows: dict[str, tuple[Row, ...]] = {}
    for score in answers.get("metrics", ()):
        set_name, metric, code = score["set"], score["metric"], score["language"]
        if set_name not in rows:
            rows[set_name] = _items(folder, f"answers-{set_name}") or ()
        items = [
            {"id": row["id"], "right": bool(row[metric]), "prompt": row["digest"]}
            for row in rows[set_name] if row["language"] == code and metric in row
        ]  # fmt: skip
        yield Measured(
            name=f"{set_name}/{metric}/{code}", language=code, unit="share", value=score["value"],
            n=score["n"], stderr=_stderr(score), facts=facts, items=tuple(items) or None,
            better=score["better"],
        )  # fmt: skip


def _stderr(task: Mapping[str, Any]) -> float | None:
    """As it is given, else from the interval."""
    if task.get("stderr") is not None:
        return float(task["stderr"])
    return float(task["high"] - task["low"]) / (2 * 1.959964)
