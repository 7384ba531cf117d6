"""Attention inside packed documents on a GPU: hanhua's choice beside its two kernels.

    python benchmarks/attention.py [-n 10] [--quick]

Forward and backward of one layer, bf16, documents of one length: ``varlen`` is PyTorch's
variable-length flash kernel, ``cudnn`` and ``flash`` are ordinary attention over a batch of
documents, ``hanhua`` what training takes. By turns; needs a CUDA device. TFLOP/s count the causal
half, forward and backward. Prints a table, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import json
import statistics
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


def turn(way: Way, inputs: list[Tensor], documents: Documents, times: int = 3) -> float:
    """Milliseconds of a forward and backward pass."""
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(times):
        out = way(*inputs, documents, inputs[0].shape[-1] ** -0.5)
        out.backward(torch.ones_like(out))
    stop.record()
    torch.cuda.synchronize()
    return start.elapsed_time(stop) / times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="n = 2; nothing without a GPU")
    options = parser.parse_args()
    if options.quick:
        options.n = 2
        if not torch.cuda.is_available():
            print(json.dumps({"benchmark": "attention", "gpu": None, "rows": []}))
            return
    if not torch.cuda.is_available():
        parser.error("no CUDA device is at hand")
    torch.manual_seed(0)
    rows = []
    print(f"{'heads':<12}{'documents':<12}" + "".join(f"{name:>22}" for name in ways()))
    for heads, kv_heads, width in SHAPES:
        for length, n in LENGTHS:
            inputs = [
                torch.randn(length * n, h, width, device="cuda", dtype=torch.bfloat16)
                .transpose(0, 1).requires_grad_()
                for h in (heads, kv_heads, kv_heads)
            ]  # fmt: skip
            found: dict[str, list[float]] = {name: [] for name in ways()}
            for _ in range(options.n + 1):
                for name, way in ways().items():
                    try:
                        found[name].append(turn(way, inputs, Documents([length] * n)))
                    except RuntimeError:  # this kernel can't
                        found[name].append(float("nan"))
            flops = 12 * n * length**2 / 2 * heads * width
            row: dict[str, Any] = {
                "heads": f"{heads}/{kv_heads}x{width}",
                "documents": f"{n} x {length}",
            }
            cells = ""
            for name, all_turns in found.items():
                ms = all_turns[1:]
                middle = statistics.median(ms)
                row[name] = {
                    "ms": round(middle, 3), "min": round(min(ms), 3), "max": round(max(ms), 3),
                    "tflops": flops / middle / 1e9,
                }  # fmt: skip
                cells += (
                    f"{middle:>12.2f} ms{flops / middle / 1e9:>6.0f} T"
                    if middle == middle
                    else f"{'-':>22}"
                )
            rows.append(row)
            print(f"{row['heads']:<12}{row['documents']:<12}{cells}", flush=True)
    print(json.dumps({"benchmark": "attention", "gpu": torch.cuda.get_device_name(), "n": options.n,
                      "torch": torch.__version__, "rows": rows}))  # fmt: skip


if __name__ == "__main__":
    main()
