"""Attention inside documents by tiles of bf16, against its formula in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.model.native import NATIVE
from hanhua.model.within import Within, can_attend
from hanhua.train.attention import packed_attention

pytestmark = pytest.mark.skipif(
    NATIVE is None or not NATIVE.tiles(),
    reason="this processor does not multiply tiles of bf16 (AMX), or the part was not built",
)
LENGTHS = st.lists(st.integers(1, 130), min_size=1, max_size=5)


@pytest.fixture(autouse=True)
def as_it_was():
    threads = torch.get_num_threads()
    yield
    NATIVE.use(2)
    torch.set_num_threads(threads)


def states(heads, tokens, width, seed, *, lying="tokens", size=1.0):
    """``[H, T, E]`` bf16, as behind a product, as heads one by one, or cut from something wider."""
    made = torch.randn(
        tokens, heads, width, generator=torch.Generator().manual_seed(seed)
    ).mul(size).bfloat16()  # fmt: skip
    if lying == "heads":
        return made.transpose(0, 1).contiguous().requires_grad_()
    if lying == "cut":
        return torch.cat([made, made + 1], 2).transpose(0, 1)[..., :width].requires_grad_()
    return made.transpose(0, 1).requires_grad_()


def formula(query, key, value, lengths, scale):
    """``[T, H, E]`` float64."""
    parts = []
    split = zip(*(x.split(lengths, 1) for x in (query, key, value)), strict=True)
    for q, k, v in split:
        late = torch.ones(q.shape[1], q.shape[1]).triu(1).bool()
        scores = (q @ k.transpose(1, 2) * scale).masked_fill(late, float("-inf"))
        parts.append((scores.softmax(-1) @ v).transpose(0, 1))
    return torch.cat(parts)


def pulled(out, given, pull):
    return out.detach(), *torch.autograd.grad(out, given, pull.to(out.dtype))


@settings(max_examples=60, deadline=None)
@given(
    LENGTHS, st.integers(1, 3), st.sampled_from([1, 8, 31, 32, 48, 64, 80, 128, 256]),
    st.sampled_from(["tokens", "heads", "cut"]), st.integers(1, 3), st.sampled_from([0.05, 0.2]),
)  # fmt: skip
def test_it_is_that_of_its_formula(lengths, heads, width, lying, threads, scale):
    torch.set_num_threads(threads)
    tokens = sum(lengths)
    given = [states(heads, tokens, width, seed, lying=lying) for seed in range(3)]
    exact = [x.detach().double().requires_grad_() for x in given]
    pull = states(tokens, heads, width, 3).detach()
    assert can_attend(*given, scale)
    found = pulled(Within.apply(*given, lengths, scale), given, pull)
    wanted = pulled(formula(*exact, lengths, scale), exact, pull)
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.dtype == torch.bfloat16
        # a gradient of queries or keys is a difference of weighed values, so of rounded ones
        size = max(float(theirs.abs().max()), float(pull.abs().max()) * scale)
        assert float((mine.double() - theirs).abs().max()) <= 0.02 * size


def test_bits_do_not_depend_on_the_documents_beside_or_the_threads():
    lengths, scale = [70, 5, 33, 128, 1], 0.15
    given = [states(2, sum(lengths), 48, seed) for seed in range(3)]
    pull = states(2, sum(lengths), 48, 3).detach().transpose(0, 1)
    torch.set_num_threads(1)
    found = pulled(Within.apply(*given, lengths, scale), given, pull)
    torch.set_num_threads(4)
    for mine, theirs in zip(
        pulled(Within.apply(*given, lengths, scale), given, pull), found, strict=True
    ):
        assert torch.equal(mine, theirs)
    at = 0
    for n in lengths:
        alone = [x[:, at : at + n].detach().requires_grad_() for x in given]
        out, *grads = pulled(Within.apply(*alone, [n], scale), alone, pull[at : at + n])
        assert torch.equal(out, found[0][at : at + n])
        for mine, theirs in zip(grads, found[1:], strict=True):
            assert torch.equal(mine, theirs[:, at : at + n])
        at += n


def test_products_of_pytorch_beside_it_are_what_they_were():
    """Both set tiles up, and ours are given back; PyTorch 2.13 sets its own up each time anyway."""
    torch.set_num_threads(2)
    left, right = (states(1, 96, 160, seed).detach()[0] for seed in (5, 6))
    given = [states(2, 100, 48, seed) for seed in range(3)]
    pull = torch.ones(100, 2, 48).bfloat16()
    alone = left @ right.T, left[:7] @ right[:3].T
    for _ in range(5):
        pulled(Within.apply(*given, [60, 40], 0.2), given, pull)
        assert torch.equal(left @ right.T, alone[0])
        assert torch.equal(left[:7] @ right[:3].T, alone[1])


def test_scores_far_off_and_what_is_no_number():
    given = [states(1, 40, 32, seed, size=100.0) for seed in range(3)]
    out, *grads = pulled(Within.apply(*given, [40], 1.0), given, torch.ones(40, 1, 32))
    exact = formula(*(x.detach().double() for x in given), [40], 1.0)
    assert float((out.double() - exact).abs().max()) <= 0.02 * float(exact.abs().max())
    assert all(bool(x.isfinite().all()) for x in grads)
    with torch.no_grad():
        given[1][0, 7] = float("nan")
    out = Within.apply(*given, [20, 20], 1.0)
    assert out[7:20].isnan().all()
    assert out[:7].isfinite().all()
    assert out[20:].isfinite().all()


def test_packed_attention_takes_it_also_with_fewer_heads_of_keys():
    query = states(4, 50, 48, 0)[None]
    key, value = states(2, 50, 48, 1)[None], states(2, 50, 48, 2)[None]
    out, _ = packed_attention(
        torch.nn.Module(), query, key, value, None, document_lengths=[30, 20], scaling=0.1
    )
    exact = [x[0].detach().double() for x in (query, key, value)]
    wanted = formula(exact[0], *(x.repeat_interleave(2, 0) for x in exact[1:]), [30, 20], 0.1)
    assert float((out[0].detach().double() - wanted).abs().max()) <= 0.02
    assert "Within" in type(out.grad_fn.next_functions[0][0]).__name__


def test_what_it_does_not_take():
    q, wide = states(2, 5, 48, 0), states(2, 5, 288, 0)
    assert can_attend(q, q, q, 0.1)
    assert not can_attend(q.float(), q.float(), q.float(), 0.1)
    assert not can_attend(q, q[:1], q[:1], 0.1)
    assert not can_attend(wide, wide, wide, 0.1)
    assert not can_attend(q, q, q, -0.1)
    NATIVE.use(1)
    assert not can_attend(q, q, q, 0.1)
