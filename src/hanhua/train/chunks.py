"""How many tokens' logits are held at a time: what the loss computes by, and what a plan counts by.

Apart from ``linear_cross_entropy.py`` because a plan must not wait for torch to be imported.
"""

from __future__ import annotations

TILE_LOGITS = 16 * 1024 * 1024
"""Logits between two products on a CPU: few, so that softmax finds them in the cache. (64 MiB in
fp32; half as many took 5 to 10 % longer on a Zen 3 core, and more of them no less.)"""
LOW_BUFFER_BYTES = 112 * 1024 * 1024
"""Room on a CPU for gradients of bf16 logits, several tiles: the weight's gradient, V x D, is made
of each in bf16 and added up in fp32, which should not be often. But the product over more than a
thousand tokens leaves the cache: twice as many took 8 to 14 % longer in all (a core with AMX). In
fp32 a product adds itself."""
GPU_BUFFER_BYTES = 1024 * 1024 * 1024
"""Room on a GPU, whose products are only fast when they are large; its cache holds no tile."""

USUAL = 64
"""Tokens whose multiples are usual numbers of rows in a product on a CPU."""


def shortfall(n: int) -> int:
    """How many rows are lacking to a usual number; 0 where filling up would cost over 3 %."""
    lacking = -n % USUAL
    return lacking if lacking * 32 <= n else 0


def chunk_and_tile(n: int, vocab: int, width: int, *, cuda: bool = False) -> tuple[int, int]:
    """Tokens in a chunk and in a tile: chunks of equal size, made of whole tiles.

    Args:
        n: predicted tokens.
        vocab: logits of one.
        width: bytes of a logit.
        cuda: on a GPU.
    """
    if cuda or width == 4:
        most = GPU_BUFFER_BYTES // width if cuda else TILE_LOGITS
        chunk = _equal(n, max(most // vocab // 64 * 64, 64), 64)
        return chunk, chunk
    tile = max(TILE_LOGITS // vocab // 64 * 64, 64)
    return _equal(n, max(LOW_BUFFER_BYTES // (vocab * width) // tile, 1) * tile, tile), tile


def _equal(n: int, most: int, step: int) -> int:
    """The size of equal parts of n, of at most so many, in whole steps."""
    parts = max(-(-n // most), 1)
    return -(-n // parts // step) * step or step
