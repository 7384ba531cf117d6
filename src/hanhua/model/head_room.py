"""Room that the head by tiles takes, for those who use it and those who plan; without torch."""

from __future__ import annotations

from hanhua.model.native import NATIVE

SIDE = 32
"""Widths are whole ones of it."""
MOST_SUMS_BYTES = 1024**3
"""Room for the sums that each thread has of its own; fewer threads work where it would be more."""


def parts_of(tokens: int, width: int, threads: int) -> int:
    """How many parts, each with a sum of its own, make the gradients."""
    return max(min(threads, MOST_SUMS_BYTES // max(4 * tokens * width, 1)), 1)


def room_bytes(tokens: int, width: int, parts: int, *, need_weight: bool) -> int:
    """Bytes of room while losses (0 parts) or gradients are made, without the gradients."""
    return int(NATIVE.head_room(tokens, width, parts, need_weight))
