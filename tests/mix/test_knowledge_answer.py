"""What answers say: knowledge told from habit, intervals, and sentences."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.core.errors import ArtifactError
from hanhua.eval.bits_per_byte import TextScore
from hanhua.mix.knowledge import ARMS, BASE, CONTROL
from hanhua.mix.knowledge_answer import Run, as_result, check_equal
from hanhua.mix.knowledge_ask import Answer
from hanhua.mix.knowledge_intervals import gap, interval, known
from hanhua.mix.knowledge_text import recall_table, text

KINDS = {f"f{i:02}": f"k{i % 3}" for i in range(24)}
LESSONS = {"f03", "f10", "f20", "f23"}


def answer(fact, own, choice, language="zh", form="text", wording="trained"):
    exact = choice == own if wording == "trained" else None
    return Answer(fact, language, form, wording, 4, own, choice, exact)


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=5), st.data())
def test_a_habit_is_no_knowledge(objects, data):
    choices = [data.draw(st.sampled_from("abc")) for _ in objects]
    # whatever a model names, over all ways to deal the objects out it knows nothing
    total = [
        known([answer(str(i), own, choice)
               for i, (own, choice) in enumerate(zip(dealt, choices, strict=True))],
              ["k"] * len(objects)).sum()
        for dealt in permutations(objects)
    ]  # fmt: skip
    assert np.mean(total) == pytest.approx(0, abs=1e-9)


def test_knowing_all_counts_as_knowledge_and_a_fact_alone_is_held_against_chance():
    right = [answer(str(i), own, own) for i, own in enumerate("abcd")]
    assert known(right, ["k"] * 4).tolist() == [1, 1, 1, 1]
    assert known(right[:1], ["k"]).tolist() == [0.75]
    assert known([answer("0", "a", "b")], ["k"]).tolist() == [-0.25]


@settings(max_examples=10)
@given(st.integers(1, 4), st.integers(2, 40), st.integers(0, 99))
def test_an_interval_holds_its_value(runs, items, seed):
    values = np.random.default_rng(seed).random((runs, items))
    found = interval(values)
    assert found.low <= found.value <= found.high
    assert found.value == pytest.approx(values.mean())
    weights = np.full(items, 2.0)
    assert interval(values, weights).value == pytest.approx(values.mean() / 2)


def test_an_interval_of_items_covers_as_often_as_it_says():
    draw = np.random.default_rng(3)
    held = [(one := interval(draw.normal(0, 1, (1, 60)))).low <= 0 <= one.high for _ in range(60)]
    assert 50 <= sum(held) <= 60


def test_a_gap_of_some_facts_counts_those_only():
    values = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    keep = np.array([[True, False, True], [False, True, False]])
    assert gap(values, keep)["value"] == pytest.approx(1.0)
    assert gap(values)["value"] == pytest.approx(4 / 6)


def made(arm, draw, skill):
    """A run that knows told facts, and in the text arm tells them in the other language too."""
    rng = np.random.default_rng((ARMS.index(arm) if arm in ARMS else 9, draw))
    asked = [fact for fact in KINDS if fact not in LESSONS]
    told = {fact: ("zh", "en")[(i + draw) % 2] for i, fact in enumerate(asked)}
    answers = []
    for i, fact in enumerate(KINDS):
        own = "abcd"[i // 3 % 4]
        for language in ("zh", "en"):
            for form in ("text", "question"):
                for wording in ("trained", "new"):
                    knows = rng.random() < skill and told.get(fact, language) == language
                    choice = own if knows else "abcd"[rng.integers(4)]
                    answers.append(answer(fact, own, choice, language, form, wording))
    nats = {BASE: 100.0, CONTROL: 101.0}.get(arm, 110.0)
    bits = {name: [TextScore(str(i), "s", nats + rng.random(), 90, 30) for i in range(20)]
            for name in ("zh", "en")}  # fmt: skip
    counts = {} if arm == BASE else {"learnt": 512, "read": 600, "steps": 4, "seconds": 1.5}
    exposed = {"mean": 9.0 * (arm not in (BASE, CONTROL)), "least": 8, "most": 10}
    return Run(arm, draw, answers, bits, told, counts, exposed)


@pytest.fixture(scope="module")
def runs():
    skill = {"text": 0.95, "instructions": 0.5, "mixed": 0.9}
    return [made(arm, draw, skill.get(arm, 0.0)) for draw in (0, 1) for arm in (BASE, *ARMS)]


def test_the_answer_says_what_was_planted(runs):
    found = as_result(runs, "zh", "en", KINDS, ["a note"])
    assert (found["facts"], found["lessons"], found["kinds"]) == (20, 4, 3)
    assert found["chance"] == 0.25
    cells = {(c["arm"], c["form"], c["language"], c["wording"], c["told_in"]): c
             for c in found["recall"]}  # fmt: skip
    assert len(cells) == len(found["recall"]) == 5 * 6 * 3
    for one in cells.values():
        assert one["low"] <= one["accuracy"] <= one["high"]
    text_told = cells["text", "text", "told", "trained", None]
    assert text_told["over_control"]["low"] > 0
    assert text_told["exact"] == text_told["accuracy"]
    assert cells["text", "text", "other", "trained", None]["over_control"]["low"] < 0.1
    assert cells[CONTROL, "text", "told", "trained", None]["over_control"] is None
    halves = [cells["text", "text", "told", "trained", name] for name in ("zh", "en")]
    assert [half["n"] for half in halves] == [10, 10]
    assert np.mean([half["accuracy"] for half in halves]) == pytest.approx(text_told["accuracy"])
    lost = {(row["arm"], row["language"]): row for row in found["lost"]}
    assert lost["text", "zh"]["over_base"]["low"] > 0
    assert lost["text", "zh"]["over_control"]["low"] > 0
    assert lost[CONTROL, "zh"]["over_control"] is None
    said = text(found)
    assert "text recalled +" in said
    assert "CANNOT TELL" in said
    assert "more than the control" in said
    assert "note: a note" in said
    assert len(recall_table(found)) == 2 + 5


def test_arms_that_learnt_unequally_are_not_compared(runs):
    check_equal(runs)
    other = made("text", 0, 0.5)
    other.counts["steps"] = 5
    with pytest.raises(ArtifactError, match="equally many steps"):
        check_equal([*runs, other])
