"""Scores without common items: exact where they are counts, and never surer than the counts."""

from __future__ import annotations

import json
from fractions import Fraction
from math import comb
from pathlib import Path
from typing import Any

import pytest

from hanhua.eval.compare import standard_error
from hanhua.eval.contrast import compare_results
from hanhua.eval.published import Measured, Results
from hanhua.eval.unpaired import fisher, newcombe, unpaired_change


def measured(right: int, n: int, **more: Any) -> Measured:
    facts = {"name": "cmmlu", "language": "zh", "unit": "accuracy", "value": right / n, "n": n,
             "stderr": standard_error(right, n)}  # fmt: skip
    return Measured(**{**facts, **more})


@pytest.mark.parametrize("counts", [(3, 4, 1, 4), (1, 10, 11, 14), (0, 1, 12, 60), (5, 5, 0, 9)])
def test_p_is_that_of_all_tables_as_unlikely(counts: tuple[int, int, int, int]) -> None:
    hits, n, old_hits, old_n = counts
    right = hits + old_hits
    weights = {k: comb(n, k) * comb(old_n, right - k) for k in range(max(0, right - old_n),
               min(n, right) + 1)}  # fmt: skip
    rare = sum(w for w in weights.values() if w <= weights[hits])
    assert fisher(*counts) == pytest.approx(float(Fraction(rare, comb(n + old_n, right))))


def test_interval_is_the_published_one() -> None:
    # Newcombe (1998), table II, method 10: 56/70 against 48/80, and 0/10 against 0/10
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe(0, 10, 0, 10) == pytest.approx((-0.2775, 0.2775), abs=5e-5)


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 3), (2, 2)])
def test_a_few_answers_prove_nothing(right: int, n: int) -> None:
    found = unpaired_change(measured(right, n), measured(36, 60))
    assert found is not None
    assert found["value"] == pytest.approx(right / n - 0.6)
    assert found["p"] > 0.05
    assert found["high"] - found["low"] > 0.5  # the normal curve gives 0.25
    assert -1 <= found["low"] <= found["value"] <= found["high"] <= 1
    assert found["n"] == n


def test_a_few_texts_have_no_interval() -> None:
    def bits(value: float, n: int, stderr: float) -> Measured:
        return Measured(name="bits_per_byte/zh", language="zh", unit="bits per byte", value=value,
                        n=n, stderr=stderr)  # fmt: skip

    for n, stderr in ((1, 0.0), (2, 0.01), (9, 0.01)):
        found = unpaired_change(bits(4.0, n, stderr), bits(38.0, 50, 0.2))
        assert found is not None
        assert (found["value"], found["low"], found["p"]) == (-34, None, None)
    enough = unpaired_change(bits(4.0, 10, 0.1), bits(38.0, 50, 0.2))
    assert enough is not None
    assert enough["p"] < 0.001


def test_many_answers_prove_what_they_prove() -> None:
    found = unpaired_change(measured(420, 600), measured(300, 600))
    assert found is not None
    assert found["p"] < 1e-6
    assert 0.14 < found["low"] < 0.2 < found["high"] < 0.26


def test_a_score_with_an_error_of_its_own_keeps_it() -> None:
    """Of clustered questions, or of probabilities: no count, so the error that was given counts."""
    found = unpaired_change(measured(30, 60, stderr=0.2), measured(45, 60, stderr=0.2))
    assert found is not None
    assert found["stderr"] == pytest.approx(0.08**0.5)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * 0.08**0.5, rel=1e-3)


def test_disjoint_items_are_said_to_be_independent_samples(tmp_path: Path) -> None:
    def results(right: list[bool], start: int) -> Results:
        items = tuple({"id": str(start + i), "right": r} for i, r in enumerate(right))
        one = measured(sum(right), len(right), items=items)
        return Results(tool="hanhua", model="m", path=tmp_path, measured={"cmmlu": one}, facts={})

    found = compare_results(results([False], 100), results([True] * 36 + [False] * 24, 0))
    row = found["verdicts"][0]
    assert row["paired"] is False
    assert row["verdict"] == "even"
    assert any("two independent samples" in text for text in found["warnings"])
    json.dumps(found)
