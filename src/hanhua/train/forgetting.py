"""Two ways to forget less that work on the weights themselves: a pull to the start, an average.

Both keep fp32 copies, of the part of the model that this process has: 4 bytes a trained parameter
each. The pull's copy is made anew from the model that training begins with whenever a run is
started, so no checkpoint holds it; the average is in every checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from hanhua.train.config import AverageConfig


class Pull:
    """L2 towards the weights that training began with, decoupled as AdamW's weight decay is.

    Each step moves a weight by ``learning rate * strength`` of its way back, before the optimiser
    moves it. Sources: https://arxiv.org/abs/1802.01483 (L2-SP) and
    https://arxiv.org/abs/1711.05101 (decoupled). Fisher weights as in
    https://arxiv.org/abs/1612.00796 (EWC) are not used.

    Args:
        weights: by name, as training begins.
        strength: of the pull.
        old_rows: name -> rows from the first on that are pulled, where not all are.
    """

    def __init__(
        self, weights: Mapping[str, Tensor], strength: float, old_rows: Mapping[str, int]
    ) -> None:
        self.strength = strength
        self.starts = {
            weight: weight[: old_rows.get(name)].clone() for name, weight in weights.items()
        }

    @torch.no_grad()
    def apply(self, groups: Iterable[Mapping[str, Any]]) -> None:
        """Move what has a gradient, by the learning rates of the optimiser's groups."""
        for group in groups:
            share = min(group["lr"] * self.strength, 1.0)
            for weight in group["params"]:
                if weight.grad is not None:
                    start = self.starts[weight]
                    weight[: len(start)].lerp_(start, share)


class Average:
    """The mean of the weights of many steps.

    Exponential, it begins at the weights that training began with, which keep a share of
    ``2 ** (-steps / half_life_steps)``: https://arxiv.org/abs/2506.00288 found that it can stand
    in for English text. Over the last share of the steps it is their plain mean:
    https://arxiv.org/abs/1803.05407.

    Args:
        config: the section.
        weights: fp32, by name, as training begins.
    """

    def __init__(self, config: AverageConfig, weights: Mapping[str, Tensor]) -> None:
        self.config = config
        self.values = {name: weight.clone() for name, weight in weights.items()}
        self.count = torch.zeros((), dtype=torch.int64)

    @torch.no_grad()
    def take(self, weights: Mapping[str, Tensor], step: int, steps: int) -> None:
        """Take in the weights behind a step, counted from 1, of so many."""
        half_life, last = self.config.half_life_steps, self.config.last_share
        if half_life is not None:
            share = 1 - 2.0 ** (-1 / half_life)
        else:
            assert last is not None
            if step <= steps - max(round(steps * last), 1):
                return
            share = 1 / (int(self.count) + 1)
        self.count += 1
        for name, value in self.values.items():
            value.lerp_(weights[name], share)
