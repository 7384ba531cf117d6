"""Our loss is PyTorch's, gradients too, however it is cut into chunks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from hanhua.train import chunks
from hanhua.train.linear_cross_entropy import IGNORE, linear_cross_entropy


def inputs(n=70, vocab=300, dtype=torch.float32, ignored=0.3, bias=False):
    torch.manual_seed(1)
    hidden = torch.randn(n, 16).to(dtype).requires_grad_()
    weight = torch.randn(vocab, 16).to(dtype).requires_grad_()
    extra = torch.randn(vocab).to(dtype).requires_grad_() if bias else None
    labels = torch.randint(0, vocab, (n,))
    labels[torch.rand(n) < ignored] = IGNORE
    return hidden, weight, labels, extra


def reference(hidden, weight, labels, bias, scale, logit_scale=1.0, softcap=None):
    logits = F.linear(hidden.float(), weight.float(), None if bias is None else bias.float())
    logits = logits * logit_scale
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    loss = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum") * scale
    leaves = [x for x in (hidden, weight, bias) if x is not None]
    return loss, torch.autograd.grad(loss, leaves)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("tile", [1 << 24, 300 * 64])
@pytest.mark.parametrize("ignored", [0.0, 0.3])
def test_equals_pytorch_in_fp32(monkeypatch, bias, tile, ignored):
    monkeypatch.setattr(chunks, "TILE_LOGITS", tile)
    hidden, weight, labels, extra = inputs(ignored=ignored, bias=bias, n=150)
    expected, gradients = reference(hidden, weight, labels, extra, 0.25)
    loss, losses = linear_cross_entropy(hidden, weight, labels, extra, scale=0.25)
    assert torch.allclose(loss, expected, rtol=1e-5)
    assert torch.allclose(losses.sum() * 0.25, expected, rtol=1e-5)
    assert (losses[labels == IGNORE] == 0).all()
    loss.backward()
    found = [x.grad for x in (hidden, weight, extra) if x is not None]
    for ours, theirs in zip(found, gradients, strict=True):
        assert torch.allclose(ours, theirs, atol=2e-5)
    assert (hidden.grad[labels == IGNORE] == 0).all()
    if tile == 300 * 64:
        assert chunks.chunk_and_tile(150, 300, 4)[0] < 150  # more than one chunk occurred


BENT = [{"softcap": 3.0}, {"logit_scale": 0.25}, {"logit_scale": 2.5, "softcap": 4.0}]


@pytest.mark.parametrize("bend", BENT)
@pytest.mark.parametrize("bias", [False, True])
def test_scaled_and_capped_logits_equal_pytorch(monkeypatch, bend, bias):
    monkeypatch.setattr(chunks, "TILE_LOGITS", 300 * 64)  # more than one chunk
    hidden, weight, labels, extra = inputs(bias=bias, n=150)
    expected, gradients = reference(hidden, weight, labels, extra, 0.25, **bend)
    loss, losses = linear_cross_entropy(hidden, weight, labels, extra, scale=0.25, **bend)
    assert torch.allclose(loss, expected, rtol=1e-5)
    assert torch.allclose(losses.sum() * 0.25, expected, rtol=1e-5)
    loss.backward()
    found = [x.grad for x in (hidden, weight, extra) if x is not None]
    for ours, theirs in zip(found, gradients, strict=True):
        assert torch.allclose(ours, theirs, atol=2e-5)
    plain, _ = linear_cross_entropy(hidden, weight, labels, extra, scale=0.25)
    assert abs(plain.item() - loss.item()) > 0.1  # the bend made a difference


@pytest.mark.parametrize("bend", BENT)
def test_bent_gradients_agree_with_finite_differences(bend):
    torch.manual_seed(0)
    leaves = [torch.randn(s, dtype=torch.float64).requires_grad_() for s in ((5, 3), (7, 3), (7,))]
    labels = torch.tensor([2, IGNORE, 0, 6, 2])

    def losses(hidden, weight, bias):
        return linear_cross_entropy(hidden, weight, labels, bias, **bend)

    losses(*leaves)[0].backward()
    for _ in range(5):
        ways = [torch.randn_like(x) for x in leaves]
        slope = sum(float((x.grad * way).sum()) for x, way in zip(leaves, ways, strict=True))
        ahead, behind = (
            losses(*(x.detach() + step * way for x, way in zip(leaves, ways, strict=True)))[1]
            for step in (0.01, -0.01)  # wide: losses come back in fp32
        )
        assert float((ahead - behind).sum()) / 0.02 == pytest.approx(slope, rel=1e-2, abs=1e-3)


@pytest.mark.parametrize("bend", BENT)
def test_bent_logits_are_within_rounding_in_bf16(bend):
    hidden, weight, labels, _ = inputs(n=2000, dtype=torch.bfloat16)
    expected, gradients = reference(hidden, weight, labels, None, 1 / 2000, **bend)
    loss, _ = linear_cross_entropy(hidden, weight, labels, scale=1 / 2000, **bend)
    assert abs(loss.item() - expected.item()) < 2e-3 * expected.item()
    loss.backward()
    for ours, theirs in zip((hidden.grad, weight.grad), gradients, strict=True):
        assert (ours.float() - theirs.float()).norm() / theirs.float().norm() < 0.02


@pytest.mark.parametrize("pieces", [False, True])
def test_is_within_rounding_in_bf16(monkeypatch, pieces):
    if pieces:
        monkeypatch.setattr(chunks, "TILE_LOGITS", 300 * 64)
        monkeypatch.setattr(chunks, "LOW_BUFFER_BYTES", 300 * 2 * 256)
        chunk, tile = chunks.chunk_and_tile(1400, 300, 2)
        assert 1400 > chunk > tile
    hidden, weight, labels, _ = inputs(n=2000, dtype=torch.bfloat16)
    expected, gradients = reference(hidden, weight, labels, None, 1 / 2000)
    loss, _ = linear_cross_entropy(hidden, weight, labels, scale=1 / 2000)
    assert abs(loss.item() - expected.item()) < 2e-3 * expected.item()
    loss.backward()
    for ours, theirs in zip((hidden.grad, weight.grad), gradients, strict=True):
        error = (ours.float() - theirs.float()).norm() / theirs.float().norm()
        assert error < 0.01


def test_a_factor_behind_the_loss_reaches_the_gradients():
    hidden, weight, labels, _ = inputs()
    (linear_cross_entropy(hidden, weight, labels)[0] * 3.0).backward()
    _, gradients = reference(hidden, weight, labels, None, 3.0)
    assert torch.allclose(hidden.grad, gradients[0], atol=1e-4)
    assert torch.allclose(weight.grad, gradients[1], atol=1e-4)


def test_no_targets_at_all_is_no_loss():
    hidden, weight, labels, _ = inputs(ignored=1.1)
    loss, losses = linear_cross_entropy(hidden, weight, labels)
    loss.backward()
    assert loss.item() == 0 == losses.sum().item()
    assert not hidden.grad.any()
    assert not weight.grad.any()


def test_a_frozen_head_gets_no_gradient():
    hidden, weight, labels, _ = inputs()
    frozen = weight.detach()
    linear_cross_entropy(hidden, frozen, labels)[0].backward()
    _, gradients = reference(hidden, weight, labels, None, 1.0)
    assert torch.allclose(hidden.grad, gradients[0], atol=2e-5)
    assert frozen.grad is None


def test_logits_that_are_not_numbers_show():
    hidden, weight, labels, _ = inputs()
    with torch.no_grad():
        hidden[3] = float("nan")
        labels[3] = 5
    loss, _ = linear_cross_entropy(hidden, weight, labels)
    assert torch.isnan(loss)
