"""What is computed in one pass, against the same in float64 and PyTorch's gradients of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.model.kernels import (
    attend,
    can_attend,
    can_run,
    few_rows,
    place,
    rms_norm,
    rotary,
    silu_gate,
    surprise_,
)
from hanhua.model.native import NATIVE

pytestmark = pytest.mark.skipif(NATIVE is None, reason="the compiled part was not built")

DTYPES = st.sampled_from([torch.float32, torch.bfloat16])
GENERATIONS = st.sampled_from([0, 1, 2])


@pytest.fixture(autouse=True)
def as_it_was():
    threads = torch.get_num_threads()
    yield
    NATIVE.use(2)
    torch.set_num_threads(threads)


def numbers(*shape, dtype, seed=0, size=1.0):
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * size
    return made.to(dtype).requires_grad_()


def near(found, wanted, dtype):
    """Equal but for one rounding, of the number itself and of what it was summed up from."""
    off = 2e-5 if dtype == torch.float32 else 1.6e-2
    assert torch.allclose(found.double(), wanted.double(), rtol=off, atol=off), (
        (found.double() - wanted.double()).abs().max()
    )


def check(ours, reference, given, dtype):
    """A kernel's result and gradients against those of a function in float64."""
    exact = [x.detach().double().requires_grad_() for x in given]
    found, wanted = ours(*given), reference(*exact)
    assert found.dtype == dtype
    near(found, wanted, dtype)
    pull = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(9)).to(dtype)
    found.backward(pull)
    wanted.backward(pull.double())
    for mine, theirs in zip(given, exact, strict=True):
        size = max(1.0, float(theirs.grad.abs().max()))
        near(mine.grad / size, theirs.grad / size, dtype)
    with torch.no_grad():
        assert torch.equal(ours(*given), found)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 70), DTYPES, GENERATIONS, st.integers(1, 4))
def test_norm_is_that_of_its_formula(rows, width, dtype, generation, threads):
    NATIVE.use(generation)
    torch.set_num_threads(threads)
    x, weight = numbers(1, rows, width, dtype=dtype), numbers(width, dtype=dtype, seed=1)

    def reference(x, weight):
        return weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)

    check(lambda x, weight: rms_norm(x, weight, 1e-5), reference, [x, weight], dtype)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5000), DTYPES, GENERATIONS, st.integers(1, 4))
def test_gate_is_that_of_its_formula(count, dtype, generation, threads):
    NATIVE.use(generation)
    torch.set_num_threads(threads)
    given = [numbers(1, count, dtype=dtype, size=4), numbers(1, count, dtype=dtype, seed=1)]
    check(silu_gate, lambda a, b: torch.nn.functional.silu(a) * b, given, dtype)


def test_gate_of_numbers_far_off():
    gate = torch.tensor([-1e30, -200.0, -60.0, 0.0, 60.0, 1e30, torch.nan])
    found = silu_gate(gate, torch.ones(7))
    assert found[1:4].abs().max() < 1e-20
    assert found[4:6].tolist() == [60.0, pytest.approx(1e30)]
    assert found[0].isfinite()
    assert found[6].isnan()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 4), st.integers(1, 6), st.sampled_from([2, 6, 16, 48]),
    DTYPES, GENERATIONS, st.sampled_from(["product", "heads first", "cut out"]), st.booleans(),
)  # fmt: skip
def test_rotary_is_that_of_its_formula(
    batch, heads, tokens, width, dtype, generation, lying, shared
):
    """However the heads lie in memory, and whether the documents of a batch share the angles."""
    NATIVE.use(generation)
    x = {
        "product": numbers(batch, tokens, heads, width, dtype=dtype).transpose(1, 2),
        "heads first": numbers(batch, heads, tokens, width, dtype=dtype),
        "cut out": numbers(batch, heads + 1, tokens, width, dtype=dtype)[:, 1:],
    }[lying].detach().requires_grad_()  # fmt: skip
    angles = numbers(1 if shared else batch, tokens, width, dtype=dtype, seed=1).detach()
    cos, sin = angles.cos(), angles.roll(1, -1).sin()  # not of one angle: halves differ

    def reference(x):
        first, second = x.chunk(2, -1)
        turned = torch.cat([-second, first], -1)
        return x * cos[:, None].double() + turned * sin[:, None].double()

    check(lambda x: rotary(x, cos, sin), reference, [x], dtype)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6), st.integers(1, 200), DTYPES, GENERATIONS, st.integers(1, 4), st.booleans(),
    st.sampled_from([0.1, 3.0, 60.0]),
)  # fmt: skip
def test_surprise_is_cross_entropy_and_its_gradient(
    rows, vocab, dtype, generation, threads, weighted, size
):
    NATIVE.use(generation)
    torch.set_num_threads(threads)
    logits = numbers(rows, vocab, dtype=dtype, size=size).detach()
    labels = torch.arange(rows) * 7 % vocab
    weights = torch.linspace(0.5, 2, rows) if weighted else None
    exact = logits.double().requires_grad_()
    wanted = torch.nn.functional.cross_entropy(exact, labels, reduction="none")
    (wanted if weights is None else wanted * weights).sum().backward()
    losses = surprise_(logits, labels, weights)
    assert torch.allclose(losses.double(), wanted, rtol=1e-5, atol=1e-4)
    near(logits, exact.grad, dtype)


def test_surprise_tells_of_what_is_no_number():
    logits = torch.zeros(3, 40)
    logits[1, 5], logits[2, 6] = torch.nan, torch.inf
    losses = surprise_(logits, torch.tensor([0, 0, 0]))
    assert losses[0].isfinite()
    assert losses[1].isnan()
    assert losses[2].isnan()
    assert logits[0].isfinite().all()
    assert logits[1].isnan().all()


