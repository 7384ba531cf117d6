"""How many pieces: the curve, and the number that it says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hanhua.vocab.choose import Point, best, choose, curve, sizes_up_to
from hanhua.vocab.config import VocabConfig
from hanhua.vocab.cost import Cost
from hanhua.vocab.family import family_of
from hanhua.vocab.gather import gather
from hanhua.vocab.script import script_of
from hanhua.vocab.tokenizer import read_tokenizer

SMALL = Cost(body_params=50_000, hidden_size=256, tied=True, assumed=False)
LARGE = Cost()


def test_a_small_model_gets_fewer_pieces_than_a_large_one(tiny_llama, documents):
    family, script = family_of(read_tokenizer(tiny_llama)), script_of("zh")
    config = VocabConfig(add="auto", min_gain=0.001, traditional_share=0)
    runs = gather(family, script, config, lambda: iter(documents[:80]))
    texts = [d.text for d in documents[80:]]
    found = {}
    for name, cost in (("small", SMALL), ("large", LARGE)):
        extended, points = choose(family, script, config, runs, texts, cost)
        found[name] = len(extended.pieces)
        assert (extended.base_tokens + found[name]) % 64 == 0
        assert points[0].pieces == 0
    assert 0 < found["small"] < found["large"]


def test_curve_is_what_encoding_says(extended, documents):
    family, found = extended
    texts = [d.text for d in documents[:20]]
    points = curve(family, found, texts, SMALL, [32, len(found.pieces)])
    chars = sum(map(len, texts))
    for point, files in ((points[0], family.files), (points[-1], found.files)):
        n = sum(len(files.backend.encode(t, add_special_tokens=False).ids) for t in texts)
        assert abs(point.tokens_per_char - n / chars) < 1e-6
    assert points[0].tokens_per_char > points[1].tokens_per_char > points[2].tokens_per_char


def test_the_least_compute_wins_and_rare_pieces_do_not_count():
    points = [
        Point(0, 1.5, 0.0, 150.0), Point(1024, 1.0, 0.3, 105.0), Point(2048, 0.9, 0.1, 99.0),
        Point(4096, 0.85, 0.03, 98.0), Point(8192, 0.84, 0.001, 97.0),
    ]  # fmt: skip
    assert best(points, min_gain=0.004, extended_to=32000) == 4096
    assert best(points, min_gain=0.0005, extended_to=32000) == 8192
    assert best(points, min_gain=0.05, extended_to=32000) == 2048


@given(st.integers(1, 70_000))
def test_sizes_rise_to_the_most(most):
    sizes = sizes_up_to(most)
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == most
    assert min(sizes) > 0
