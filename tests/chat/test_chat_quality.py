"""Signals of poor answers in both languages, the score made of them, and what is dropped."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_chatdata import alpaca, config, run, write

from hanhua.chat.conversation import Conversation, Turn
from hanhua.chat.quality import SIGNALS, answer_quality, quality
from hanhua.core.files import read_json

LONG_ZH = "海水里有很多盐，因为河水把岩石里的盐带进大海。"
LONG_EN = (
    "The sea holds a lot of salt. Rivers carry it from the rocks, and the water goes away again."
)

POOR = [
    ("no_answer", "Design a logo", "<nooutput>"),
    ("no_answer", "画一只狗", "无"),
    ("repeats_question", "What do you think of this picture?", "What do you think of this picture"),
    ("repeats_question", "请告诉我海水为什么是咸的呢？", "请告诉我海水为什么是咸的呢"),
    ("prompt_leftover", "Why is the sea salty?", f"{LONG_EN}\n### Instruction:\nName three seas."),
    ("prompt_leftover", "海水为什么是咸的？", f"{LONG_ZH}<|im_end|>"),
    ("prompt_leftover", "海水为什么是咸的？", f"输出：{LONG_ZH}"),
    ("wrong_language", "海水为什么是咸的？", LONG_EN),
    ("wrong_language", "Why is the sea salty?", LONG_ZH),
    ("repetition", "Why?", "It is so because it is so. " * 12),
    ("repetition", "为什么？", "因为它就是这样的，没有别的原因。" * 8),
    ("junk", "Why is the sea salty?", "<p>Rivers.</p> <br> They carry <b>salt</b> to it."),
    ("junk", "Why is the sea salty?", "It doesnâ€™t matter to the fish that live there."),
    ("escaped", "Who wrote it?", "It is by Tom &amp; Ann."),
    ("symbols", "Draw a line", "*-*-*-*-=-=-=-=-*-*-*-*-=-=-="),
    ("boilerplate", "Tell me the time", "I'm sorry, but I cannot tell you the time."),
    ("boilerplate", "现在几点？", "作为一个人工智能语言模型，我不知道现在的时间。"),
    ("truncated", "Why is the sea salty?", f"{LONG_EN} That is also why the lakes of the"),
    ("truncated", "海水为什么是咸的？", LONG_ZH * 2 + "另外还有一个原因，"),
    ("too_short", "Write a story about a dog", "A dog ran."),
    ("too_short", "写一篇关于狗的文章", "狗会跑。"),
]

SOUND = [
    ("Why is the sea salty?", LONG_EN),
    ("海水为什么是咸的？", LONG_ZH),
    ("How many legs has a dog?", "4"),
    ("7*8=", "56"),
    ("Is it so? Answer none or all.", "none"),
    ("翻译成英文：海水为什么是咸的？", "Why is the sea so salty, and what is it that is in it?"),
    ("Translate into Chinese: " + LONG_EN, LONG_ZH),
    ("Fix the grammar: He go home.", "He goes home."),
    ("Write a function that adds", "```python\ndef add(a, b):\n    return a + b\n```"),
    ("列出三种水果", "1. 苹果\n2. 香蕉\n3. 梨"),
    ("Write a tweet about the sea", "The sea is great! Come and swim. #sea #summer"),
    ("Give a title for an essay about dogs", "Dogs and us"),
    ("给这篇文章起一个标题", "狗与人"),
    ("Quote someone", "“Be yourself; everyone else is already taken.” - Oscar Wilde"),
    ("Make a web page with a heading", "<html><body><h1>Hi</h1><p>x</p></body></html>"),
    ("Write a dialogue for a chatbot", "User: Hi\nBot: Hello! How can I help you today?"),
    ("写一首歌", "啦啦啦，我爱你，\n" * 6),
]  # fmt: skip


@pytest.mark.parametrize(("name", "question", "answer"), POOR)
def test_each_signal_is_found_in_both_languages(name, question, answer):
    found = answer_quality(question, answer)
    assert name in found.found, found.told
    assert found.score <= 1 - 0.3 * SIGNALS[name].weight
    assert name in found.told


@pytest.mark.parametrize(("question", "answer"), SOUND)
def test_what_is_sound_has_the_full_score(question, answer):
    found = answer_quality(question, answer)
    assert found.score == 1.0, found.told


TEXT = st.text(st.sampled_from("ab 海。.,<#&\n用户:：你") | st.characters(), max_size=60)


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3))
def test_any_text_has_a_score_between_0_and_1(pairs):
    turns = [Turn(role, text) for q, a in pairs for role, text in (("user", q), ("assistant", a))]
    found = quality(Conversation("x", "", tuple(turns)))
    assert 0 <= found.score <= 1
    assert set(found.found) <= set(SIGNALS)
    assert (found.score < 1) == bool(found.found)
    each = [answer_quality(q, a).score for q, a in pairs]
    assert found.score == pytest.approx(sum(each) / len(each), abs=2e-3)


def test_poor_ones_are_dropped_by_their_signal_and_counted(tmp_path):
    records = [alpaca(f"第{i}个问题是什么？", f"这是第{i}个回答。") for i in range(40)]
    records += [alpaca("画一只狗", "无"), alpaca("海水为什么是咸的？", LONG_EN)]
    records += [alpaca("现在几点？", "作为一个人工智能语言模型，我不知道现在的时间。")]
    records += [alpaca("画一只狗", "好的，这里有一只狗：汪！")]  # asks the same as what went
    path = write(tmp_path / "set.json", records)
    out = tmp_path / "out"
    result = run(out, config(path, held_out=0, quality={"min_score": 0.5}))
    ledger = read_json(out / "ledger.json")
    assert ledger["totals"]["dropped"] == {"quality_no_answer": 1, "quality_wrong_language": 1}
    assert ledger["totals"]["kept"] == 42
    row = ledger["sources"][0]["quality"]
    assert row["scored"] == 44
    assert row["signals"] == {"no_answer": 1, "wrong_language": 1, "boilerplate": 1}
    assert row == ledger["totals"]["quality"] == result.metrics["quality"]
    assert row["mean_score"] == pytest.approx((41 + 0 + 0.4 + 0.6) / 44, abs=1e-3)
    lines = [json.loads(line) for line in (out / "dropped.jsonl").read_text("utf-8").splitlines()]
    assert {(x["reason"], x["value"]) for x in lines} == {
        ("quality_no_answer", "0: no_answer 1"),
        ("quality_wrong_language", "0.4: wrong_language 0.6"),
    }
    none = run(tmp_path / "none", config(path, held_out=0, quality={"min_score": 0.0}))
    assert none.metrics["dropped"] == {"duplicate": 1}
    assert none.metrics["quality"] == row
    assert "quality" not in run(tmp_path / "off", config(path, held_out=0)).metrics
