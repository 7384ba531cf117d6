from __future__ import annotations

from collections import Counter
from contextlib import suppress

import pytest
from chat_cases import quick
from hypothesis import event, given
from hypothesis import strategies as st

from hanhua.chat.conversation import Conversation, Turn
from hanhua.chat.select import fill_shares, hold_out, language_of, question_key
from hanhua.core.errors import MixtureError


def talk(question: str, answer: str = "a", language: str = "", system: str = "") -> Conversation:
    turns = (Turn("user", question), Turn("assistant", answer))
    return Conversation(f"{question}/{answer[:9]}", system, turns, language)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("你好吗？", "你好吗", True),
        ("What is  AI ?", "what is ai?", True),
        ("Ａ１", "a1", True),
        ("3+4=", "3-4=", False),
        ("写一首诗", "写一首歌", False),
    ],
)
def test_questions_are_compared_without_spacing_width_case_and_last_stop(
    one: str, other: str, same: bool
) -> None:
    assert (question_key(talk(one)) == question_key(talk(other, "b"))) is same


def test_the_system_text_and_all_questions_count() -> None:
    assert question_key(talk("q", system="s")) != question_key(talk("q"))
    more = Conversation("a", "", (*talk("q").turns, *talk("r").turns))
    assert question_key(more) != question_key(talk("q"))
    assert question_key(talk("qr")) != question_key(more)


@pytest.mark.parametrize(
    ("question", "answer", "language"),
    [
        ("你好", "你好，我很好。", "zh"),
        ("Hello", "I am well.", "en"),
        ("翻译：我很好", "I am well.", "en"),
        ("Translate: I am well", "我很好", "zh"),
        ("九十一减三十三", "58", "zh"),
        ("91-33=", "58", None),
    ],
)
def test_a_conversation_has_the_language_of_its_answers(
    question: str, answer: str, language: str | None
) -> None:
    assert language_of(talk(question, answer)) == language


pools = st.lists(
    st.tuples(st.sampled_from(["zh", "en", "de"]), st.integers(1, 60)), min_size=1, max_size=60
).map(lambda rows: [talk(f"question {i}", "x" * size, name) for i, (name, size) in enumerate(rows)])


@quick
@given(pools, st.integers(0, 9), st.integers(0, 5))
def test_what_is_held_out_is_never_trained_on(
    pool: list[Conversation], per_language: int, seed: int
) -> None:
    pool = pool + [talk(c.turns[0].text, "another answer", c.language) for c in pool[::3]]
    held, rest, copies = hold_out(pool, per_language, seed)
    assert Counter(c.id for c in held + rest + copies) == Counter(c.id for c in pool)
    assert {question_key(c) for c in held}.isdisjoint(question_key(c) for c in rest)
    assert {question_key(c) for c in held} >= {question_key(c) for c in copies}
    for language, count in Counter(c.language for c in held).items():
        assert count <= per_language
        assert count <= sum(c.language == language for c in pool) // 10
    event(f"copies: {bool(copies)}")


def test_holding_out_does_not_depend_on_the_order() -> None:
    pool = [talk(f"question {i}", "x", "zh") for i in range(100)]
    first, _, _ = hold_out(pool, 5, 17)
    again, _, _ = hold_out(pool[::-1], 5, 17)
    other, _, _ = hold_out(pool, 5, 18)
    assert {c.id for c in first} == {c.id for c in again}
    assert len(first) == 5
    assert {c.id for c in first} != {c.id for c in other}


@quick
@given(pools, st.floats(0.05, 0.95), st.integers(20, 500) | st.none())
def test_shares_are_met_or_refused(pool: list[Conversation], zh: float, budget: int | None) -> None:
    shares = {"zh": zh, "en": 1 - zh}
    have = Counter(c.language for c in pool)
    found = None
    with suppress(MixtureError):
        found = fill_shares(pool, shares, budget_bytes=budget, tolerance=0.05, seed=3)
    event("refused" if found is None else "met")
    assert found is None or (have["zh"] and have["en"])
    if found is None:
        return
    total = sum(found.target_bytes.values())
    assert total == sum(c.target_bytes for c in found.kept)
    assert total <= (budget or total)
    for name, share in shares.items():
        assert found.counted[name] == pytest.approx(found.target_bytes[name] / total)
        assert abs(found.counted[name] - share) <= 0.05
    assert "de" not in found.counted
    assert [c for c in pool if c in found.kept] == found.kept
    assert len(found.kept) + len(found.left) == len(pool)


def test_the_scarce_language_sets_the_size() -> None:
    pool = [talk(f"{i}", "x" * 10, "zh" if i < 30 else "en") for i in range(130)]
    found = fill_shares(pool, {"zh": 0.5, "en": 0.5}, budget_bytes=None, tolerance=0.01, seed=1)
    assert found.target_bytes == {"en": 300, "zh": 300}
    assert found.counted == {"en": 0.5, "zh": 0.5}
    small = fill_shares(pool, {"zh": 0.5, "en": 0.5}, budget_bytes=200, tolerance=0.01, seed=1)
    assert small.target_bytes == {"en": 100, "zh": 100}


def test_without_shares_everything_is_taken() -> None:
    pool = [talk(f"{i}", "x" * 10, "zh" if i < 30 else "en") for i in range(100)]
    found = fill_shares(pool, None, budget_bytes=None, tolerance=0.01, seed=1)
    assert found.kept == pool
    assert found.asked == {}
    assert found.counted == {"en": 0.7, "zh": 0.3}
    half = fill_shares(pool, None, budget_bytes=500, tolerance=0.01, seed=1)
    assert half.target_bytes == {"en": 350, "zh": 150}


def test_a_share_that_cannot_be_filled_says_how_much_is_lacking() -> None:
    pool = [talk(f"{i}", "x" * 10, "en") for i in range(10)]
    with pytest.raises(MixtureError, match=r"too little of zh for its share of 0.5[\s\S]*en 100"):
        fill_shares(pool, {"zh": 0.5, "en": 0.5}, budget_bytes=None, tolerance=0.01, seed=1)
    pool += [talk(f"z{i}", "x" * 10, "zh") for i in range(10)]
    with pytest.raises(MixtureError, match=r"en 100, zh 100, 500 needed[\s\S]*budget_bytes"):
        fill_shares(pool, {"zh": 0.5, "en": 0.5}, budget_bytes=1000, tolerance=0.01, seed=1)
    few = [talk("a", "x" * 10, "zh"), talk("b", "x" * 7, "en")]
    with pytest.raises(MixtureError, match=r"cannot be met[\s\S]*0.5 asked"):
        fill_shares(few, {"zh": 0.5, "en": 0.5}, budget_bytes=None, tolerance=0.01, seed=1)
