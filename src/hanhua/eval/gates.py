"""Gates: limits on gain and loss that end a run when the interval says that they are broken.

``eval.gates`` of a recipe, with the code of a language in each name:

- ``max_en_drop: 0.02``: accuracy in no task of that language may fall by more;
- ``min_zh_gain: 0.0``: accuracy in each task of that language must rise by as much;
- ``max_en_rise: 0.05``: bits per byte of that language may rise by no more;
- ``min_zh_fall: 0.1``: bits per byte of that language must fall by as much;
- ``max_drift: 0.1``: drift from the base, in bits per byte.

A gate closes only where the whole 95 % interval of the paired difference from the base lies beyond
the limit: what may be chance ends no run. One text or question has no interval, so it closes none;
nor does a change whose own test (p, uncorrected) says that it may be none. Judged are the models
that were trained (pretrain, finetune, prefer); an expanded one has not learnt its new rows yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hanhua.core.artifact import Artifact
from hanhua.core.errors import GateError, RecipeError
from hanhua.core.files import read_json
from hanhua.eval.config import GATE
from hanhua.eval.many import ALPHA

AT_LEAST = 2
"""Texts or questions; the interval of one has no width."""
JUDGED = ("eval-pretrain", "eval-finetune", "eval-prefer")


@dataclass(frozen=True, slots=True)
class Broken:
    """A limit that the whole interval lies beyond.

    Args:
        gate: its name; limit: as in the recipe.
        claim: task, language's bits per byte or text of drift.
        value, low, high: what was measured, in the gate's direction (a drop counts upwards).
        unit: "accuracy" or "bits per byte".
    """

    gate: str
    limit: float
    claim: str
    value: float
    low: float
    high: float
    unit: str

    def __str__(self) -> str:
        """One line."""
        scale, unit = (100, "points") if self.unit == "accuracy" else (1, "bits per byte")
        value, low, high, limit = (x * scale for x in (self.value, self.low, self.high, self.limit))
        verb = self.gate.rsplit("_", 1)[-1]
        return (f"{self.claim}: {verb} {value:+.4g} {unit} [{low:+.4g}, {high:+.4g}], "
                f"{self.gate} is {limit:g}")  # fmt: skip


def check(scores: Mapping[str, Any], gates: Mapping[str, float]) -> list[Broken]:
    """The gates that a model's scores break.

    Args:
        scores: of a model that was compared with the base.
        gates: name -> limit.
    """
    return [
        broken for gate, limit in gates.items()
        for broken in (Broken(gate, limit, *found) for found in _facing(scores, gate, limit))
        if (broken.low > limit if gate.startswith("max") else broken.high < limit)
    ]  # fmt: skip


def blind(scores: Mapping[str, Any], gates: Mapping[str, float]) -> list[str]:
    """The gates for which these scores of the base hold nothing to judge by."""
    return [gate for gate in gates if not _has(scores, gate)]


def _has(scores: Mapping[str, Any], gate: str) -> bool:
    language, what = _parts(gate)
    if what == "drift":
        return True  # the base has none; see `hold`
    if what in ("rise", "fall"):
        return language in scores.get("bits_per_byte", {})
    return any(task.get("language") == language for task in scores.get("tasks", ()))


def _parts(gate: str) -> tuple[str, str]:
    found = GATE.fullmatch(gate)
    assert found, gate  # the recipe was checked
    most, how_most, least, how_least, drift = found.groups()
    return most or least or "", how_most or how_least or drift


def _facing(
    scores: Mapping[str, Any], gate: str, limit: float
) -> Iterator[tuple[str, float, float, float, str]]:
    """What a gate judges: claim, value and interval in its direction, unit."""
    language, what = _parts(gate)
    if what == "drift":
        for place, found in dict(scores.get("drift") or {}).items():
            if found.get("n_docs", AT_LEAST) < AT_LEAST:
                continue
            yield f"drift, {place}", found["value"], found["low"], found["high"], "bits per byte"
        return
    unit = "bits per byte" if what in ("rise", "fall") else "accuracy"
    for row in scores.get("verdicts", ()):
        found = row["difference"]
        if row["language"] == language and row["unit"] == unit and _tells(found, gate, limit):
            value, low, high = (found[key] for key in ("value", "low", "high"))
            if what in ("drop", "fall"):
                value, low, high = -value, -high, -low
            yield row["claim"], value, low, high, unit


def _tells(difference: Mapping[str, Any] | None, gate: str, limit: float) -> bool:
    """Whether a difference has an interval, and a test that does not speak against it.

    The test is of "nothing changed". A gate that asks for a gain closes where nothing changed, so
    there it has no say.
    """
    if not difference or difference.get("n", AT_LEAST) < AT_LEAST:
        return False
    asks_for_change = limit < 0 if gate.startswith("max") else limit > 0
    return asks_for_change or (difference.get("p") or 0.0) <= ALPHA


def hold(gates: Mapping[str, float], artifact: Artifact) -> None:
    """Let a finished evaluation pass, or end the run.

    Raises:
        RecipeError: for a gate that has nothing to judge by: behind the base's, and for drift
            behind a trained model's.
        GateError: when a limit is broken; the artifact stays.
    """
    if not gates:
        return
    if artifact.stage == "eval-base":
        _refuse_blind(read_json(artifact.path / "scores.json"), gates)
    elif artifact.stage in JUDGED:
        scores = read_json(artifact.path / "scores.json")
        if "max_drift" in gates:
            _refuse_no_drift(scores, artifact.path.name)
        if broken := check(scores, gates):
            raise GateError(
                f"The run ends here: the {scores['model']} model breaks "
                + ("a limit" if len(broken) == 1 else f"{len(broken)} limits") + " of the recipe.",
                where=f"eval.gates, {artifact.path.name}", found="; ".join(map(str, broken)),
                fix="model and scores are kept: look at the report, then change the training or "
                "the limit",
            )  # fmt: skip


def _refuse_no_drift(scores: Mapping[str, Any], name: str) -> None:
    if any(_facing(scores, "max_drift", 0.0)):
        return
    reason = (scores.get("drift_method") or {}).get("reason")
    raise RecipeError(
        "This gate has nothing to judge by.", where=f"eval.gates.max_drift, {name}",
        found=f"no drift was measured: {reason or f'fewer than {AT_LEAST} texts'}",
        fix="give it text (eval.drift, held-out text of the source), or take the gate out",
    )  # fmt: skip


def _refuse_blind(scores: Mapping[str, Any], gates: Mapping[str, float]) -> None:
    for gate in blind(scores, gates):
        what = "held-out text" if _parts(gate)[1] in ("rise", "fall") else "a task"
        raise RecipeError(
            "This gate has nothing to judge by.", where=f"eval.gates.{gate}",
            found=f"no {what} in this language was measured of the base",
            fix=f"give eval {what} in it, or take the gate out",
        )  # fmt: skip
