from __future__ import annotations

from pathlib import Path

import pytest

from hanhua.chat.conversation import Conversation, Turn
from hanhua.chat.identity import Identity, claim, fill_blanks, has_blanks, rewrite
from hanhua.chat.load import load_records
from hanhua.chat.schemas.registry import SCHEMAS
from hanhua.text.verdict import Drop

OWN = Identity("小汉")


def answered(text: str, system: str = "") -> Conversation:
    return Conversation("a", system, (Turn("user", "Who are you? Are you ChatGPT?"),
                                      Turn("assistant", text)))  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("I am ChatGPT.", "I am 小汉."),
        ("Hello! I'm a language model trained by researchers from Large Model Systems Organization "
         "(LMSYS). How can I help?", "Hello! I am 小汉. How can I help?"),
        ("You can call me Vicuna, a chatbot.", "I am 小汉."),
        ("Yes, I am ChatGPT.", "Yes, I am 小汉."),
        ("OpenAI created me.", "I am 小汉."),
        ("您好，我是 ChatGPT，由 OpenAI 开发。", "您好，我是小汉。"),
        ("I am ChatGPT, made by OpenAI. I am GPT-4. Ask me.", "I am 小汉. Ask me."),
        ("My name is Vicuna.", "I am 小汉."),
        ("I'm Claude, an AI assistant made by Anthropic.", "I am 小汉."),
        ("我是由OpenAI训练的语言模型。有什么可以帮您？", "我是小汉。有什么可以帮您？"),
        ("我叫 Open Assistant。", "我是小汉。"),
        ("作为OpenAI开发的语言模型，我不能浏览网页。", "作为小汉，我不能浏览网页。"),
        ("作为一个由OpenAI训练的大型语言模型，ChatGPT旨在帮你。", "作为小汉，我旨在帮你。"),
        ("As an AI language model developed by OpenAI, I cannot see. I can read.",
         "As 小汉, I cannot see. I can read."),
    ],
)  # fmt: skip
def test_claims_are_found_and_rewritten(before: str, after: str) -> None:
    assert claim(answered(before))
    rewritten = rewrite(answered(before), OWN)
    assert rewritten.turns[1].text == after
    assert claim(rewritten) is None


@pytest.mark.parametrize(
    "text",
    [
        "ChatGPT is a model by OpenAI.",
        "OpenAI 发布了 ChatGPT。",
        "我是清华大学的学生，喜欢打球。",
        "作为百度的员工，我每天上班。",
        "As a Google engineer, Bob writes code.",
        "I was at Microsoft for ten years.",
        "I am a Gemini and my sign is Air.",
        "I am not ChatGPT.",
        "我不是ChatGPT。",
        "I am 小汉.",
    ],
)
def test_talk_about_other_models_is_left_alone(text: str) -> None:
    assert claim(answered(text)) is None
    assert rewrite(answered(text), OWN) == answered(text)


def test_a_system_text_that_gives_another_name_is_rewritten() -> None:
    found = answered("Hi.", system="You are ChatGPT, a large language model.")
    assert claim(found)
    assert rewrite(found, OWN).system == "You are 小汉."
    assert claim(answered("Hi.", system="You are a helpful assistant.")) is None


def test_blanks_are_filled_where_the_names_are_known() -> None:
    found = answered("您好，我是 {{name}}，由 {{author}} 开发。")
    assert has_blanks(found)
    filled = fill_blanks(found, Identity("小汉", "汉化社"))
    assert filled.turns[1].text == "您好，我是 小汉，由 汉化社 开发。"
    assert not has_blanks(filled)
    assert rewrite(fill_blanks(found, OWN), OWN).turns[1].text == "您好，我是小汉。"


def test_no_claim_survives_in_real_identity_sets(shared_data: Path) -> None:
    path = shared_data / "instructions" / "multiturn" / "fastchat_dummy_conversation.json"
    claims = 0
    for record in load_records(path):
        assert not isinstance(record.value, Drop)
        found = SCHEMAS["sharegpt"].read(record.value)
        assert isinstance(found, Conversation)
        claims += claim(found) is not None
        rewritten = rewrite(found, OWN)
        assert claim(rewritten) is None
        assert "Vicuna" not in rewritten.target_text
        assert "LMSYS" not in rewritten.target_text
    assert claims > 400


def test_a_model_may_bear_a_known_name() -> None:
    own = Identity("Llama-zh", "Google Research")
    found = answered("I am Llama-zh, a model trained by Google Research.")
    assert claim(found)
    assert claim(found, own) is None
    assert rewrite(found, own) == found
    other = answered("I am Llama-2, a model trained by Meta.")
    assert claim(other, own)
    assert rewrite(other, own).turns[1].text == "I am Llama-zh."
