from __future__ import annotations

import random
from collections import Counter

import pytest
import torch

from hanhua.serve.sampling import Sampling, choose

LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, -20.0])


def draw(sampling: Sampling, times: int, logits: torch.Tensor = LOGITS) -> Counter[int]:
    stream = sampling.stream()
    return Counter(choose(logits[None], [(sampling, stream)])[0] for _ in range(times))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_shares_are_those_of_the_softmax(temperature):
    times = 4000
    found = draw(Sampling(temperature=temperature, seed=1), times)
    for token, share in enumerate(torch.softmax(LOGITS / temperature, -1).tolist()):
        assert abs(found[token] / times - share) < 5 * (share * (1 - share) / times) ** 0.5 + 1e-3


def test_top_p_keeps_the_smallest_set_that_reaches_it():
    shares = torch.softmax(LOGITS, -1)
    assert shares[0] < 0.7 < shares[0] + shares[1]
    found = draw(Sampling(temperature=1.0, top_p=0.7, seed=2), 2000)
    assert set(found) == {0, 1}
    assert found[0] / 2000 == pytest.approx(float(shares[0] / (shares[0] + shares[1])), abs=0.05)


def test_top_p_below_the_first_share_is_greedy():
    assert set(draw(Sampling(temperature=1.0, top_p=0.01, seed=3), 200)) == {0}


def test_a_flat_distribution_looks_beyond_the_head():
    flat = torch.zeros(2000)
    found = draw(Sampling(temperature=1.0, top_p=0.99, seed=4), 500, flat)
    assert max(found) > 1000
    assert len(found) > 300


@pytest.mark.parametrize("temperature", [0.0, 1e-40, 1e-6])
def test_no_temperature_is_greedy_and_finite(temperature):
    assert set(draw(Sampling(temperature=temperature, seed=5), 20)) == {0}


def test_a_row_does_not_depend_on_its_neighbours():
    torch.manual_seed(0)
    logits = torch.randn(6, 500)
    kinds = [(0, 1), (1, 1), (1, 0.5), (2, 0.9), (0.3, 1), (1, 0.99)]
    samplings = [Sampling(temperature=t, top_p=p, seed=i) for i, (t, p) in enumerate(kinds)]
    together = choose(logits, [(s, s.stream()) for s in samplings])
    apart = [choose(logits[i : i + 1], [(s, s.stream())])[0] for i, s in enumerate(samplings)]
    assert together == apart
    assert together != logits.argmax(-1).tolist()


def test_the_same_seed_draws_the_same_and_no_seed_does_not():
    one, two = Sampling(seed=9).stream(), Sampling(seed=9).stream()
    assert [one.random() for _ in range(3)] == [two.random() for _ in range(3)]
    assert isinstance(Sampling().stream(), random.Random)
    assert Sampling().stream().random() != Sampling().stream().random()


def test_a_row_without_numbers_does_not_end_the_others():
    """A model whose weights are broken for one text gives NaN there."""
    logits = torch.stack([torch.full_like(LOGITS, torch.nan), LOGITS])
    sampling = Sampling(temperature=1.0, top_p=0.01)
    found = choose(logits, [(sampling, sampling.stream()) for _ in range(2)])
    assert 0 <= found[0] < len(LOGITS)
    assert found[1] == 0
