"""Runs cut at the borders of a byte-level base's own split, many at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from hanhua.vocab.count import Runs
from hanhua.vocab.cut import cut_runs

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
OLD_HAN = r"[\u4e00-\u9fa5]+|[^\u4e00-\u9fa5]+"


class Base:
    """A base that cuts as its pre-tokenizer does."""

    def __init__(self, pattern: str | None) -> None:
        steps = [] if pattern is None else [pre_tokenizers.Split(Regex(pattern), "isolated")]
        byte = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
        self.pre_tokenizer = pre_tokenizers.Sequence([*steps, byte])
        self.asked = 0

    def split(self, run: str) -> list[str]:
        self.asked += 1
        return [run[a:b] for _, (a, b) in self.pre_tokenizer.pre_tokenize_str(run)]


runs = st.lists(
    st.text("一丁龥龦㐀〇々𠀀，。“ ⺀", min_size=1, max_size=12), unique=True, max_size=25
)


@pytest.mark.parametrize("pattern", [None, LLAMA3, OLD_HAN])
@settings(max_examples=150, deadline=None)
@given(found=runs)
def test_all_at_once_is_one_by_one(pattern, found):
    base = Base(pattern)
    cut = cut_runs(Runs.of(found, list(range(1, len(found) + 1))), base)
    expected = [(part, i) for i, run in enumerate(found) for part in base.split(run)]
    assert list(zip(cut.texts, cut.rows.tolist(), strict=True)) == expected
    assert len(cut.row_weights) == len(found)


def test_plain_runs_are_asked_about_once_for_each_length():
    base = Base(None)
    texts = [
        lead + chr(0x4E00 + i) * n for i in range(300) for n in (1, 2, 3) for lead in ("", "，")
    ]
    cut = cut_runs(Runs.of(texts, [1] * len(texts)), base)
    assert base.asked == 6
    assert cut.texts.count("，") == 900  # GPT-2 keeps marks and letters apart
