from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hanhua.text.copies.minhash as minhash
from hanhua.text.copies.minhash import (
    BANDS,
    FUNCTIONS,
    band_keys,
    band_row,
    canonical_points,
    shingle_hashes,
    short_form,
    sign,
)  # fmt: skip

TEXT = st.text(st.sampled_from("天地人水火學学 \n，。aB１x-のカ한글é𠀀ไทย"), max_size=80)


@given(st.one_of(TEXT, st.text(max_size=60)), st.booleans())
@settings(max_examples=400, deadline=None)
def test_the_compiled_part_does_what_the_definition_says(text, variants):
    found = shingle_hashes(text, variants)
    a, b = minhash._functions()
    least = (found[:, None] * a + b).min(axis=0) if len(found) else np.full(120, 0xFFFFFFFF)
    made = sign(text, variants)
    assert made.shingles == len(found)
    assert np.array_equal(made.least, least)


@given(st.text(max_size=60))
def test_compared_points_do_not_depend_on_the_compiled_part(text):
    with_native = canonical_points(text)
    folded = minhash.compare_table().take(minhash.code_points(text))
    assert np.array_equal(with_native, folded[folded != 0])


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("今天下午三点，在图书馆的二楼", "今天 下午 三点 在 图书馆 的 二楼"),
        ("臺灣的圖書館裡有很多學生", "台湾的图书馆里有很多学生"),
        ("The quick brown fox jumps over", "the QUICK, brown fox\njumps over!"),
        ("ＡＢＣ１２３ 有五个字的话", "abc123有五个字的话"),
    ],
)
def test_what_copying_changes_makes_no_difference(one, two):
    assert len(shingle_hashes(one)) > 1
    assert np.array_equal(shingle_hashes(one), shingle_hashes(two))


def test_shingles_are_five_characters_or_three_words():
    assert len(shingle_hashes("一二三四")) == 0
    assert len(shingle_hashes("一二三四五六")) == 2
    assert len(shingle_hashes("one two")) == 0
    assert len(shingle_hashes("one two three four")) == 2
    assert len(shingle_hashes("一二three四五")) == 2  # 1+1+2+1 and 1+2+1+1
    assert not np.array_equal(shingle_hashes("ab c def"), shingle_hashes("a bc def"))


def jaccard(one, two):
    left, right = set(shingle_hashes(one).tolist()), set(shingle_hashes(two).tolist())
    return len(left & right) / len(left | right)


def test_agreement_estimates_similarity():
    rng = random.Random(5)
    errors, similarities = [], []
    for _ in range(150):
        base = [chr(rng.randrange(0x4E00, 0x5E00)) for _ in range(400)]
        other = [c if rng.random() > 0.08 * rng.random() ** 2 else "変" for c in base]
        one, two = "".join(base), "".join(other)
        agreement = float(np.mean(sign(one).least == sign(two).least))
        similarities.append(jaccard(one, two))
        errors.append(agreement - similarities[-1])
    assert abs(np.mean(errors)) < 0.015
    assert np.std(errors) < 0.06
    assert min(similarities) < 0.75 < 0.92 < max(similarities)


def test_a_band_is_shared_when_all_its_rows_are():
    least = sign("今天下午三点，在图书馆二楼的阅览室里讨论教学安排。").least
    other = least.copy()
    other[0] += 1
    same = band_keys(least) == band_keys(other)
    assert same.tolist() == [False] + [True] * (BANDS - 1)
    assert band_row(least) == band_keys(least).tobytes() + short_form(least).tobytes()
    assert band_keys(np.stack([least, other])).shape == (2, BANDS)
    assert len(least) == FUNCTIONS
