"""Large matrices times a few rows on a CPU, as a step shared by a few requests needs them.

A weight that no core's cache holds is read from memory again and again when it meets 3 to 12
rows in float32: the product with 8 rows took three times that with 2, and longer than that with
16. In blocks that fit a cache it is read once. The numbers are the same.

Measured on one core of a busy Intel Xeon with AVX-512, PyTorch 2.13 with MKL, ms of CPU time, lower
quartile of 25, whole and in blocks of 1 MiB: 32,000 x 288 with 4 rows 6.2 and 4.9, with 8 rows 9.5
and 4.5, with 16 rows 6.5 and 7.5; 4,096 x 2,048 with 8 rows 7.2 and 4.8.
"""

from __future__ import annotations

import torch

FEW = range(3, 13)
"""Rows that blocks pay for."""
LARGE_BYTES = 8 * 2**20
"""Weights from this size on are cut."""
_BLOCK_BYTES = 2**20
"""Of a block, for each thread: half a core's second cache."""


class FewRowsLinear(torch.nn.Linear):
    """A linear layer that cuts its weight where that is faster."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """``input`` times the weight, ``[..., in]`` to ``[..., out]``; cut where nothing learns."""
        if input.numel() // self.in_features not in FEW or torch.is_grad_enabled():
            return super().forward(input)
        block_bytes = _BLOCK_BYTES * torch.get_num_threads()
        size = max(1, block_bytes // (self.in_features * self.weight.element_size()))
        flat = input.reshape(-1, self.in_features)
        out = flat.new_empty(len(flat), self.out_features)
        for weight, part in zip(
            torch.split(self.weight, size), torch.split(out, size, 1), strict=True
        ):
            torch.mm(flat, weight.t(), out=part)
        if self.bias is not None:
            out += self.bias
        return out.view(*input.shape[:-1], self.out_features)


def cut_large_weights(model: torch.nn.Module) -> int:
    """Let a model's large float32 layers work in blocks; weights stay as and where they are.

    Args:
        model: on a CPU; layers of other types, quantised ones too, are left alone.

    Returns:
        How many layers do so now.
    """
    found = [
        module for module in model.modules()
        if type(module) is torch.nn.Linear and type(module.weight) is torch.nn.Parameter
        and module.weight.dtype == torch.float32
        and module.weight.numel() * module.weight.element_size() >= LARGE_BYTES
    ]  # fmt: skip
    for module in found:
        module.__class__ = FewRowsLinear
    return len(found)
