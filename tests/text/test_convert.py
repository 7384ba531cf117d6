from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanhua.text.rewrite.convert import MODES, converter, simplified_points
from hanhua.text.scripts import code_points


def folded(text: str) -> str:
    return simplified_points()[code_points(text)].tobytes().decode("utf-32-le")


@pytest.mark.parametrize(
    ("mode", "text", "converted"),
    [
        ("simplified", "乾隆皇帝的頭髮發現乾淨", "乾隆皇帝的头发发现干净"),
        ("simplified", "看著軟體", "看著软体"),
        ("simplified_tw", "看著軟體和滑鼠", "看着软件和鼠标"),
        ("simplified_hk", "裏面的説明", "里面的说明"),
        ("traditional", "头发发现皇后以后", "頭髮發現皇后以後"),
        ("traditional_tw", "软件里面", "軟體裡面"),
        ("traditional_hk", "软件里面", "軟件裏面"),
    ],
)
def test_words_are_converted(mode, text, converted):
    assert converter(mode)(text) == converted


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("simplified", "他打坏了著名的毛坏"),
        ("simplified_tw", "滑鼠是老鼠的一种"),
        ("traditional", "皇后的公里是臺灣的"),
        *[(mode, "Hello, 123！\nかな") for mode in MODES],
        *[(mode, "") for mode in MODES],
    ],
)
def test_text_in_the_wanted_script_comes_back_as_it_is(mode, text):
    assert converter(mode)(text) == text


def test_unknown_mode():
    with pytest.raises(KeyError, match="cantonese"):
        converter("cantonese")


@given(st.text(st.characters(codec="utf-8")), st.sampled_from(MODES))
def test_any_text_goes_through(text, mode):
    converter(mode)(text).encode()


def test_the_table_is_a_fixed_point_and_identity_outside_han():
    points = simplified_points()
    assert points.dtype == np.uint32
    assert points.shape == (0x110000,)
    assert np.array_equal(points[points], points)
    changed = np.flatnonzero(points != np.arange(0x110000))
    assert 4_000 < len(changed) < 8_000
    assert min(changed) >= 0x3400
    with pytest.raises(ValueError, match="read-only"):
        points[0] = 1


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("頭髮發現", "头发发现"), ("看著", "看着"), ("裏裡", "里里"), ("爲為", "为为"),
        ("乾隆乾淨", "干隆干净"), ("衞敍説", "卫叙说"), ("両観売国", "两观卖国"),
        ("什么", "什么"), ("芸", "芸"), ("国", "国"), ("\uf900", "岂"), ("かな가Aé", "かな가Aé"),
    ],
)  # fmt: skip
def test_what_compares_as_one(text, same):
    assert folded(text) == same
    assert folded(same) == folded(text)


def letters(text: str) -> str:
    """Quotation marks differ too (「」 and “”); they are no business of this table."""
    return "".join(filter(str.isalnum, text))


def test_traditional_and_simplified_sentences_meet(shared_data):
    path = shared_data / "parallel" / "ud_gsd_hant_hans.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    once = [converter("simplified")(row["hant"]) for row in rows]
    assert [converter("simplified")(text) for text in once] == once
    texts = [(letters(row["hant"]), letters(row["hans"])) for row in rows]
    assert sum(a == b for a, b in texts) < 0.2 * len(texts)
    assert sum(folded(a) == folded(b) for a, b in texts) >= 0.99 * len(texts)
