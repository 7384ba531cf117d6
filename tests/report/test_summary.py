"""The ledger's summary and the verdict in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from walked import BITS, DOCS, MODELS, write_run

from hanhua.core.files import read_json
from hanhua.report.headline import change
from hanhua.report.summary import summarise, text_summary
from hanhua.report.verdict import judge_choice


def test_summary_holds_the_figures_of_every_model(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path)
    ledger = read_json(run_dir / "ledger.json")
    summary = ledger["summary"]
    for model in MODELS:
        bits = summary["bits_per_byte"][model]
        assert {code: bits[code]["value"] for code in bits} == pytest.approx(BITS[model])
        assert bits["zh"]["low"] < bits["zh"]["value"] < bits["zh"]["high"]
        assert bits["zh"]["n_docs"] == DOCS
        assert [task["task"] for task in summary["tasks"][model]] == ["cmmlu", "mmlu"]
    assert summary["drift"]["finetune"]["held_out"]["value"] > 0
    assert summary["tokens_per_char"]["before"]["zh"] > summary["tokens_per_char"]["after"]["zh"]
    assert summary["shares"]["asked"] == {"zh": 0.7, "en": 0.3}
    assert summarise(run_dir, ledger["stages"]) == summary


def test_summary_of_nothing_is_empty(tmp_path: Path) -> None:
    assert summarise(tmp_path, {}) == {}
    assert summarise(tmp_path, {"eval-base": {"path": "gone", "metrics": None}}) == {}
    assert text_summary({}) == "nothing measured yet"


def test_text_summary_is_a_short_verdict(tmp_path: Path) -> None:
    lines = text_summary(read_json(write_run(tmp_path) / "ledger.json")).splitlines()
    assert lines[0].startswith("Chinese: gained: 24.100 → 2.660 bits per byte (−89.0 %)")
    assert lines[1].startswith("English: gained: 2.950 → 2.740")
    assert lines[2] == "cmmlu: gained: 25.0 % → 45.0 % right (n = 200, chance 25.0 %)"
    assert "0.1200 (held-out)" in lines[4]
    assert lines[5] == "Tokens per character of Chinese text: 2.93 → 0.83"
    assert len(lines) == 7


def scores(value: float, low: float, high: float, **more: Any) -> dict[str, Any]:
    return {"en": {"value": value, "low": low, "high": high, **more}}


@pytest.mark.parametrize(
    ("after", "judged"),
    [
        (scores(2.0, 1.9, 2.1), "gained"),
        (scores(4.0, 3.9, 4.1), "lost"),
        (scores(2.9, 2.8, 3.0), "even"),
        (scores(2.9, 2.8, 3.0, difference={"value": -0.1, "low": -0.12, "high": -0.08}), "gained"),
        (scores(3.1, 3.0, 3.2, difference={"value": 0.1, "low": 0.08, "high": 0.12}), "lost"),
        (scores(2.0, 1.9, 2.1, difference={"value": -1.0, "low": -2.1, "high": 0.1}), "even"),
        ({"en": {"value": 2.0}}, None),
    ],
)
def test_verdict_follows_the_intervals(after: dict[str, Any], judged: str | None) -> None:
    summary = {"bits_per_byte": {"base": scores(3.0, 2.9, 3.1), "finetune": after}}
    found = change(summary, "en")
    assert found is not None
    assert found.judged == judged


def test_no_change_without_a_base_or_a_later_model() -> None:
    assert change({"bits_per_byte": {"base": scores(3.0, 2.9, 3.1)}}, "en") is None
    assert change({"bits_per_byte": {"finetune": scores(3.0, 2.9, 3.1)}}, "en") is None


@pytest.mark.parametrize(
    ("accuracy", "moved", "judged"),
    [
        (0.21, -0.06, "even"),  # both guess: the favourite letter changed
        (0.27, 0.05, "even"),
        (0.40, -0.10, "lost"),
        (0.26, -0.10, "lost"),  # fell to chance
        (0.40, 0.14, "gained"),  # rose from it
    ],
)
def test_two_models_at_chance_neither_gain_nor_lose(accuracy, moved, judged) -> None:
    difference = {"value": moved, "low": moved - 0.01, "high": moved + 0.01, "p": 0.001}
    task = {"accuracy": accuracy, "chance": 0.25, "stderr": 0.02, "difference": difference}
    assert judge_choice(task) == judged
    assert judge_choice({"accuracy": accuracy}) is None
