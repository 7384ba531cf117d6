"""How many tokens' logits are held at a time: what the loss computes by, and what a plan counts by.

Apart from ``linear_cross_entropy.py`` because a plan must not wait for torch to be imported.
"""

from __future__ import annotations

BUFFER_BYTES = 320 * 1024 * 1024
"""Room for the gradients of a chunk's logits: large, so that the weight's gradient, itself V x D,
is made in few and large products."""
TILE_LOGITS = 16 * 1024 * 1024
"""Logits between two products: few, so that softmax finds them in the cache. (In fp32, where these
are 64 MiB, half as many took 5 to 10 % longer on a Zen 3 core, and twice as many no less.)"""
GPU_BUFFER_BYTES = 1024 * 1024 * 1024
"""The same on a GPU, whose products are only fast when they are large; its cache holds no tile."""


def chunk_and_tile(n: int, vocab: int, width: int, *, cuda: bool = False) -> tuple[int, int]:
    """Tokens in a chunk and in a tile: chunks of equal size, made of whole tiles.

    Args:
        n: predicted tokens.
        vocab: logits of one.
        width: bytes of a logit.
        cuda: on a GPU, where a chunk is one tile.
    """
    row_bytes = vocab * width
    if cuda:
        most = max(GPU_BUFFER_BYTES // row_bytes // 64 * 64, 64)
        n_chunks = max(-(-n // most), 1)
        chunk = -(-n // n_chunks // 64) * 64 or 64
        return chunk, chunk
    tile = max(TILE_LOGITS // vocab // 64 * 64, 64)
    most = max(BUFFER_BYTES // row_bytes // tile, 1) * tile
    n_chunks = max(-(-n // most), 1)
    return -(-n // n_chunks // tile) * tile or tile, tile
