from __future__ import annotations

import pytest

from hanhua.core.errors import RecipeError
from hanhua.vocab.script import LETTERS, Pattern, script_of


@pytest.mark.parametrize(
    ("text", "pattern", "runs"),
    [
        ("我们。他说：“好”！ok", "punct_letters", ["我们", "。他说", "：", "“好", "！"]),
        ("我们。他说：“好”！ok", "letters_marks", ["我们", "。", "他说", "：", "好", "！"]),
        ("我们。他说：“好”！ok", "letters", ["我们", "他说", "好"]),
        ("▁你好▁世界", "punct_letters", ["▁你好", "▁世界"]),
        ("他。」她", "punct_letters", ["他", "。", "」她"]),
        ("第3章 a股…", "punct_letters", ["第", "章", "股"]),
        ("English, “quoted” — text…", "punct_letters", []),
    ],
)
def test_runs(text: str, pattern: Pattern, runs: list[str]):
    assert script_of("zh").runs("▁", pattern).findall(text) == runs


def test_no_run_is_made_of_what_english_writes_too():
    pattern = script_of("zh").runs("▁")
    assert not any(pattern.search(chr(code)) for code in range(0x2000))


@pytest.mark.parametrize("language", sorted(LETTERS))
def test_every_language_of_the_table_compiles_and_leaves_ascii_alone(language: str):
    assert not any(script_of(language).own.match(chr(code)) for code in range(128))


@pytest.mark.parametrize(
    ("language", "text"), [("ja", "ひらカナ漢字"), ("ko", "한국어"), ("th", "ไทย")]
)
def test_other_languages_have_their_letters(language: str, text: str):
    assert script_of(language).runs("▁").findall(text) == [text]


def test_a_variety_is_its_language():
    assert script_of("zh-TW") == script_of("zh")


@pytest.mark.parametrize(
    ("language", "letters", "message"),
    [
        ("fr", None, "Nobody has said"),
        ("fr", "a-z", "ASCII"),
        ("xx", "\u9fff-\u4e00", "no regex class body"),
    ],
)
def test_what_gives_no_guarantee_is_refused(language: str, letters: str | None, message: str):
    with pytest.raises(RecipeError, match=message) as caught:
        script_of(language, letters)
    assert caught.value.where == "vocab.script"
    assert caught.value.fix


def test_the_recipe_can_name_letters():
    assert script_of("bo", "\u0f40-\u0fbc").letter.findall("བོད་") == list("བོད")