@pytest.mark.parametrize("label", [-1, 40])
def test_surprise_refuses_a_label_out_of_range(label):
    logits = torch.zeros(2, 40)
    with pytest.raises(IndexError, match="of 40"):
        surprise_(logits, torch.tensor([0, label]))
    assert not logits.any()


def test_bits_do_not_depend_on_the_rows_beside_or_the_threads():
    x, weight = numbers(11, 300, dtype=torch.float32).detach(), torch.ones(300)
    torch.set_num_threads(1)
    alone = torch.cat([rms_norm(row, weight, 1e-6) for row in x.split(1)])
    grads = []
    for threads in (1, 3, 3):
        torch.set_num_threads(threads)
        assert torch.equal(rms_norm(x, weight, 1e-6), alone)
        given = x.clone().requires_grad_(), weight.clone().requires_grad_()
        rms_norm(*given, 1e-6).square().sum().backward()
        grads.append([tensor.grad for tensor in given])
    assert torch.equal(grads[0][0], grads[1][0])  # a row's gradient
    assert torch.equal(grads[1][1], grads[2][1])  # the weight's is a sum over rows, in parts
    assert torch.allclose(grads[0][1], grads[1][1], rtol=1e-5)


def test_what_it_does_not_take():
    x = torch.ones(2, 4)
    assert can_run(x, x)
    assert not can_run(x, x.double())
    assert not can_run(x.half())
    assert not can_run(x.to("meta"))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), DTYPES, st.booleans(), st.data()
)  # fmt: skip
def test_states_are_placed_as_by_index(batch, heads, tokens, dtype, product, data):
    kept = torch.zeros(batch + 1, heads, 9, 6, dtype=dtype)
    states = numbers(batch, tokens, heads, 6, dtype=dtype).detach().transpose(1, 2)
    states = states if product else states.contiguous()
    places = st.lists(st.integers(0, 6), min_size=tokens, max_size=tokens, unique=True)
    at = torch.tensor([data.draw(places) for _ in range(batch)])
    wanted = kept.clone()
    wanted[torch.arange(1, batch + 1)[:, None], :, at] = states.transpose(1, 2)
    place(states, kept[1:, :, :7], at)
    assert torch.equal(kept, wanted)
    assert kept.any()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=5), st.integers(1, 3), st.integers(1, 3),
    st.sampled_from([16, 48, 64]), GENERATIONS, st.integers(1, 4), st.booleans(), st.data(),
)  # fmt: skip
def test_attention_is_over_each_rows_own_keys(
    last, kept_heads, shared, width, generation, threads, product, data
):
    """Up to the last key and no further: what lies behind it is not a number."""
    NATIVE.use(generation)
    torch.set_num_threads(threads)
    count, heads = len(last), kept_heads * shared
    rows = data.draw(st.permutations(range(count)))
    shape = count + 1, kept_heads, 41, width
    keys, values = (
        numbers(*shape, dtype=torch.float32),
        numbers(*shape, dtype=torch.float32, seed=1),
    )
    keys, values = keys.detach()[1:], values.detach()[1:]
    q = numbers(heads, count, width, dtype=torch.float32, seed=2, size=3).detach().transpose(0, 1)
    q = q if product else q.contiguous()
    wanted = []
    for token, (row, end) in enumerate(zip(rows, last, strict=True)):
        keys[row, :, end + 1 :] = values[row, :, end + 1 :] = torch.nan
        own = [t[row, :, : end + 1].double().repeat_interleave(shared, 0) for t in (keys, values)]
        scores = torch.einsum("he,hte->ht", q[token].double(), own[0]) * 0.3
        wanted.append(torch.einsum("ht,hte->he", scores.softmax(-1), own[1]))
    assert can_attend(q, keys, values)
    found = attend(q, keys, values, torch.tensor(rows), torch.tensor(last), 0.3)
    near(found, torch.stack(wanted), torch.float32)


def test_attention_that_it_does_not_take():
    q, kept = torch.ones(2, 6, 16), torch.ones(2, 3, 5, 16)
    assert can_attend(q, kept, kept)
    assert not can_attend(q.bfloat16(), kept.bfloat16(), kept.bfloat16())
    assert not can_attend(q[:, :4], kept, kept)
    assert not can_attend(q, kept, kept.transpose(1, 2).contiguous().transpose(1, 2))
    assert not can_attend(q[..., :8], kept[..., :8], kept[..., :8])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 19), st.sampled_from([16, 48, 304]), st.integers(1, 50), st.integers(1, 4),
    st.booleans(),
)  # fmt: skip
def test_few_rows_meet_a_weight(rows, width, out, threads, apart):
    """As in float64, and to the bit what each row gets alone."""
    if NATIVE.use(2) < 2:
        pytest.skip("this processor has no AVX-512")
    torch.set_num_threads(threads)
    x = numbers(rows, 2 * width if apart else width, dtype=torch.float32).detach()[:, :width]
    weight = numbers(out, width, dtype=torch.float32, seed=1).detach()
    found = few_rows(x, weight)
    wanted = x.double() @ weight.double().T
    near(found / width**0.5, wanted / width**0.5, torch.float32)
    for i in range(rows):
        assert torch.equal(few_rows(x[i : i + 1], weight)[0], found[i])


def test_few_rows_that_it_does_not_take():
    x, weight = torch.ones(2, 32), torch.ones(5, 32)
    assert few_rows(x[:, :24], weight[:, :24].contiguous()) is None
    assert few_rows(x[:, :16], weight[:, ::2]) is None
    assert few_rows(x.bfloat16(), weight.bfloat16()) is None
    NATIVE.use(1)
    assert few_rows(x, weight) is None
