from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.text.rewrite.layout import join_letter_spaced, shorten_repeats
from hanhua.text.rewrite.normalise import _UNUSUAL, _characters, normalise

SPICY = st.text(
    st.sampled_from(
        "a 你。　Ａ９\u200b\u200d\ufeff\r\n\t\u2028\x85\x00⼾⺠é\u0301\ud800□👨🏽\ufe0f\xa0\uf0b7"
    )
)
PARTS = (*"中国一二，。！…—-=|a \n", "中 国 人 民", "。。。。", "-------", "……", " 的 ", "\n\n\n")
LAYOUT = st.lists(st.sampled_from(PARTS)).map("".join)


@given(st.one_of(st.text(st.characters()), SPICY, LAYOUT, st.text(st.characters(codec="utf-8"))))
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
        ("\uf0b7 第一\n\uf0d8第二", "• 第一\n➢第二"),
        ("１２３．５％", "123．5％"),
        ("a\u2003\nb \t\n\n \n\nc", "a\nb\n\nc"),
    ],
)
def test_what_is_mapped_and_what_is_left(raw, clean):
    assert normalise(raw) == clean


@pytest.mark.parametrize(
    ("spaced", "joined"),
    [
        ("中 国 人 民", "中国人民"),
        ("中　国　人　民", "中国人民"),
        ("中 国 人 民 ， 站 起 来 了 。", "中国人民，站起来了。"),
        ("“ 我 们 ” 都 来 了。 好 ！", "“我们”都来了。好！"),
        ("第一章 总 则 和 目 的", "第一章 总则和目的"),
        ("Python 教 程 与 实 例 2024", "Python 教程与实例 2024"),
        ("上一行\n中 国 人 民\n下 一 行", "上一行\n中国人民\n下 一 行"),
    ],
)
def test_letter_spacing_goes(spaced, joined):
    assert normalise(spaced) == joined


@pytest.mark.parametrize(
    "text",
    [
        "床前明月光 疑是地上霜 举头望明月 低头思故乡",
        "张三 李四 王五 赵六",
        "目 录",
        "甲 乙 丙 丁 戊",
        "一 二 三 四 五 六 日",
        "我们 都 在 我 的 家里 吃饭 和 喝茶",
        "使用 Python 和 C 的 人 很多",
        "标题 正文 作者 日期",
        "中  国  人  民",
        "中\n国\n人\n民",
        "如 此",
    ],
)
def test_spaces_that_may_be_meant_stay(text):
    assert normalise(text) == text


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("好。。。。。。真的！！！！！！！！吗？？？？？", "好。。。真的！！！吗？？？"),
        ("wow!!!!!!!!", "wow!!!"),
        ("等等………………", "等等………………"[:8]),
        ("完————————了", "完——————了"),
        ("目录...........3", "目录......3"),
        ("左-------右", "左------右"),
        ("=" * 300, "=" * 200),
        ("a " + "*" * 20 + " b", "a ****** b"),
        ("下划线________________处", "下划线______处"),
        ("。 。 。 。 中 国 人 民", "。。。中国人民"),
    ],
)
def test_long_rows_of_a_mark_are_shortened(long, short):
    assert normalise(long) == short


@pytest.mark.parametrize(
    "text",
    [
        "他说……然后——走了......",
        "|------|:--------:|\n|中文|English|",
        "标题\n==========\n正文\n----------",
        "+--------+--------+",
        "# --------------------",
        "/**********\n**********/",
        "###### 六级标题\n***\n```",
        "x = a[...]; i++; s = '__init__'; f(**k)",
        "-rw-------. 1 root root 1212 a.conf",
        ">>> b3 = bytearray(b'--------------')",
        "100%[=====================>] 7,722,384",
        "| 变量一 |     +-------------+ <---- 栈顶",
        "> +---------+------------------------------+",
        "哈哈哈哈哈哈哈哈",
        "a,,,,,,,,b;;;;;;;;",
        "真的！！！",
        "1000000000",
    ],
)
def test_rows_with_a_meaning_stay(text):
    assert normalise(text) == text


@given(LAYOUT)
def test_layout_takes_nothing_but_spaces_and_marks(text):
    assert join_letter_spaced(text).replace(" ", "") == text.replace(" ", "")
    marks = str.maketrans("", "", "，。！…—-=")
    assert shorten_repeats(text).translate(marks) == text.translate(marks)
    for step in (join_letter_spaced, shorten_repeats):
        assert step(step(text)) == step(text)
    assert shorten_repeats(text) == text or max(
        map(text.count, ("。。。。", "！！！！", "，，，，", "…" * 7, "—" * 7, "-" * 7, "=" * 7))
    )


def test_what_is_taken_for_usual_is_touched_by_no_step():
    """The quick way must not let a character through that the long way would change."""
    points = [chr(code) for code in range(0x110000)]
    usual = [point for point in points if not _UNUSUAL.match(point)]
    assert len(usual) > 80_000
    for point in usual:
        assert _characters(f"一{point}一") == f"一{point}一"
        assert not unicodedata.combining(point)
        assert unicodedata.normalize("NFC", "가か" + point) == "가か" + point
