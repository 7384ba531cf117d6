"""Products in blocks are the product, and only layers that they pay for are cut."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from hanhua.serve.few_rows import FewRowsLinear, serve_few_rows


class Products(TorchFunctionMode):
    """Counts the products that torch is asked for."""

    count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func in (functional.linear, torch.mm)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1,), (2,), (3,), (8, 1), (2, 6), (13,)])
def test_blocks_give_what_the_whole_gives(bias, shape):
    torch.manual_seed(3)
    whole = torch.nn.Linear(300, 7001, bias=bias)
    cut = copy.deepcopy(whole)
    weight = cut.weight
    assert serve_few_rows(torch.nn.Sequential(cut)) == 1
    assert cut.weight is weight  # a tied embedding stays tied
    input = torch.randn(*shape, 300)
    with torch.inference_mode(), Products() as products:
        found = cut(input)
    torch.testing.assert_close(found, whole(input), atol=1e-6, rtol=1e-5)
    rows = input.numel() // 300
    assert (products.count > 1) == (3 <= rows <= 12)


def test_gradients_are_taken_as_before():
    torch.manual_seed(3)
    cut = torch.nn.Linear(300, 7001)
    serve_few_rows(torch.nn.Sequential(cut))
    cut(torch.randn(5, 300)).sum().backward()
    assert cut.weight.grad is not None
    assert cut.weight.grad.abs().sum() > 0


def test_small_layers_and_other_types_are_left_alone():
    class Own(torch.nn.Linear):
        pass

    layers = [torch.nn.Linear(64, 64), Own(1024, 4096), torch.nn.Linear(1024, 4096).bfloat16()]
    assert serve_few_rows(torch.nn.Sequential(*layers)) == 0
    large = torch.nn.Linear(1024, 4096)
    assert serve_few_rows(torch.nn.Sequential(*layers, large)) == 1
    assert [type(layer) is FewRowsLinear for layer in [*layers, large]] == [0, 0, 0, 1]
