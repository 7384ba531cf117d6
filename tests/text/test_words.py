from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.text.clean import Cleaner
from hanhua.text.config import CorpusConfig
from hanhua.text.copies import words
from hanhua.text.copies.keys import _ROW
from hanhua.text.copies.minhash import sign
from hanhua.text.copies.words import mainland_words
from hanhua.text.readers.read import Record
from hanhua.text.rewrite.convert import converter

WORDS = [
    *"软件 軟體 程式设计师 程序员 网际网路 硬碟 软体动物 使用者 资料夹 bmw集团 的 在".split(),
    " ",
    "\n",
]

TECHNICAL = (
    "程序员用鼠标打开文件夹，复制源代码，再通过网络发送给服务器。默认的操作系统会把信息存储在硬盘上，"
    "用户可以在屏幕上查看视频和图像。如果内存不够，就要关闭一些进程，或者优化算法。"
)


def same(text):
    return mainland_words(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("這個軟體很好用", "這個软件很好用"),
        ("硬\n碟，和 網 路", "硬盘，和 网络"),
        ("軟體動物不是軟體", "軟體動物不是软件"),
        ("程式設計師", "程序员"),
        ("BMW集團的汽車", "宝马集团的汽車"),
        ("no word of it", "no word of it"),
        ("", ""),
        ("软", "软"),
    ],
)
def test_one_word_for_both(text, expected):
    assert same(text) == expected


def test_a_text_without_such_words_comes_back_as_it_is():
    text = "小明住在河边的小镇上。"
    assert same(text) is text


@given(st.lists(st.sampled_from(WORDS), max_size=20).map("".join))
@settings(max_examples=200, deadline=None)
def test_the_compiled_part_finds_the_same(text):
    found = same(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "NATIVE", None)
        assert same(text) == found


def test_simplified_text_and_its_conversion_are_signed_alike():
    other = converter("traditional_tw")(TECHNICAL)
    assert "滑鼠" in other
    assert "伺服器" in other
    assert np.mean(sign(TECHNICAL).least == sign(other).least) < 0.5
    assert np.array_equal(sign(same(TECHNICAL)).least, sign(same(other)).least)


def test_the_table_is_what_opencc_says():
    convert = converter("traditional_tw")
    rows = [row for rows in words._words().values() for row in rows]
    assert len(rows) > 700
    alike = sum(same(convert(f"，{there}，")) == same(f"，{there}，") for _, there in rows)
    assert alike > 0.95 * len(rows)
    assert all(same(f"，{there}，") == f"，{there}，" for _, there in rows)


def short_forms(fold_variants):
    config = CorpusConfig.model_validate(
        {
            "sources": [{"path": "x", "language": "zh"}],
            "fold_variants": fold_variants,
            "min_chars": 10,
        }
    )
    cleaner = Cleaner(config)
    for text in (TECHNICAL, converter("traditional_tw")(TECHNICAL)):
        record = Record(where="x", id="", kind="text", text=text)
        (cleaned,) = cleaner.clean(record, 0, "x")
        assert cleaned.keys, cleaned.drop
        yield np.frombuffer(cleaned.keys, dtype=_ROW)


@pytest.mark.parametrize("fold_variants", [True, False])
def test_near_keys_are_of_one_vocabulary_and_content_keys_are_not(fold_variants):
    here, there = short_forms(fold_variants)
    assert (here["content"] != there["content"]).all()
    assert np.array_equal(here["short"], there["short"]) == fold_variants
