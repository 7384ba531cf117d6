"""What the compiled part looks for beforehand changes nothing but the time."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import hanhua.text.languages.han as han
import hanhua.text.quality.beginnings as beginnings
from hanhua.text.native import NATIVE
from hanhua.text.quality.boilerplate import clean_lines
from hanhua.text.quality.thresholds import QualityConfig
from hanhua.text.rewrite.mend import mend
from hanhua.text.rewrite.normalise import normalise
from hanhua.text.rewrite.pii import mask
from hanhua.text.rewrite.signs import ALL, CANDIDATE, SUSPECT, signs

PIECES = st.sampled_from([
    "中", "国人民", "中 国 人 民 大 会 ", "《中》 国 ", "，", "。。。。", "……", "----", "!!!!",
    "....", " ", "  ", "\n", "\n\n\n",
    " \n", "\t\n", "\u3000", "１２３", "\xa0", "\u200b", "e\u0301", "⼾", "\uf0b7", "\r\n",
    "æˆ‘ä»¬", "鎴戜滑鐨勫",
    "ÎÒÃÇµÄ", "·", "°C", "café", "\xa1A", "\xaa\xba", "13812345678", "138 1234 5678", "a@b.cn",
    "＠b", "@ ", "8.8.8.8",
    "1.2.3", "2001:db8::1", "12:30", "622202 1234567890123", "110101199003070731",
    "护照E12345678", "1", "234", ".", "-",
    ":", "x", "the cat ", "\ud800", "😀", "\U00020000",
])  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=6), max_size=24).map("".join)
LINES = st.sampled_from([
    "首页 | 新闻 | 登录 | 注册", "Home | About us | Contact | Login", "home", "HOME", "Next",
    "上一篇：没有了", "© 2020",
    "  版权所有 某公司", "All Rights Reserved", "all right reserved.", "ALL RIGHTS RESERVED 2001",
    "Shared on Facebook", "分享到：微信",
    "阅读(12) 评论(3)", "京ICP备123号", "→ 返回顶部", "首页 新闻 登录 注册 更多",
    "他说：“今天的天气很好。”", "", "    home", "Kelp", "\u212aelp",
    "İmage", "【登录】", "登录", "注册", "更多", "搜索", "a", "The next day he went home.",
    "Previous | Next | Home | x",
])  # fmt: skip


@pytest.fixture
def compiled():
    if NATIVE is None:
        pytest.skip("the compiled part is not built")


@pytest.mark.usefixtures("compiled")
@given(TEXTS)
@example("中 国 人 民 ")
@example("1 2345 6789")
def test_steps_are_the_same_with_the_signs(text):
    seen = signs(text)
    assert mend(text, seen) == mend(text)
    assert normalise(text, seen) == normalise(text)
    normal = normalise(text)
    assert mask(normal, seen=signs(normal)) == mask(normal)


@pytest.mark.usefixtures("compiled")
def test_most_texts_give_no_sign():
    assert signs("镇上的图书馆在河的东边，是一座两层的旧房子。\n她说：“这里才像过日子。”") == 0
    assert signs("The library opens at 9:30 on 12 May 2021.\nIt has 1,024 books.") == 0
    assert signs("锛屾垜浠") & SUSPECT
    assert signs("call 13812345678") & CANDIDATE
    assert not signs("3.14 and 12:30 and 2024-05-06") & (CANDIDATE | SUSPECT)


def test_without_the_compiled_part_every_step_looks_itself(monkeypatch):
    monkeypatch.setattr("hanhua.text.rewrite.signs.NATIVE", None)
    assert signs("plain") == ALL


@pytest.mark.usefixtures("compiled")
@given(
    st.lists(LINES | st.text(max_size=12), max_size=40).map("\n".join),
    st.sampled_from(["zh", "en"]),
)
def test_boilerplate_is_the_same_with_the_compiled_part(text, language):
    found = clean_lines(text, language, QualityConfig())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beginnings, "NATIVE", None)
        assert clean_lines(text, language, QualityConfig()) == found


@pytest.mark.usefixtures("compiled")
def test_few_lines_are_looked_at():
    prose = "\n".join(["The library stands on the eastern bank.", "她认识每一个常来的人。"] * 20)
    likely = beginnings.likely_lines(prose + "\nHome | About", frozenset({"home", "首页"}), " ")
    assert (list(likely.lines), likely.reserved) == ([40], False)
    assert beginnings.likely_lines("all rights Reserved", frozenset({"home"}), " ").reserved


@pytest.mark.usefixtures("compiled")
@given(st.text(st.sampled_from("中国們学學駅東的一ab。\U00020000") | st.characters(), max_size=200))
def test_han_characters_are_counted_the_same(text):
    found = han.count_han(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(han, "NATIVE", None)
        assert han.count_han(text) == found


@given(TEXTS)
def test_line_ends_and_repeats_are_gone_after_normalising(text):
    normal = normalise(text, signs(text))
    assert not re.search(r"[ \t]\n|\n\n\n", normal)
    assert normalise(normal, signs(normal)) == normal
