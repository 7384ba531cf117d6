"""Products of a few rows are the product, and layers of other types are left alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from hanhua.model.native import NATIVE
from hanhua.serve.few_rows import FewRowsLinear, serve_few_rows


class Products(TorchFunctionMode):
    """Counts the products that torch is asked for."""

    count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func in (functional.linear, torch.mm)
        return func(*args, **(kwargs or {}))


@pytest.fixture(params=["own", "blocks"])
def way(request) -> Iterator[str]:
    """Our own code where the processor has AVX-512, and what is done elsewhere."""
    if request.param == "own" and (NATIVE is None or NATIVE.use(2) < 2):
        pytest.skip("no compiled part, or no AVX-512")
    if NATIVE is not None:
        NATIVE.use(2 if request.param == "own" else 1)
    yield request.param
    if NATIVE is not None:
        NATIVE.use(2)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1,), (2,), (3,), (8, 1), (2, 6), (13,), (17,)])
def test_a_few_rows_give_what_the_whole_gives(way, bias, shape):
    torch.manual_seed(3)
    whole = torch.nn.Linear(304, 7001, bias=bias)
    cut = copy.deepcopy(whole)
    weight = cut.weight
    assert serve_few_rows(torch.nn.Sequential(cut)) == 1
    assert cut.weight is weight  # a tied embedding stays tied
    input = torch.randn(*shape, 304)
    with torch.inference_mode(), Products() as products:
        found = cut(input)
    torch.testing.assert_close(found, whole(input), atol=2e-6, rtol=1e-5)
    rows = input.numel() // 304
    if way == "own":
        assert products.count == (rows > 16)
    else:
        assert (products.count > 1) == (3 <= rows <= 12)


def test_no_rows_and_widths_that_are_no_sixteens():
    torch.manual_seed(3)
    for layer in (torch.nn.Linear(304, 100), torch.nn.Linear(300, 100)):
        plain = copy.deepcopy(layer)
        assert serve_few_rows(torch.nn.Sequential(layer)) == 1
        with torch.inference_mode():
            assert layer(torch.ones(0, layer.in_features)).shape == (0, 100)
            x = torch.randn(2, 4, layer.in_features)
            torch.testing.assert_close(layer(x), plain(x), atol=2e-6, rtol=1e-5)


def test_gradients_are_taken_as_before():
    torch.manual_seed(3)
    cut = torch.nn.Linear(300, 7001)
    serve_few_rows(torch.nn.Sequential(cut))
    cut(torch.randn(5, 300)).sum().backward()
    assert cut.weight.grad is not None
    assert cut.weight.grad.abs().sum() > 0


def test_other_types_are_left_alone():
    class Own(torch.nn.Linear):
        pass

    layers = [Own(1024, 4096), torch.nn.Linear(1024, 4096).bfloat16()]
    assert serve_few_rows(torch.nn.Sequential(*layers)) == 0
    plain = torch.nn.Linear(64, 64)
    assert serve_few_rows(torch.nn.Sequential(*layers, plain)) == 1
    assert [type(layer) is FewRowsLinear for layer in [*layers, plain]] == [0, 0, 1]
