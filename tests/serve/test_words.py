"""Blocked words are found whole and in pieces, and nothing else is."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.core.errors import ServeError
from hanhua.serve.words import BlockWords, WordFilter, read_words

WORDS = BlockWords(["Bad", "坏话", "very bad", "x2", "天天向下"])


@pytest.mark.parametrize(("text", "place"), [
    ("a bad day", 2), ("BAD", 0), ("ｂａｄ!", 0), ("他说坏话。", 2), ("bad话", 0), ("很bad吗", 1),
    ("a very bad day", 2), ("x2", 0), ("x2.", 0),
    ("badge", None), ("sinbad", None), ("坏的话", None), ("x21", None),
    ("天天向上", None), ("", None),
])  # fmt: skip
def test_find(text, place):
    assert WORDS.find(text) == place


PARTS = ["bad", "ba", "d", " ", "坏", "话", "very", "x", "2", "天", "天天向", "下", "Ｂ", "ﬁ", "e"]


@given(st.lists(st.sampled_from(PARTS), max_size=12), st.data())
@settings(max_examples=70, deadline=None)
def test_pieces_equal_the_whole(parts, data):
    """However a text is cut, the same is let through; what is let through is free of the words."""
    text = "".join(parts)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=5).map(sorted))
    edges = [0, *cuts, len(text)]
    stream, out = WordFilter(WORDS), ""
    for start, end in itertools.pairwise(edges):
        out += stream.push(text[start:end])
        assert text.startswith(out)
    out += stream.push("", last=True)
    place = WORDS.find(text)
    assert stream.blocked == (place is not None)
    if place is None:
        assert out == text
    else:
        assert text.startswith(out)
        assert WORDS.find(out, last=False) is None


def test_free_text_is_not_held_back():
    stream = WordFilter(WORDS)
    assert stream.push("good day ") == "good day "
    assert stream.push("b") == ""
    assert stream.push("ird") == "bird"


def test_word_files(tmp_path):
    path = tmp_path / "words"
    path.write_text("# no\n坏话\n\n Bad \n", encoding="utf-8")
    words = read_words(path)
    assert words is not None
    assert words.words == {"坏话", "bad"}
    assert read_words(None) is None
    bad = ((b"# x\n", "no word"), (b"\xff", "cannot be read"), (b"x" * 200, "long"))
    for content, match in bad:
        path.write_bytes(content)
        with pytest.raises(ServeError, match=match):
            read_words(path)
