"""Cross-entropy behind a head by tiles of bf16, against its formula in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from hanhua.model import head_room
from hanhua.model.head_room import parts_of
from hanhua.model.head_tiles import can_tile, tiled_gradients, tiled_losses
from hanhua.model.native import NATIVE

pytestmark = pytest.mark.skipif(
    NATIVE is None or not NATIVE.tiles(),
    reason="this processor does not multiply tiles of bf16 (AMX), or the part was not built",
)


@pytest.fixture(autouse=True)
def as_it_was():
    threads = torch.get_num_threads()
    yield
    NATIVE.use(2)
    torch.set_num_threads(threads)


def numbers(n, vocab, width, seed, size=1.0):
    made = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, width, generator=made).mul(size).bfloat16()
    weight = torch.randn(vocab, width, generator=made).bfloat16()
    return hidden, weight, torch.randint(0, vocab, (n,), generator=made)


def formula(hidden, weight, labels, weights, scale):
    """Losses and both gradients in float64."""
    hidden, weight = hidden.double().requires_grad_(), weight.double().requires_grad_()
    losses = cross_entropy(hidden @ weight.t(), labels, reduction="none")
    factors = torch.ones(len(labels)) if weights is None else weights
    gradients = torch.autograd.grad((losses * factors.double()).sum() * scale, (hidden, weight))
    return losses.detach(), *gradients


def off(found, wanted):
    return float((found.double() - wanted).norm() / wanted.norm().clamp_min(1e-12))


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(1, 600), vocab=st.integers(1, 700), blocks=st.integers(1, 10),
    seed=st.integers(0, 99), size=st.sampled_from([0.01, 0.3, 3.0]), weighted=st.booleans(),
    threads=st.integers(1, 3),
)  # fmt: skip
def test_is_the_formula(n, vocab, blocks, seed, size, weighted, threads):
    torch.set_num_threads(threads)
    hidden, weight, labels = numbers(n, vocab, 32 * blocks, seed, size)
    weights = torch.linspace(-1.5, 2.0, n) if weighted else None
    assert can_tile(hidden, weight)
    losses, d_hidden, d_weight = tiled_gradients(
        hidden, weight, labels, weights, 0.25, need_weight=True
    )
    expected = formula(hidden, weight, labels, weights, 0.25)
    largest = (hidden.float() @ weight.float().t()).abs().max()
    assert (losses - expected[0]).abs().max() < 1e-5 * (1 + largest)
    assert losses.min() >= 0
    assert torch.equal(losses, tiled_losses(hidden, weight, labels))
    # where softmax is all but sure its gradients are small differences of bf16
    least = 1e-3 * (n * 32 * blocks) ** 0.5 * 0.25
    for found, wanted in ((d_hidden, expected[1]), (d_weight, expected[2])):
        assert off(found, wanted) < 0.01 or (found.double() - wanted).norm() < least


def test_losses_of_a_token_are_its_own_and_threads_change_no_weight():
    hidden, weight, labels = numbers(530, 3000, 96, 5)
    found = {}
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found[threads] = tiled_gradients(hidden, weight, labels, None, 0.1, need_weight=True)
    for threads in (2, 3):
        assert torch.equal(found[1][0], found[threads][0])
        assert torch.equal(found[1][2], found[threads][2])
        assert off(found[threads][1], found[1][1].double()) < 3e-3
    again = tiled_gradients(hidden, weight, labels, None, 0.1, need_weight=True)
    assert all(torch.equal(a, b) for a, b in zip(found[3], again, strict=True))
    alone = tiled_losses(hidden[77:78], weight, labels[77:78])
    assert torch.equal(alone, found[1][0][77:78])


def test_a_frozen_head_and_less_room_give_the_same(monkeypatch):
    torch.set_num_threads(3)
    hidden, weight, labels = numbers(300, 900, 64, 1)
    losses, d_hidden, d_weight = tiled_gradients(
        hidden, weight, labels, None, 1.0, need_weight=True
    )
    frozen = tiled_gradients(hidden, weight, labels, None, 1.0, need_weight=False)
    assert frozen[2] is None
    assert torch.equal(losses, frozen[0])
    assert torch.equal(d_hidden, frozen[1])
    monkeypatch.setattr(head_room, "MOST_SUMS_BYTES", 1)
    assert parts_of(300, 64, 3) == 1
    fewer = tiled_gradients(hidden, weight, labels, None, 1.0, need_weight=True)
    assert torch.equal(fewer[2], d_weight)
    assert off(fewer[1], d_hidden.double()) < 3e-3


def test_what_is_not_a_number_shows_in_its_own_loss_and_in_the_gradients():
    hidden, weight, labels = numbers(64, 200, 32, 2)
    hidden[3, 7] = float("nan")
    losses, d_hidden, d_weight = tiled_gradients(
        hidden, weight, labels, None, 1.0, need_weight=True
    )
    assert losses.isnan().nonzero().flatten().tolist() == [3]
    assert d_hidden[3].isnan().all()
    assert d_weight.isnan().any()
    hidden[3, 7] = float("inf")
    assert not torch.isfinite(tiled_losses(hidden, weight, labels)[3])


def test_far_apart_logits_stay_exact():
    hidden, weight, labels = numbers(40, 300, 32, 3)
    hidden = hidden * 100  # logits of hundreds: most exponents are below what fp32 holds
    losses, d_hidden, _ = tiled_gradients(hidden, weight, labels, None, 1.0, need_weight=True)
    expected = formula(hidden, weight, labels, None, 1.0)
    assert (losses - expected[0]).abs().max() < 1e-5 * expected[0].max()
    assert expected[0].max() > 500
    assert off(d_hidden, expected[1]) < 0.01


def test_what_fills_up_the_last_pieces_has_no_share():
    """All logits are far below those that nothing would have."""
    hidden, weight, labels = numbers(40, 33, 32, 3)
    hidden, weight = hidden.abs() * 10, -weight.abs()
    assert (hidden.float() @ weight.float().t()).max() < -100
    losses, d_hidden, d_weight = tiled_gradients(
        hidden, weight, labels, None, 1.0, need_weight=True
    )
    expected = formula(hidden, weight, labels, None, 1.0)
    assert (losses - expected[0]).abs().max() < 1e-5 * expected[0].max()
    assert off(d_hidden, expected[1]) < 0.01
    assert off(d_weight, expected[2]) < 0.01


def test_labels_outside_are_refused_and_others_do_it_otherwise():
    hidden, weight, labels = numbers(40, 300, 32, 3)
    with pytest.raises(IndexError, match="300 of 300"):
        tiled_losses(hidden, weight, labels + 300 - labels)
    assert not can_tile(hidden[:, :16].contiguous(), weight[:, :16].contiguous())
    assert not can_tile(hidden.float(), weight.float())
    assert not can_tile(hidden[:0], weight)
    NATIVE.use(1)
    assert not can_tile(hidden, weight)
