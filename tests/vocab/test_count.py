from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hanhua.text.document import Document
from hanhua.vocab.count import WEIGHT_UNIT, count_runs, sampled, source_weights
from hanhua.vocab.script import script_of

PATTERN = script_of("zh").runs("▁", lead=True)


def doc(number: int, text: str, source: str = "a") -> Document:
    return Document(f"{source}/{number}", text, "zh", source, "cc0")


def test_runs_are_counted_by_source_weight():
    documents = [doc(1, "我们，他们"), doc(2, "我们", "b")]
    runs = count_runs(documents, PATTERN, {"a": 1, "b": 10}, lambda text: text)
    assert dict(zip(runs.texts, runs.weights, strict=True)) == {"我们": 11, "，他们": 1}
    assert (runs.chars, runs.documents) == (7, 2)


def test_a_long_line_counts_once_a_short_one_always():
    line = "如果您遵循本指南的流程"
    documents = [doc(i, f"{line}\n你好") for i in range(5)]
    runs = count_runs(documents, PATTERN, {"a": 1}, lambda text: text)
    assert dict(zip(runs.texts, runs.weights, strict=True)) == {line: 1, "你好": 5}


@given(
    st.dictionaries(st.text(min_size=1), st.integers(10, 10**9), min_size=1, max_size=6),
    st.floats(0, 1),
)
def test_weights_keep_the_mean_character_at_one_and_favour_small_sources(sizes, alpha):
    weights = source_weights(sizes, alpha)
    by_size = sorted(sizes, key=sizes.__getitem__)
    assert [weights[s] for s in by_size] == sorted(weights.values(), reverse=True)
    total = sum(weights[s] * sizes[s] for s in sizes)
    slack = len(sizes) + 0.5 * sum(sizes.values()) + max(sizes.values())
    assert abs(total - WEIGHT_UNIT * sum(sizes.values())) <= slack


def test_alpha_one_leaves_counts_alone_and_an_empty_source_has_no_weight():
    assert source_weights({"a": 5, "b": 500, "c": 0}, 1.0) == {"a": 256, "b": 256}
    assert source_weights({}, 0.3) == {}


def test_a_sample_depends_on_the_documents_alone():
    documents = [doc(i, "x") for i in range(2000)]
    few = list(sampled(documents, 0.25))
    assert few == list(sampled(reversed(documents), 0.25))[::-1]
    assert 400 < len(few) < 600
    assert {d.id for d in few} < {d.id for d in sampled(documents, 0.5)}
    assert list(sampled(documents, 1.0)) == documents
