"""The loss with its last layer: hanhua's beside PyTorch's and Liger's, one after another.

    python benchmarks/head.py [--device cuda] [--tokens 8192] [--hidden 4096] [--vocab 55296] [-n 5]
        [--quick]

Loss and both gradients of random hidden states, in bf16 on CUDA and fp32 elsewhere, by turns.
Speed, peak memory above the inputs, and how far losses and gradients are from those of PyTorch in
fp32. Liger is run where it is installed. Prints a table, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hanhua.train.linear_cross_entropy import linear_cross_entropy

Head = Callable[[Tensor, Tensor, Tensor], Tensor]


def ours(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    return linear_cross_entropy(hidden, weight, labels, scale=1 / len(labels))[0]


def plain(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden, weight).float(), labels)


def heads() -> dict[str, Head]:
    found: dict[str, Head] = {"hanhua": ours, "pytorch": plain}
    try:
        from liger_kernel.ops.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyFunction
    except ImportError:
        return found

    def liger(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
        out = LigerFusedLinearCrossEntropyFunction.apply(hidden, weight, labels)
        return out[0] if isinstance(out, tuple) else out

    return found | {"liger": liger}


def turn(head: Head, inputs: tuple[Tensor, Tensor, Tensor], cuda: bool) -> dict[str, float]:
    hidden, weight, labels = inputs
    hidden.grad = weight.grad = None
    before = 0
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    start = time.perf_counter()
    head(hidden, weight, labels).backward()
    if cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    return {
        "ms": 1e3 * seconds,
        "mb": (torch.cuda.max_memory_allocated() - before) / 1e6 if cuda else 0,
    }


def errors(head: Head, inputs: tuple[Tensor, Tensor, Tensor]) -> dict[str, float]:
    """Against fp32 of the same inputs, on a part of the tokens."""
    part = 1024
    hidden, weight = (x.detach().clone().requires_grad_() for x in (inputs[0][:part], inputs[1]))
    loss = head(hidden, weight, inputs[2][:part])
    loss.backward()
    high = [x.detach().float().requires_grad_() for x in (hidden, weight)]
    expected = plain(high[0], high[1], inputs[2][:part])
    expected.backward()

    def off(x: Any, y: Any) -> float:
        return float((x.detach().float() - y.detach()).norm() / y.detach().norm())

    return {"loss": off(loss, expected), "d_hidden": off(hidden.grad, high[0].grad),
            "d_weight": off(weight.grad, high[1].grad)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--hidden", type=int, default=4096)
    parser.add_argument("--vocab", type=int, default=55_296)
    parser.add_argument("-n", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few tokens of a small model")
    options = parser.parse_args()
    if options.quick:
        options.tokens, options.hidden, options.n = 256, 64, 2
    cuda = options.device == "cuda"
    dtype = torch.bfloat16 if cuda else torch.float32
    torch.manual_seed(0)
    shape = {"device": options.device, "dtype": dtype}
    hidden = torch.randn(options.tokens, options.hidden, **shape).requires_grad_()
    weight = (torch.randn(options.vocab, options.hidden, **shape) * 0.02).requires_grad_()
    labels = torch.randint(0, options.vocab, (options.tokens,), device=options.device)
    inputs = (hidden, weight, labels)
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in heads()}
    for _ in range(options.n + 1):
        for name, head in heads().items():
            turns[name].append(turn(head, inputs, cuda))
    flops = 6 * options.tokens * options.hidden * options.vocab
    found = {}
    print(f"{'head':<10}{'ms':>9}{'spread':>18}{'TFLOP/s':>9}{'MB':>9}  off by (fp32)")
    for name, head in heads().items():
        ms = [each["ms"] for each in turns[name][1:]]
        middle = statistics.median(ms)
        found[name] = {
            "ms": round(middle, 3), "min": round(min(ms), 3), "max": round(max(ms), 3),
            "tflops": round(flops / middle / 1e9, 1), "off": errors(head, inputs),
            "peak_mb": round(max(each["mb"] for each in turns[name]), 1),
        }  # fmt: skip
        one = found[name]
        off = " ".join(f"{key} {value:.1e}" for key, value in one["off"].items())
        print(f"{name:<10}{one['ms']:>9.2f}{one['min']:>9.2f}-{one['max']:<8.2f}"
              f"{one['tflops']:>9.1f}{one['peak_mb']:>9.0f}  {off}")  # fmt: skip
    print(json.dumps({
        "benchmark": "head", "tokens": options.tokens, "hidden": options.hidden,
        "vocab": options.vocab, "n": options.n, "torch": torch.__version__, "heads": found,
        "device": torch.cuda.get_device_name() if cuda else "cpu",
    }, sort_keys=True))  # fmt: skip


if __name__ == "__main__":
    main()
