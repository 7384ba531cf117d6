from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.eval import compare
from hanhua.eval.many import ALPHA, holm, smallest_mean, smallest_share
from hanhua.eval.paired import accuracy_change, bits_change, by_group, untouched
from hanhua.eval.verdict import Claim, settle


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_is_the_step_down_of_its_definition(values: list[float]) -> None:
    found = holm(values)
    assert all(p <= q <= 1 for p, q in zip(values, found, strict=True))
    order = sorted(range(len(values)), key=values.__getitem__)
    kept = list(itertools.takewhile(lambda k: values[order[k]] * (len(values) - k) <= ALPHA, range(len(values))))  # fmt: skip # noqa: E501
    assert {order[k] for k in kept} == {i for i, p in enumerate(found) if p <= ALPHA}


@pytest.mark.parametrize(("n", "changed"), [(400, 60), (1000, 8)])
def test_the_smallest_share_is_seen_four_times_in_five(n: int, changed: int) -> None:
    rng = np.random.default_rng(n + changed)
    least = smallest_share(n, changed)
    rate = max(changed / n, least)
    moved = rng.binomial(n, rate, 600)
    up = rng.binomial(moved, (1 + least / rate) / 2)
    seen = np.mean([compare.mcnemar(u, m - u) <= ALPHA for u, m in zip(up, moved, strict=True)])
    assert 0.69 <= seen <= 0.9
    assert smallest_share(n, changed, ALPHA / 4) > least


def test_nothing_changed_still_tells_what_could_have_been_seen() -> None:
    assert 0 < smallest_share(200, 0) < 0.05
    assert smallest_share(3, 0) == 1.0  # three items can show nothing
    errors = 1.959963984540054 + 0.8416212335729143
    assert smallest_mean(0.1, 10**9) == pytest.approx(0.1 * errors)
    assert smallest_mean(0.1, 10) > smallest_mean(0.1, 100)


def rows(right: list[bool], subjects: list[str] | None = None) -> list[dict]:
    return [{"id": str(i), "right": r, "subject": subjects[i] if subjects else ""}
            for i, r in enumerate(right)]  # fmt: skip


def test_a_change_of_whole_subjects_is_less_sure_than_one_of_single_items() -> None:
    rng = np.random.default_rng(2)
    subjects = [f"s{i // 20}" for i in range(400)]
    old = [bool(x) for x in rng.random(400) < 0.5]
    moved = rng.random(20) < 0.5
    new = [(True if moved[i // 20] else False) if i % 5 == 0 else old[i] for i in range(400)]
    alone = accuracy_change(rows(new), rows(old), 1, 1000)
    together = accuracy_change(rows(new, subjects), rows(old, subjects), 1, 1000)
    assert alone is not None
    assert together is not None
    assert (alone["clusters"], together["clusters"]) == (0, 20)
    assert alone["value"] == together["value"]
    assert together["high"] - together["low"] > alone["high"] - alone["low"]
    assert together["p"] >= alone["p"]


def test_items_that_failed_are_in_no_pair() -> None:
    new, old = rows([True] * 10), rows([False] * 10)
    new[3] = {"id": "3", "error": "out of memory"}
    found = accuracy_change(new, old, 1, 200)
    assert found is not None
    assert (found["n"], found["gained"], found["lost"]) == (9, 9, 0)
    assert accuracy_change(new[:1], old[1:], 1, 200) is None


def test_scores_between_right_and_wrong_are_compared_by_their_mean() -> None:
    rng = np.random.default_rng(5)
    old = [{"id": str(i), "right": False, "score": float(x)} for i, x in enumerate(rng.random(80))]
    new = [row | {"score": row["score"] * 0.9 + 0.1} for row in old]
    found = accuracy_change(new, old, 1, 500)
    assert found is not None
    assert "gained" not in found
    assert 0 < found["low"] <= found["value"] <= found["high"]
    assert by_group(new, old) == []


def test_texts_of_other_length_are_no_pair() -> None:
    old = [{"id": str(i), "nats": 10.0 + i, "n_bytes": 100} for i in range(6)]
    new = [row | {"nats": row["nats"] - 1} for row in old]
    new[0]["n_bytes"] = 99
    found = bits_change(new, old, 1, 300)
    assert found is not None
    assert found["n"] == 5
    assert found["value"] == pytest.approx(-1 / 100 / math.log(2))


def test_subjects_are_corrected_for_their_number() -> None:
    subjects = [f"s{i // 10}" for i in range(200)]
    old = [False] * 200
    new = [i < 8 or i % 10 == 0 for i in range(200)]  # the first subject moved, others hardly
    found = by_group(rows(new, subjects), rows(old, subjects))
    assert len(found) == 20
    first = found[0]
    assert first["p"] < ALPHA
    assert first["p_holm"] == pytest.approx(min(1.0, 20 * first["p"]))
    assert [row["verdict"] for row in found] == ["even"] * 20
    only = by_group(rows(new[:10], subjects[:10]), rows(old[:10], subjects[:10]))
    assert only[0]["verdict"] == "gained"


def test_questions_that_stand_in_training_texts_are_left_out() -> None:
    old = rows([True, False] * 10)
    new = [row | {"right": True, "contaminated": int(row["id"]) < 5} for row in old]
    found = untouched(new, old, 1, 300)
    assert (found["touched"], found["n"], found["accuracy"]) == (5, 15, 1.0)
    assert found["difference"]["n"] == 15
    assert untouched([row | {"contaminated": True} for row in new], None, 1, 300)["n"] == 0


def claim(name: str, gained: int, lost: int, n: int = 200, **more: bool) -> Claim:
    right = [i < gained for i in range(n)]
    was = [gained <= i < gained + lost for i in range(n)]
    return Claim(name=name, language="zh", unit="accuracy",
                 difference=accuracy_change(rows(right), rows(was), 1, 400), **more)  # fmt: skip


def test_verdicts_of_a_family() -> None:
    found = settle([
        claim("up", 40, 5), claim("down", 5, 40), claim("luck", 16, 5), claim("same", 0, 0),
        claim("guess", 40, 5, at_chance=True),
        Claim(name="alone", language="en", unit="bits per byte", difference=None),
    ])  # fmt: skip
    assert [row["verdict"] for row in found] == ["gained", "lost", "even", "even", "even", None]
    luck = found[2]["difference"]
    assert luck["p"] <= ALPHA < luck["p_holm"]  # alone it would have been called a gain
    assert settle([claim("luck", 16, 5)])[0]["verdict"] == "gained"
    for row in found[:5]:
        assert 0 < row["difference"]["smallest"] <= 1


def test_less_bits_are_a_gain() -> None:
    difference = {"value": -0.1, "low": -0.2, "high": -0.05, "p": 0.001, "n": 50, "stderr": 0.03}
    found = settle([Claim(name="b", language="zh", unit="bits per byte", difference=difference)])
    assert found[0]["verdict"] == "gained"
    assert found[0]["difference"]["smallest"] == pytest.approx(smallest_mean(0.03, 50), rel=1e-6)


def test_noise_of_no_effect_is_seldom_called_anything() -> None:
    said = 0
    for trial in range(60):
        rng = np.random.default_rng(trial)
        claims = []
        for name in "abc":
            sides = [[bool(x) for x in rng.random(120) < 0.4] for _ in range(2)]
            change = accuracy_change(rows(sides[0]), rows(sides[1]), trial, 300)
            claims.append(Claim(name=name, language="zh", unit="accuracy", difference=change))
        said += any(row["verdict"] != "even" for row in settle(claims))
    assert said <= 8  # 5 % of 60 is 3; above 8 is a chance of less than 1 %
