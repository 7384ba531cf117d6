from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanhua.text.copies.exact import content_key
from hanhua.text.copies.minhash import canonical_points as canonical
from hanhua.text.languages.language import check_language, detect
from hanhua.text.quality.rules import check_length, check_quality
from hanhua.text.quality.thresholds import QualityConfig
from hanhua.text.scripts import SYMBOL, han_count, is_han, profile
from hanhua.text.split import split_text

ZH = "小明住在河边的小镇上，他每天早上去市场买鱼和白菜。天气很好，他的朋友说：“我们一起去山上吧！”"
EN = "Tom lives in a small town by the river. Every morning he goes to the market and buys fish. "


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ZH, "zh"), (EN, "en"), ("日本の発展について、学校で話しました。", "ja"), ("東京", "zh"),
        ("カタカナとひらがな", "ja"), ("한국어 문장입니다.", "ko"), ("Привет, как дела?", "ru"),
        ("12345 !!!", "other"), ("", "other"), (ZH[:20] + EN, "mixed"), ("ภาษาไทย", "th"),
        ("把 os.path.join 的结果传给函数", "zh"),
    ],
)  # fmt: skip
def test_language_by_script(text, language):
    assert detect(profile(text)) == language


@pytest.mark.parametrize(
    ("text", "declared", "found"),
    [
        (ZH, "zh", None), (ZH, "zh-Hans", None), (EN, "en", None), (EN, "fr", None),
        (EN, "zh", "en"), (ZH, "en", "zh"), ("日本の発展について話しました", "zh", "ja"),
        ("東京都", "ja", None), ("123", "zh", "other"), ("한국어 문장입니다", "ja", "ko"),
        (EN, "xx", None),
    ],
)  # fmt: skip
def test_declared_language(text, declared, found):
    drop = check_language(profile(text), declared, 0.3)
    assert (drop.value if drop else None) == found


@pytest.mark.parametrize(
    ("text", "language", "reason"),
    [
        (ZH, "zh", None),
        (EN * 2, "en", None),
        ("锟斤拷锟斤拷" + ZH, "zh", "mojibake"),
        (ZH + "\ufffd\ufffd", "zh", "mojibake"),
        (ZH + "\ue416\ue416", "zh", "mojibake"),
        ((ZH + "\n") * 4, "zh", "duplicate_lines"),
        ("好！！！！！！！！！！！！！！", "zh", "symbols"),
        ("电话 13800138000 010-12345678", "zh", "digits"),
        (ZH.encode().decode("gb18030", "ignore") * 3, "zh", "mojibake"),
        (
            "".join(filter(str.isalpha, ZH.encode().decode("gbk", "ignore"))) * 3,
            "zh",
            "function_words",
        ),
        ("garden hose pump valve steel pipe " * 20, "en", "function_words"),
        ("水管阀门钢铁橡胶" * 20, "zh", "function_words"),
    ],
)
def test_quality_rules_name_their_reason(text, language, reason):
    drop = check_quality(text, profile(text), language, QualityConfig())
    assert (drop.reason if drop else None) == reason


def test_null_switches_a_rule_off():
    text = "好！！！！！！！！！！！！！！"
    assert check_quality(text, profile(text), "zh", QualityConfig())
    limits = QualityConfig(max_symbol_share=None)
    assert check_quality(text, profile(text), "zh", limits) is None
    assert check_length(profile("四个汉字"), 5).value == 4


def test_counting_of_characters():
    assert is_han("汉")
    assert is_han("々")
    assert is_han("\U00020000")
    assert not is_han("，")
    assert not is_han("汉字")
    assert not is_han("ア")
    assert han_count("汉字a，b〇") == 3
    found = profile("汉a，1 \n")
    assert (found.chars, found.visible, found.letters) == (6, 4, 2)
    assert (found.of("han"), found.of("latin"), found.kind(SYMBOL)) == (1, 1, 1)


@given(st.text(st.characters()))
def test_the_tables_agree_with_the_plain_loop(text):
    found = profile(text)
    assert found.chars == len(text)
    assert found.of("han") == han_count(text) == sum(map(is_han, text))
    assert canonical(text).tolist() == [c for ch in text for c in canonical(ch).tolist()]


@pytest.mark.parametrize(
    "copy",
    [
        ZH.replace("，", ","), ZH.replace("。", " "), " ".join(ZH), ZH.replace("小", "\n小"),
        f"  {ZH}\n\n",
    ],
)  # fmt: skip
def test_copies_have_one_key_and_edits_do_not(copy):
    assert copy != ZH
    key = content_key(canonical(ZH))
    assert content_key(canonical(copy)) == key
    assert content_key(canonical(ZH.replace("鱼", "肉"))) != key


def test_width_and_case_do_not_make_a_difference():
    assert canonical("ＡＢc１２").tolist() == canonical("abC12").tolist()


@given(st.text(st.sampled_from("ab字。\n "), max_size=300), st.integers(1, 40))
def test_pieces_are_short_and_join_to_the_text(text, max_chars):
    pieces = list(split_text(text, max_chars))
    assert "".join(pieces) == text
    assert all(len(piece) <= max_chars for piece in pieces)
    assert all(pieces) or not text


def test_a_cut_falls_at_a_pause():
    text = "第一段。" * 5 + "\n\n" + "第二段。" * 5
    assert list(split_text(text, 30)) == ["第一段。" * 5 + "\n\n", "第二段。" * 5]
    assert list(split_text("一二三。四五六七八", 7)) == ["一二三。", "四五六七八"]
