"""What a quantised model lost against the one it came from, and the gate that refuses too much.

Measured by the evaluation that measures every model: bits per byte of each language and the
questions, paired on the same documents and questions. ``max_zh_loss: 0.02`` is a share of the
unquantised model's bits per byte, ``max_zh_drop: 0.02`` accuracy in each task of that language. As
with the recipe's other gates, one closes only where the whole 95 % interval lies beyond the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hanhua.core.errors import GateError, RecipeError
from hanhua.eval.evaluate import Evaluation, evaluate
from hanhua.eval.forward import CausalModel
from hanhua.export.config import GATE


@dataclass(frozen=True, slots=True)
class Loss:
    """One language's loss on one measure; a loss counts upwards.

    Args:
        claim: "bits per byte" or the task's name.
        language: its code.
        kind: "loss" (a share of bits per byte) or "drop" (accuracy).
        value, low, high: with the 95 % interval, as shares.
        n: documents or questions.
    """

    claim: str
    language: str
    kind: str
    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """One line."""
        value, low, high = (100 * x for x in (self.value, self.low, self.high))
        unit = "%" if self.kind == "loss" else "points"
        return f"{self.language} {self.claim} {value:+.2f} {unit} [{low:+.2f}, {high:+.2f}]"


def measure(
    model: CausalModel | Path, setting: Evaluation, out: Path, name: str,
    source: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measure a model, against the source's measures where they are given.

    Args:
        model: to measure.
        setting: what on; drift and judged answers are left out.
        out: the folder for scores, items and samples.
        name: of the model, in the scores.
        source: what this function (or a recipe's evaluation) wrote for the unquantised model.
    """
    config = setting.config.model_copy(update={"drift": None, "answers": None, "gates": {}})
    plain = Evaluation(
        config=config, documents=setting.documents, source=setting.source, seed=setting.seed,
        device=setting.device, progress=setting.progress, contamination=setting.contamination,
    )  # fmt: skip
    return evaluate(model, plain, out, name=name, base_eval=source)


def losses(scores: Mapping[str, Any], source: Mapping[str, Any]) -> list[Loss]:
    """Every loss that was measured, of each language.

    Args:
        scores: of the quantised model, compared with the source.
        source: of the unquantised model.
    """
    found = []
    for language, part in scores["bits_per_byte"].items():
        change = part["difference"]
        if change:
            before = float(source["bits_per_byte"][language]["value"])
            value, low, high = (float(change[key]) / before for key in ("value", "low", "high"))
            found.append(Loss("bits per byte", language, "loss", value, low, high, part["n_docs"]))
    for task in scores["tasks"]:
        if change := task["difference"]:
            value, low, high = (-float(change[key]) for key in ("value", "high", "low"))
            found.append(Loss(task["name"], task["language"], "drop", value, low, high, task["n"]))
    return found


def read_losses(row: Mapping[str, Any]) -> list[Loss]:
    """The losses of a row of ``quantise.json``."""
    return [Loss(**loss) for loss in row["losses"]]


def broken(found: Sequence[Loss], gate: Mapping[str, float]) -> list[str]:
    """What breaks a gate, a line each.

    Raises:
        RecipeError: for a gate that has nothing to judge by.
    """
    lines = []
    for name, limit in gate.items():
        match = GATE.fullmatch(name)
        assert match, name  # the section was checked
        facing = [loss for loss in found if (loss.language, loss.kind) == match.groups()]
        if not facing:
            what = "held-out text" if match[2] == "loss" else "a task"
            raise RecipeError(
                "This gate has nothing to judge by.", where=f"quantise.gate.{name}",
                found=f"no {what} in this language was measured",
                fix=f"give {what} in it, or take the gate out",
            )  # fmt: skip
        lines += [f"{loss}, {name} is {100 * limit:g} %" for loss in facing if loss.low > limit]
    return lines


def refusal(method: str, lines: Sequence[str], where: str | Path) -> GateError:
    """The error that says why a quantised model is not given out."""
    return GateError(
        f"The {method} model loses more than it may.", where=where, found="; ".join(lines),
        fix="it is kept aside, with its scores: take a method with more bits, or widen the gate",
    )  # fmt: skip
