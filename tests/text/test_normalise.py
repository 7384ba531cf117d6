from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.text.normalise import normalise

SPICY = st.text(
    st.sampled_from(
        "a1 你，。　Ａ９ｚ\u200b\u200d\ufeff\r\n\t\u2028\x85\x00⼾⺠é\u0301\ud800□👨🏽\ufe0f\xa0ー"
    )
)


@given(st.one_of(st.text(st.characters()), SPICY, st.text(st.characters(codec="utf-8"))))
@settings(max_examples=400, deadline=None)
def test_once_is_enough_and_the_result_is_sound(text):
    once = normalise(text)
    assert normalise(once) == once
    assert once == unicodedata.normalize("NFC", once)
    once.encode("utf-8")
    assert "\r" not in once
    assert "\u3000" not in once
    assert once == once.strip()


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("，。：；？！（）“”……——①½㎡10⁶", "，。：；？！（）“”……——①½㎡10⁶"),
        ("ＡＢｃ１２", "ABc12"),
        ("⼾⼝与⺠⽤", "户口与民用"),
        ("　　第一段\r\n　　第二段", "第一段\n第二段"),
        ("中　文", "中 文"),
        ("a\u200bb\ufeffc\x07d\u202ee", "abcde"),
        ("def f():\n    return 1   \n", "def f():\n    return 1"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("一\u2028二\x85三", "一\n二\n三"),
        ("\uf900", "豈"),
        ("cafe\u0301", "café"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("汉\u200d字", "汉字"),
        ("क्\u200dष", "क्\u200dष"),
        ("x\ud800y", "xy"),
        (" \n\t ", ""),
    ],
)
def test_what_is_mapped_and_what_is_left(raw, clean):
    assert normalise(raw) == clean
