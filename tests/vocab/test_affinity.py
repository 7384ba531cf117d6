"""What a source is worth: weights by size and by how much it reads like the others."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from hanhua.text.document import Document
from hanhua.vocab.affinity import Survey, source_weights
from hanhua.vocab.config import VocabConfig
from hanhua.vocab.extend import extend
from hanhua.vocab.family import family_of
from hanhua.vocab.gather import gather
from hanhua.vocab.script import script_of
from hanhua.vocab.tokenizer import read_tokenizer

PATTERN = script_of("zh").runs("▁")
UNIT = 256
COMMON, RARE = "我们今天在学校里看书写字喝茶说话", "鼎彝簋卣觚爵斝罍瓿罐盉匜觥盂"


def documents(letters: str, source: str, number: int = 60) -> list[Document]:
    rng = random.Random(source)
    texts = ("".join(rng.choices(letters, k=40)) for _ in range(number))
    return [Document(f"{source}/{i}", text, "zh", source, "") for i, text in enumerate(texts)]


def survey(found) -> Survey:
    made = Survey(PATTERN)
    for document in found:
        made.see(document.source, document.text)
    return made


def corpus() -> list[Document]:
    return documents(COMMON, "a") + documents(COMMON, "b") + documents(RARE, "odd")


@given(
    st.dictionaries(st.text(min_size=1), st.integers(10, 10**9), min_size=1, max_size=6),
    st.floats(0, 1),
)
def test_weights_keep_the_mean_character_at_one_and_favour_small_sources(sizes, alpha):
    weights = source_weights(sizes, alpha, dict.fromkeys(sizes, 0.3), 2.0, UNIT)
    by_size = sorted(sizes, key=sizes.__getitem__)
    assert [weights[s] for s in by_size] == sorted(weights.values(), reverse=True)
    total = sum(weights[s] * sizes[s] for s in sizes)
    slack = len(sizes) + 0.5 * sum(sizes.values()) + max(sizes.values())
    assert abs(total - UNIT * sum(sizes.values())) <= slack


def test_alpha_one_and_power_zero_leave_counts_alone():
    affinity = {"a": 0.1, "b": 0.9, "c": 0.5}
    assert source_weights({"a": 5, "b": 500, "c": 0}, 1.0, affinity, 0.0, UNIT) == {
        "a": 256, "b": 256,
    }  # fmt: skip
    assert source_weights({}, 0.3, {}, 2.0, UNIT) == {}


def test_sources_that_read_alike_are_worth_more():
    found = survey(corpus())
    affinity = found.affinity()
    assert set(found.sizes.values()) == {2400}
    assert 0 <= affinity["odd"] < 0.1 < affinity["a"] <= 1
    weights = source_weights(found.sizes, 1.0, affinity, 2.0, UNIT)
    assert weights["odd"] < weights["a"] / 10


def test_overlap_does_not_depend_on_order_or_on_a_source_alone():
    one, two = survey(corpus()), survey(reversed(corpus()))
    assert one.affinity() == two.affinity()
    assert survey(documents(COMMON, "a")).affinity() == {"a": 1.0}
    assert Survey(PATTERN).affinity() == {}


def test_pieces_come_from_the_sources_that_read_alike(tiny_llama):
    family, script = family_of(read_tokenizer(tiny_llama)), script_of("zh")
    share = {}
    for power in (0.0, 4.0):
        config = VocabConfig(add=80, source_affinity=power, traditional_share=0)
        found = extend(family, script, config, gather(family, script, config, corpus))
        share[power] = sum(any(c in RARE for c in p.piece) for p in found.pieces) / 80
    assert share[4.0] < share[0.0]
    assert share[0.0] > 0.1
