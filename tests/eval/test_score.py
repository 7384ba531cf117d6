from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from hanhua.eval.forward import CausalModel
from hanhua.eval.score import MIN_PREFIX, Request, common_prefix, score_options

Naive = Callable[[CausalModel, Request], list[float]]


def requests(seed: int, shared: int, n: int, longest: int) -> list[Request]:
    draw = random.Random(seed)
    prefix = [1, *draw.choices(range(3, 250), k=shared)]
    return [
        Request(
            (*prefix, *draw.choices(range(3, 250), k=draw.randint(1, 40))),
            tuple(
                tuple(draw.choices(range(3, 250), k=draw.randint(1, longest)))
                for _ in range(draw.randint(2, 5))
            ),
        )
        for _ in range(n)
    ]


@pytest.mark.parametrize(("shared", "longest"), [(0, 1), (3, 4), (30, 1), (50, 6), (80, 1)])
def test_equals_the_naive_way(base: CausalModel, naive: Naive, shared: int, longest: int) -> None:
    asked = requests(shared, shared, 30, longest)
    found = score_options(base, asked)
    cut = common_prefix([r.context for r in asked])
    assert (cut >= MIN_PREFIX) == (shared > 10)  # both ways occurred
    for request, values in zip(asked, found, strict=True):
        true = naive(base, request)
        assert values == pytest.approx(true, abs=1e-4)
        assert values.index(max(values)) == true.index(max(true))
    lengths = {len(o) for r in asked for o in r.options}
    assert lengths == set(range(1, longest + 1))


def test_small_batches_give_the_same(base: CausalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = requests(4, 40, 20, 5)
    whole = score_options(base, asked)
    monkeypatch.setattr(base, "batch_tokens", 50)
    parts = score_options(base, asked)
    for one, other in zip(whole, parts, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_one_request_and_equal_requests(base: CausalModel, naive: Naive) -> None:
    asked = requests(5, 20, 1, 3)
    assert score_options(base, asked)[0] == pytest.approx(naive(base, asked[0]), abs=1e-4)
    twice = score_options(base, [asked[0], asked[0]])
    assert twice[0] == pytest.approx(twice[1], abs=1e-5)
    assert score_options(base, []) == []


def test_common_prefix_leaves_one_id() -> None:
    assert common_prefix([[1, 2, 3], [1, 2, 3, 4]]) == 2
    assert common_prefix([[1, 2, 3], [1, 5, 3]]) == 1
    assert common_prefix([[7]]) == 0
