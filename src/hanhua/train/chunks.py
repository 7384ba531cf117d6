"""How many tokens' logits are held at a time: what the loss computes by, and what a plan counts by.

Apart from ``linear_cross_entropy.py`` because a plan must not wait for torch to be imported.
"""

from __future__ import annotations

BUFFER_BYTES = 320 * 1024 * 1024
"""Room for the gradients of a chunk's logits: large, so that the weight's gradient, itself V x D,
is made in few and large products."""
TILE_BYTES = 32 * 1024 * 1024
"""Room for the logits between two products: small, so that softmax finds them in the cache."""
GPU_BUFFER_BYTES = 1024 * 1024 * 1024
"""The same on a GPU, whose products are only fast when they are large; its cache holds no tile."""


def chunk_and_tile(n: int, row_bytes: int, *, cuda: bool = False) -> tuple[int, int]:
    """Tokens in a chunk and in a tile: chunks of equal size, made of whole tiles.

    Args:
        n: predicted tokens.
        row_bytes: of the logits of one.
        cuda: on a GPU, where a chunk is one tile.
    """
    if cuda:
        most = max(GPU_BUFFER_BYTES // row_bytes // 64 * 64, 64)
        n_chunks = max(-(-n // most), 1)
        chunk = -(-n // n_chunks // 64) * 64 or 64
        return chunk, chunk
    tile = max(TILE_BYTES // row_bytes // 64 * 64, 64)
    most = max(BUFFER_BYTES // row_bytes // tile, 1) * tile
    n_chunks = max(-(-n // most), 1)
    return -(-n // n_chunks // tile) * tile or tile, tile
