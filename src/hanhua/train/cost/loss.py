"""Buffers of the loss, which never holds all logits (``train/linear_cross_entropy.py``)."""

from __future__ import annotations

from math import ceil

from hanhua.train.chunks import chunk_and_tile
from hanhua.train.cost.job import Job


def loss_bytes(job: Job) -> tuple[int, int]:
    """Buffers of the loss, and the head's gradient as it is made.

    The hidden states of predicted tokens are copied, and so are their gradients.
    """
    shapes, width = job.shapes, job.width
    chunk, chunks = chunk_tokens(job.targets, shapes.vocab_size * width)
    buffer = min(chunk, job.targets) * shapes.vocab_size * width
    copies = 2 * job.targets * shapes.hidden_size * width
    if not job.ends_learn:
        return buffer + copies, 0
    # the sum in fp32, a chunk's product, and the product before it; in fp32 the first is the sum
    products = min(chunks, 2) if width == 2 else min(chunks, 3) - 1
    return buffer + copies, (4 + width * products) * shapes.head_parameters


def chunk_tokens(n: int, row_bytes: int) -> tuple[int, int]:
    """Tokens whose logits are held at a time, and how many such chunks there are."""
    chunk, _ = chunk_and_tile(n, row_bytes)
    return chunk, ceil(n / chunk)
