"""Picking a start: what is tried, what is measured, and that the best of it is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from init_cases import weights, write_corpus, write_vocab

from hanhua.core.artifact import Artifact
from hanhua.core.config import Machine
from hanhua.core.errors import InputError
from hanhua.core.progress import Silent
from hanhua.core.stage import Context
from hanhua.model.base import make_base
from hanhua.model.config import BaseConfig, ExpandConfig
from hanhua.model.load import load_model
from hanhua.model.rows import expand_model
from hanhua.stages import expand
from hanhua.train.pick_init import candidates, is_better


@pytest.fixture(scope="module")
def inputs(tiny_llama: Path, sentences: dict[str, list[str]], tmp_path_factory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("pick")
    make_base(BaseConfig(model=str(tiny_llama)), root / "base" / "model", 1)
    write_vocab(root / "base" / "model", root / "vocab")
    write_corpus(root / "corpus", sentences)
    return {name: Artifact(root / name, name, "0" * 64, {}) for name in ("base", "vocab", "corpus")}


def run(inputs: dict[str, Any], config: ExpandConfig, out: Path) -> dict[str, Any]:
    out.mkdir()
    result = expand.STAGE.run(
        Context(config=config, inputs=inputs, out=out, work=out.with_name(out.name + "-work"),
                seed=5, machine=Machine(threads=1), progress=Silent())
    )  # fmt: skip
    rows: dict[str, Any] = json.loads((out / "rows.json").read_text())
    assert result.counts["new_rows"] == rows["new_rows"]
    return rows


def test_auto_takes_the_least_that_it_measured(inputs, tmp_path: Path):
    config = ExpandConfig(
        input="auto", output="auto", auto_steps=3, auto_methods=("random", "mean", "distill"),
        distill_steps=10, auto_docs=5, measure_docs=3, auto_learning_rate=2e-3,
    )  # fmt: skip
    rows = run(inputs, config, tmp_path / "a")
    tried = rows["auto"]["tried"]
    assert [t["input"] for t in tried] == ["random", "mean", "distill"]
    assert [t["output"] for t in tried] == ["random", "mean", "mean"]
    values = [t["bits_per_byte"]["3"]["zh"] for t in tried]
    best = tried[values.index(min(values))]
    assert len(set(values)) == 3
    assert rows["auto"]["picked"] == {"input": best["input"], "output": best["output"]}
    assert rows["method"]["input"] == best["input"]
    assert all(set(t["bits_per_byte"]) == {"0", "3"} for t in tried)
    assert all(t["bits_per_byte"]["3"]["zh"] < t["bits_per_byte"]["0"]["zh"] for t in tried)
    assert rows["auto"]["documents"] == {"zh": 5, "en": 5}
    assert rows["kept"]["logits_identical"]
    load_model(tmp_path / "a" / "model")
    left = tmp_path / "a-work"
    assert not left.exists() or not list(left.iterdir())

    again = run(inputs, config, tmp_path / "b")
    assert again == rows
    one, two = weights(tmp_path / "a" / "model"), weights(tmp_path / "b" / "model")
    assert all(torch.equal(one[name], two[name]) for name in one)
    named = ExpandConfig(
        **{**config.model_dump(), "input": best["input"], "output": best["output"]}
    )
    assert run(inputs, named, tmp_path / "c").get("auto") is None
    three = weights(tmp_path / "c" / "model")
    assert all(torch.equal(one[name], three[name]) for name in one)


def test_auto_at_step_zero_trains_nothing(inputs, tmp_path: Path):
    config = ExpandConfig(input="auto", auto_steps=0, auto_methods=("mean", "random"), auto_docs=3)
    rows = run(inputs, config, tmp_path / "a")
    assert all(set(t["bits_per_byte"]) == {"0"} for t in rows["auto"]["tried"])
    assert rows["auto"]["steps"] == 0


def test_the_shortlist_follows_what_the_recipe_leaves_open():
    def pairs(**fields: Any) -> list[tuple[str, str]]:
        return [(c.input, c.output) for c in candidates(ExpandConfig(**fields))]

    methods = ("mean", "omp", "distill")
    assert pairs(input="auto", auto_methods=methods) == [
        ("mean", "mean"), ("omp", "mean"), ("distill", "mean")]  # fmt: skip
    assert pairs(output="auto", auto_methods=methods) == [("mean", "mean"), ("mean", "omp")]
    assert pairs(input="auto", output="auto", auto_methods=methods) == [
        ("mean", "mean"), ("omp", "omp"), ("distill", "mean")]  # fmt: skip
    assert pairs(input="distill", output="auto", auto_methods=("mean", "omp")) == [
        ("distill", "mean"), ("distill", "omp")]  # fmt: skip


def test_auto_without_held_out_text_is_refused(inputs, tmp_path: Path):
    without = {name: inputs[name] for name in ("base", "vocab")}
    with pytest.raises(InputError, match="held-out text of the target"):
        run(without, ExpandConfig(input="auto"), tmp_path / "a")


def test_what_english_keeps_is_measured_in_the_stage(inputs, tmp_path: Path):
    rows = run(inputs, ExpandConfig(measure_docs=4), tmp_path / "a")
    assert rows["kept"]["texts"] == 4
    assert rows["kept"]["logits_identical"]
    assert 0 < rows["kept"]["new_mass"]["mean"] < 1
    plain = run(inputs, ExpandConfig(measure_docs=0), tmp_path / "b")
    assert "kept" not in plain
    assert (rows["padding"], plain["padding"]) == ("fitted", "impossible bytes")
    same = expand_model(
        inputs["base"].path / "model", inputs["vocab"].path, tmp_path / "c", ExpandConfig(), 5
    )
    assert {k: v for k, v in plain.items() if k != "method"} == {
        k: v for k, v in same.items() if k != "method"
    }


def test_a_start_that_ran_away_is_never_the_best():
    lost, found = float("nan"), [2.0, 1.5, float("nan"), 1.7]
    for values in (found, [lost, *found], [lost, lost, *found]):
        best = values[0]
        for value in values[1:]:
            best = value if is_better(value, best) else best
        assert best == 1.5
    assert not is_better(lost, lost)
