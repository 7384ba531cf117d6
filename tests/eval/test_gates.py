from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hanhua.core.artifact import Artifact, Digests, identity
from hanhua.core.errors import GateError, RecipeError
from hanhua.eval.config import EvalConfig
from hanhua.eval.gates import check, hold
from hanhua.stages import walk

DROP = {"value": -0.05, "low": -0.08, "high": -0.03, "p": 0.001}


def scores(**change: Any) -> dict[str, Any]:
    task = {"claim": "mmlu", "language": "en", "unit": "accuracy", "difference": DROP | change}
    bits = {"claim": "bits_per_byte/zh", "language": "zh", "unit": "bits per byte",
            "difference": {"value": -0.2, "low": -0.25, "high": -0.15}}  # fmt: skip
    return {
        "model": "pretrain", "verdicts": [task, bits], "bits_per_byte": {"zh": {}},
        "tasks": [{"language": "en"}],
        "drift": {"sampled": {"value": 0.1, "low": 0.08, "high": 0.12}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("gates", "broken"),
    [
        ({"max_en_drop": 0.02}, True),
        ({"max_en_drop": 0.03}, False),  # the interval touches it
        ({"max_en_drop": 0.06}, False),
        ({"min_en_gain": 0.0}, True),
        ({"min_zh_fall": 0.1}, False),
        ({"min_zh_fall": 0.2}, False),
        ({"min_zh_fall": 0.3}, True),
        ({"max_zh_rise": 0.0}, False),
        ({"max_drift": 0.1}, False),
        ({"max_drift": 0.05}, True),
        ({"max_ja_drop": 0.0}, False),
    ],
)
def test_a_gate_closes_where_the_whole_interval_is_beyond(
    gates: dict[str, float], broken: bool
) -> None:
    assert bool(check(scores(), gates)) is broken


@pytest.mark.parametrize(
    ("change", "gates", "broken"),
    [
        ({"n": 1, "low": -0.05, "high": -0.05, "p": 1.0}, {"max_en_drop": 0.02}, False),
        ({"n": 1, "low": -0.05, "high": -0.05, "p": 1.0}, {"min_en_gain": 0.02}, False),
        ({"n": 40, "p": 0.06}, {"max_en_drop": 0.02}, False),
        ({"n": 40, "p": 0.05}, {"max_en_drop": 0.02}, True),
        ({"n": 40, "p": 0.06}, {"min_en_gain": 0.0}, False),
        # Nothing changed where a gain was asked for: the gate is there for that.
        ({"n": 40, "value": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}, {"min_en_gain": 0.02}, True),
    ],
)
def test_what_may_be_chance_closes_no_gate(
    change: dict[str, Any], gates: dict[str, float], broken: bool
) -> None:
    assert bool(check(scores(**change), gates)) is broken


def test_drift_of_one_text_closes_no_gate() -> None:
    for n, broken in ((1, False), (2, True)):
        found = scores() | {"drift": {"sampled": {"value": 1, "low": 1, "high": 1, "n_docs": n}}}
        assert bool(check(found, {"max_drift": 0.1})) is broken


def test_a_gate_on_drift_needs_drift(tmp_path: Path) -> None:
    for drift in (None, {"docs": 0, "samples": 0}):
        with pytest.raises(ValidationError, match="max_drift needs drift"):
            EvalConfig.model_validate({"drift": drift, "gates": {"max_drift": 0.1}})
    EvalConfig.model_validate({"drift": {"docs": 0}, "gates": {"max_drift": 0.1}})
    none = scores() | {"drift": None, "drift_method": {"exact": False, "reason": "other tokens"}}
    with pytest.raises(RecipeError, match="nothing to judge by") as error:
        hold({"max_drift": 0.1}, artifact(tmp_path / "p", "eval-pretrain", none))
    assert "other tokens" in str(error.value.found)
    one = scores() | {"drift": {"sampled": {"value": 1, "low": 1, "high": 1, "n_docs": 1}}}
    with pytest.raises(RecipeError, match="nothing to judge by"):
        hold({"max_drift": 0.1}, artifact(tmp_path / "p", "eval-pretrain", one))


def artifact(folder: Path, stage: str, found: dict[str, Any]) -> Artifact:
    folder.mkdir(exist_ok=True)
    (folder / "scores.json").write_text(json.dumps(found))
    return Artifact(folder, stage, "print", {})


def test_the_message_says_what_was_measured(tmp_path: Path) -> None:
    made = artifact(tmp_path / "e", "eval-pretrain", scores())
    with pytest.raises(GateError) as caught:
        hold({"max_en_drop": 0.02, "max_drift": 0.05}, made)
    assert "mmlu: drop +5 points [+3, +8], max_en_drop is 2" in caught.value.message
    assert "2 limits" in caught.value.message
    assert caught.value.exit_code == 13
    hold({"max_en_drop": 0.05}, made)
    hold({"max_en_drop": 0.02}, artifact(tmp_path / "e", "eval-expand", scores()))


def test_a_gate_without_anything_to_judge_is_refused_at_the_base(tmp_path: Path) -> None:
    base = artifact(tmp_path / "b", "eval-base", scores())
    hold({"max_en_drop": 0.02, "min_zh_fall": 0.0, "max_drift": 1.0}, base)
    for gate in ("min_zh_gain", "max_en_rise"):
        with pytest.raises(RecipeError, match="nothing to judge by"):
            hold({gate: 0.0}, base)


def test_gates_are_named_strictly_and_are_no_part_of_the_identity() -> None:
    plain = EvalConfig()
    gated = EvalConfig(gates={"max_en_drop": 0.02, "min_zh_gain": 0})
    digests = Digests()
    assert identity(plain, digests, "eval") == identity(gated, digests, "eval")
    for wrong in ("max_en_dropp", "min_en_drop", "max_english_drop"):
        with pytest.raises(ValidationError, match="unknown gate"):
            EvalConfig(gates={wrong: 0.1})


def test_with_gates_each_model_is_measured_at_once() -> None:
    from hanhua.demo.run import demo_recipe_path
    from hanhua.recipe import load_recipe

    recipe = load_recipe(demo_recipe_path())
    sections = {name: getattr(recipe, name) for name in type(recipe).model_fields}
    late = [node.stage.name for node in walk(sections)]
    config = recipe.eval.model_copy(update={"gates": {"max_en_rise": 0.5}})
    early = [node.stage.name for node in walk(sections | {"eval": config})]
    assert sorted(early) == sorted(late)
    assert early.index("eval-pretrain") == early.index("pretrain") + 1
    assert early.index("eval-base") < early.index("pretrain")
    assert late.index("eval-base") > late.index("finetune")
    nodes = walk(sections | {"eval": config})
    for place, node in enumerate(nodes):
        assert set(node.inputs.values()) <= {other.stage.name for other in nodes[:place]}
