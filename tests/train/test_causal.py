"""Our attention on a CPU: documents of any lengths at once, as each is alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from hanhua.train import causal
from hanhua.train.causal import ROUND, PackedCausal, places_of

WIDTH = 8


def attended(attend, heads, tokens):
    """What a way of attention gives, and its gradients."""
    torch.manual_seed(tokens)
    leaves = [torch.randn(heads, tokens, WIDTH).requires_grad_() for _ in range(3)]
    out = attend(*leaves)
    (out * torch.randn(out.shape)).sum().backward()
    return [out.detach(), *(leaf.grad for leaf in leaves)]


def one_by_one(lengths):
    def attend(*whole):
        documents = zip(*(x.split(lengths, 1) for x in whole), strict=True)
        found = [scaled_dot_product_attention(*d, is_causal=True, scale=0.5) for d in documents]
        return torch.cat(found, 1).transpose(0, 1)

    return attend


@pytest.mark.parametrize("amx", [False, True])
@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=12),
    heads=st.integers(1, 3),
    queries=st.sampled_from([32, 128]),
    tile_bytes=st.sampled_from([1, 20_000, 4_000_000]),
)
def test_documents_of_any_lengths_attend_as_each_alone(amx, lengths, heads, queries, tile_bytes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(causal, "_has_amx", lambda: amx)
        patch.setattr(causal, "QUERIES", queries)
        patch.setattr(causal, "TILE_BYTES", tile_bytes)
        places_of.cache_clear()
        ours = attended(lambda *x: PackedCausal.apply(*x, lengths, 0.5), heads, sum(lengths))
        places_of.cache_clear()
    for found, expected in zip(
        ours, attended(one_by_one(lengths), heads, sum(lengths)), strict=True
    ):
        assert torch.allclose(found, expected, atol=1e-5)


def test_long_documents_have_at_most_eight_blocks():
    lengths = [1500, 37]
    ours = attended(lambda *x: PackedCausal.apply(*x, lengths, 0.5), 2, sum(lengths))
    for found, expected in zip(ours, attended(one_by_one(lengths), 2, sum(lengths)), strict=True):
        assert torch.allclose(found, expected, atol=1e-4)
    assert 1 < -(-causal._filled(1500) // causal._queries(causal._filled(1500))) <= 8


def test_batches_ask_for_products_of_few_shapes():
    numbers = torch.Generator().manual_seed(0)
    shapes, lengths_seen = set(), set()
    for _ in range(300):
        lengths = tuple(torch.randint(1, 1025, (12,), generator=numbers).tolist())
        places = places_of(lengths, 6)
        shapes |= {(at.stop - at.start, length) for at, length in places.tiles}
        lengths_seen |= set(lengths)
        assert len(places.source) <= 1.4 * 6 * sum(lengths)
    assert len(shapes) < 80
    assert len(lengths_seen) > 900


@given(st.integers(1, 100_000))
def test_a_filled_document_is_a_quarter_longer_at_most(length):
    filled = causal._filled(length)
    assert length <= filled <= max(1.25 * length, -(-length // ROUND) * ROUND)
    assert filled % ROUND == 0
