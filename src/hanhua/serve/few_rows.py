"""A few rows times a weight on a CPU, as a step shared by a few requests needs them.

Up to 16 rows in float32 meet a weight in code of our own where the processor has AVX-512: the
weight is read once, and a row's numbers are the same bits whoever stands beside it. MKL reads a
weight that no cache holds again and again for 3 to 12 rows. Without AVX-512 large weights are
cut into blocks that fit a cache; the numbers are the same.

Measured on one thread of a busy Intel Xeon with AVX-512, PyTorch 2.13, ms of CPU time, medians
of 15: by MKL, by MKL in blocks of 1 MiB, by our own code. 5,632 x 2,048 with 1 row 2.5, 2.8, 2.5,
with 4 rows 5.4, 4.0, 3.1, with 8 rows 8.2, 4.9, 3.6, with 16 rows 9.1, 9.1, 6.5; 768 x 768 with
8 rows .20, .18, .10; 64 x 64 with 8 rows .003, .012, .005.
"""

from __future__ import annotations

import torch

from hanhua.model.kernels import few_rows

MOST = 16
"""Rows up to which our own code pays."""
FEW = range(3, 13)
"""Rows that blocks pay for."""
LARGE_BYTES = 8 * 2**20
"""Weights from this size on are cut."""
_BLOCK_BYTES = 2**20
"""Of a block, for each thread: half a core's second cache."""


class FewRowsLinear(torch.nn.Linear):
    """A linear layer with other ways for a few rows, where those are faster."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """``input`` times the weight, ``[..., in]`` to ``[..., out]``; as ever where it learns."""
        rows = input.numel() // self.in_features
        if not 0 < rows <= MOST or torch.is_grad_enabled():
            return super().forward(input)
        flat = input.reshape(rows, self.in_features)
        out = few_rows(flat, self.weight)
        if out is None and rows in FEW and _is_large(self.weight):
            out = self._in_blocks(flat)
        if out is None:
            return super().forward(input)
        if self.bias is not None:
            out += self.bias
        return out.view(*input.shape[:-1], self.out_features)

    def _in_blocks(self, flat: torch.Tensor) -> torch.Tensor:
        block_bytes = _BLOCK_BYTES * torch.get_num_threads()
        size = max(1, block_bytes // (self.in_features * self.weight.element_size()))
        out = flat.new_empty(len(flat), self.out_features)
        for weight, part in zip(
            torch.split(self.weight, size), torch.split(out, size, 1), strict=True
        ):
            torch.mm(flat, weight.t(), out=part)
        return out


def _is_large(weight: torch.Tensor) -> bool:
    return weight.numel() * weight.element_size() >= LARGE_BYTES


def serve_few_rows(model: torch.nn.Module) -> int:
    """Let a model's float32 layers take few rows faster; weights stay as and where they are.

    Args:
        model: on a CPU; layers of other types, quantised ones too, are left alone.

    Returns:
        How many layers do so now.
    """
    found = [
        module for module in model.modules()
        if type(module) is torch.nn.Linear and type(module.weight) is torch.nn.Parameter
        and module.weight.dtype == torch.float32
    ]  # fmt: skip
    for module in found:
        module.__class__ = FewRowsLinear
    return len(found)
