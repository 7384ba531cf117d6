from __future__ import annotations

from hanhua.text.document import Document
from hanhua.vocab.count import count_runs, sampled
from hanhua.vocab.script import script_of

PATTERN = script_of("zh").runs("▁")


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


def test_a_sample_depends_on_the_documents_alone():
    documents = [doc(i, "x") for i in range(2000)]
    few = list(sampled(documents, 0.25))
    assert few == list(sampled(reversed(documents), 0.25))[::-1]
    assert 400 < len(few) < 600
    assert {d.id for d in few} < {d.id for d in sampled(documents, 0.5)}
    assert list(sampled(documents, 1.0)) == documents
