"""Buffers of the loss, which never holds all logits (``train/linear_cross_entropy.py``)."""

from __future__ import annotations

import os

from hanhua.model.head_room import parts_of, room_bytes
from hanhua.train.chunks import chunk_and_tile
from hanhua.train.cost.job import Job


def loss_bytes(job: Job) -> tuple[int, int]:
    """Buffers of the loss, and the head's gradient as it is made.

    The hidden states of predicted tokens are copied, and so are their gradients.
    """
    shapes, width = job.shapes, job.width
    if job.tiled_head:
        learns, size = job.ends_learn, (job.targets, shapes.hidden_size)
        room = room_bytes(*size, parts_of(*size, os.cpu_count() or 1), need_weight=learns)
        copies = 2 * job.targets * shapes.hidden_size * width
        return room + copies, width * shapes.head_parameters if learns else 0
    chunk = chunk_tokens(job)
    buffer = min(chunk, job.targets) * shapes.vocab_size * width
    copies = 2 * job.targets * shapes.hidden_size * width
    if not job.ends_learn:
        return buffer + copies, 0
    # the sum in fp32, and a chunk's product, which is added to it at once in fp32
    return buffer + copies, (4 if width == 4 else 6) * shapes.head_parameters


def answers_bytes(job: Job) -> int:
    """Buffers of the pass over pairs' answers that comes first (``token_losses``).

    A tile's logits, the same in fp32 and their logarithms; the hidden states are copied once.
    """
    shapes, width = job.shapes, job.width
    if job.tiled_head:
        copied = width * job.targets * shapes.hidden_size
        return copied + room_bytes(job.targets, shapes.hidden_size, 0, need_weight=False)
    tile = chunk_and_tile(job.targets, shapes.vocab_size, 4, cuda=job.cuda)[1]
    each = 4 + width + (0 if width == 4 else 4)
    buffers = min(tile, job.targets) * shapes.vocab_size * each
    return buffers + width * job.targets * shapes.hidden_size


def chunk_tokens(job: Job) -> int:
    """Tokens whose logits are held at a time."""
    return chunk_and_tile(job.targets, job.shapes.vocab_size, job.width, cuda=job.cuda)[0]
