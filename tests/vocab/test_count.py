from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.text.document import Document
from hanhua.vocab.count import Source, make_runs, run_counter, sampled
from hanhua.vocab.native import NATIVE
from hanhua.vocab.script import Script, script_of

ZH = script_of("zh")
KINDS = [
    False,
    pytest.param(True, marks=pytest.mark.skipif(NATIVE is None, reason="no C compiler was there")),
]


def doc(number: int, text: str, source: str = "a") -> Document:
    return Document(f"{source}/{number}", text, "zh", source, "cc0")


def counted(texts, weights, native, script=ZH, pattern="punct_letters"):
    """Runs of (source number, text) pairs."""
    counter = run_counter(script, "▁", pattern, native)
    for source, text in texts:
        counter.add(text, source)
    return make_runs(counter, [Source(str(i), w, 1) for i, w in enumerate(weights)], len(texts))


def by_source(runs) -> dict[str, Counter[int]]:
    found: dict[str, Counter[int]] = {}
    for text, row in zip(runs.texts, runs.rows.tolist(), strict=True):
        at = slice(int(runs.starts[row]), int(runs.starts[row + 1]))
        for source, count in zip(runs.sources[at].tolist(), runs.counts[at].tolist(), strict=True):
            found.setdefault(text, Counter())[source] += count
    return found


@pytest.mark.parametrize("native", KINDS)
def test_runs_are_counted_by_source_and_weighed(native):
    runs = counted([(0, "我们，他们"), (1, "我们"), (0, "我们")], [1, 10], native)
    assert by_source(runs) == {"我们": {0: 2, 1: 1}, "，他们": {0: 1}}
    assert dict(zip(runs.texts, runs.row_weights[runs.rows], strict=True)) == {
        "我们": 12, "，他们": 1,
    }  # fmt: skip
    assert dict(zip(runs.texts, runs.lengths, strict=True)) == {"我们": 2, "，他们": 3}


@pytest.mark.parametrize("native", KINDS)
def test_a_long_line_counts_once_a_short_one_always(native):
    line = "如果您遵循本指南的流程"
    runs = counted([(i % 2, f"{line}\n你好") for i in range(5)], [1, 1], native)
    assert by_source(runs) == {line: {0: 1}, "你好": {0: 3, 1: 2}}


@pytest.mark.parametrize("native", KINDS)
def test_no_text_gives_no_runs(native):
    runs = counted([(0, ""), (0, "\n\nplain")], [1], native)
    assert (runs.texts, len(runs.row_weights)) == ([], 0)


texts = st.lists(
    st.tuples(st.integers(0, 3), st.text("一二三，。！“…▁ab7\n〇𠀀", max_size=40)), max_size=12
)
SCRIPTS = [ZH, script_of("ru"), script_of("th"), Script("一二", "，")]


@pytest.mark.skipif(NATIVE is None, reason="no C compiler was there")
@settings(max_examples=100, deadline=None)
@given(texts, st.sampled_from(("punct_letters", "letters_marks", "letters")),
       st.sampled_from(SCRIPTS))  # fmt: skip
def test_the_compiled_counter_finds_what_the_regex_finds(found, pattern, script):
    one, two = (counted(found, [1] * 4, native, script, pattern) for native in (True, False))
    assert by_source(one) == by_source(two)
    assert len(set(one.texts)) == len(one.texts)


@pytest.mark.skipif(NATIVE is None, reason="no C compiler was there")
def test_the_compiled_counter_grows_and_takes_any_code_point():
    many = [(i % 3, chr(0x4E00 + i % 20_000) + chr(0x4E00 + i * 7 % 20_000)) for i in range(50_000)]
    many += [(0, "\ud800一\U0010ffff二\x00三"), (1, "一" * 10_000)]
    one, two = (counted(many, [1] * 3, native) for native in (True, False))
    assert by_source(one) == by_source(two)
    assert len(one.texts) > 15_000


def test_a_sample_depends_on_the_documents_alone():
    documents = [doc(i, "x") for i in range(2000)]
    few = list(sampled(documents, 0.25))
    assert few == list(sampled(reversed(documents), 0.25))[::-1]
    assert 400 < len(few) < 600
    assert {d.id for d in few} < {d.id for d in sampled(documents, 0.5)}
    assert list(sampled(documents, 1.0)) == documents
