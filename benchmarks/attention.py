"""Attention inside packed documents on a GPU: hanhua's choice beside its two kernels.

    python benchmarks/attention.py [-n 10] [--quick]

Forward and backward of one layer, bf16, documents of one length: ``varlen`` is PyTorch's
variable-length flash kernel, ``cudnn`` and ``flash`` are ordinary attention over a batch of
documents, ``hanhua`` what training takes. By turns; needs a CUDA device, but for ``--quick``, which
rehearses with short documents on a CPU too. TFLOP/s count the causal half, forward and backward.
Prints a table, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend

from hanhua.train import varlen
from hanhua.train.varlen import Documents

SHAPES = [(32, 32, 128), (32, 4, 64), (32, 8, 128)]
"""Heads, key heads, width: Llama 2 7B, TinyLlama 1.1B, Llama 3 8B."""
LENGTHS = [(4096, 4), (2048, 8), (1024, 16), (512, 32)]
"""Tokens of a document, documents."""
SHORT = [(512, 2), (64, 4)]
TIMES = 3
"""Passes of a turn."""
Way = Callable[[Tensor, Tensor, Tensor, Documents, float], Tensor]


def ways() -> dict[str, Way]:
    kernels = {"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION}
    return {
        "hanhua": lambda q, k, v, d, s: varlen.attend(q, k, v, d, s, None),
        "varlen": lambda q, k, v, d, s: varlen.attend_varied(q, k, v, d, s, None),
        **{name: partial(equal, kernel) for name, kernel in kernels.items()},
    }


def equal(
    kernel: SDPBackend, q: Tensor, k: Tensor, v: Tensor, documents: Documents, scale: float
) -> Tensor:
    return varlen.attend_equal(q, k, v, len(documents), scale, [kernel])


def turn(way: Way, inputs: list[Tensor], documents: Documents) -> float:
    """Milliseconds of a forward and backward pass; NaN where this kernel can't."""
    _wait(inputs[0])
    start = time.perf_counter()
    try:
        for _ in range(TIMES):
            out = way(*inputs, documents, inputs[0].shape[-1] ** -0.5)
            out.backward(torch.ones_like(out))
        _wait(inputs[0])
    except RuntimeError:
        return float("nan")
    return 1000 * (time.perf_counter() - start) / TIMES


def _wait(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize()


def measure(
    shape: tuple[int, int, int], length: int, documents: int, n: int, device: str
) -> dict[str, Any]:
    """All ways by turns, the first of which warms up."""
    heads, kv_heads, width = shape
    inputs = [
        torch.randn(length * documents, h, width, device=device, dtype=torch.bfloat16)
        .transpose(0, 1).requires_grad_()
        for h in (heads, kv_heads, kv_heads)
    ]  # fmt: skip
    found: dict[str, list[float]] = {name: [] for name in ways()}
    for _ in range(n + 1):
        for name, way in ways().items():
            found[name].append(turn(way, inputs, Documents([length] * documents)))
    flops = 12 * documents * length**2 / 2 * heads * width
    row: dict[str, Any] = {
        "heads": f"{heads}/{kv_heads} × {width}", "documents": f"{documents} × {length:,}",
    }  # fmt: skip
    return row | {name: _summary(turns[1:], flops) for name, turns in found.items()}


def _summary(ms: list[float], flops: float) -> dict[str, float | None]:
    middle = statistics.median(ms)
    if middle != middle:
        return dict.fromkeys(("ms", "min", "max", "tflops"))
    return {
        "ms": round(middle, 3), "min": round(min(ms), 3), "max": round(max(ms), 3),
        "tflops": round(flops / middle / 1e9, 1),
    }  # fmt: skip


def _shown(row: dict[str, Any]) -> str:
    cells = [
        f"{'-':>22}" if row[name]["ms"] is None
        else f"{row[name]['ms']:>12.2f} ms{row[name]['tflops']:>6.0f} T"
        for name in ways()
    ]  # fmt: skip
    return f"{row['heads']:<14}{row['documents']:<14}{''.join(cells)}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="n = 2, short documents, on a CPU too")
    options = parser.parse_args()
    there = torch.cuda.is_available()
    if not there and not options.quick:
        parser.error("no CUDA device is at hand")
    torch.manual_seed(0)
    n, lengths = (2, SHORT) if options.quick else (options.n, LENGTHS)
    shapes = [(4, 2, 32)] if options.quick else SHAPES
    rows = []
    print(f"{'heads':<14}{'documents':<14}" + "".join(f"{name:>22}" for name in ways()))
    for shape in shapes:
        for length, documents in lengths:
            rows.append(measure(shape, length, documents, n, "cuda" if there else "cpu"))
            print(_shown(rows[-1]), flush=True)
    gpu = torch.cuda.get_device_name() if there else None
    print(json.dumps({
        "benchmark": "attention", "gpu": gpu, "n": n, "torch": torch.__version__, "rows": rows,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
