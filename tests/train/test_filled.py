"""Batches are filled up to usual sizes, and nothing is learnt from what fills them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import VOCAB, make_llama

from hanhua.train import chunks, linear_cross_entropy, objective
from hanhua.train.chunks import USUAL, shortfall
from hanhua.train.linear_cross_entropy import IGNORE
from hanhua.train.objective import Flat, filled, hidden_states, next_token_loss
from hanhua.train.packed import enable


def make_flat(lengths):
    torch.manual_seed(0)
    tokens = sum(lengths)
    labels = torch.randint(0, VOCAB, (tokens,))
    labels[torch.tensor(lengths).cumsum(0) - 1] = IGNORE
    positions = torch.cat([torch.arange(n) for n in lengths])[None]
    ids = torch.randint(0, VOCAB, (1, tokens))
    return Flat(ids, positions, labels, labels * 0, lengths, int((labels >= 0).sum()))


def learnt(flat):
    model = make_llama().train()
    enable(model)
    loss, losses = next_token_loss(model, flat, 1 / flat.n_targets)
    loss.backward()
    return loss.detach(), losses, {n: p.grad for n, p in model.named_parameters()}


def test_what_fills_a_batch_changes_neither_losses_nor_gradients(monkeypatch):
    flat = make_flat([90] * 10 + [100])
    assert filled(flat).lengths[-1] == shortfall(1000) == 24
    assert filled(flat).ids.shape[1] == 1024
    loss, losses, gradients = learnt(flat)
    for module in (objective, linear_cross_entropy):
        monkeypatch.setattr(module, "shortfall", lambda n: 0)
    assert filled(flat) is flat
    same_loss, same_losses, same_gradients = learnt(flat)
    assert losses.shape == same_losses.shape == (1000,)
    assert torch.allclose(loss, same_loss, atol=1e-6)
    assert torch.allclose(losses, same_losses, atol=1e-5)
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, same_gradients[name], atol=1e-6), name


def test_hidden_states_are_those_of_the_batch_s_own_tokens():
    model = make_llama()
    enable(model)
    assert len(hidden_states(model, make_flat([1000]))) == 1000


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("n", [1000, 1024])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_head_learns_nothing_from_what_fills_its_tokens(monkeypatch, dtype, n, weighted):
    monkeypatch.setattr(chunks, "TILE_LOGITS", 128 * 50)
    monkeypatch.setattr(chunks, "LOW_BUFFER_BYTES", 256 * 50 * 2)  # several chunks of two tiles
    torch.manual_seed(0)
    hidden, weight, bias = (
        torch.randn(*size).to(dtype).requires_grad_() for size in ((n, 8), (50, 8), (50,))
    )
    labels, weights = torch.randint(0, 50, (n,)), torch.rand(n) if weighted else None
    loss, losses = linear_cross_entropy.linear_cross_entropy(
        hidden, weight, labels, bias, scale=0.25, weights_N=weights
    )
    loss.backward()
    ours = [x.grad.float() for x in (hidden, weight, bias)]
    exact = [x.detach().float().requires_grad_() for x in (hidden, weight, bias)]
    every = torch.nn.functional.cross_entropy(
        exact[0] @ exact[1].t() + exact[2], labels, reduction="none"
    )
    (0.25 * (every if weights is None else every * weights).sum()).backward()
    low = dtype == torch.bfloat16
    assert torch.allclose(losses, every, atol=0.2 if low else 1e-5)
    for found, true in zip(ours, (x.grad for x in exact), strict=True):
        assert (found - true).norm() <= (1e-2 if low else 1e-5) * true.norm()
    assert shortfall(n) == (24 if n == 1000 else 0)


@given(st.integers(1, 100_000))
def test_filling_up_costs_three_percent_at_most(n):
    lacking = shortfall(n)
    assert lacking <= n / 32
    assert lacking == 0 or (n + lacking) % USUAL == 0
