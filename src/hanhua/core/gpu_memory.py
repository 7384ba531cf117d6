"""How PyTorch cuts a GPU's memory, which has to be said before it is first used."""

from __future__ import annotations

import os


def grow_segments() -> None:
    """Let PyTorch's allocator on a GPU grow its blocks, where the user has set nothing else.

    Micro-batches of changing size otherwise leave gaps that nothing fits into: 5.5 of 140 GiB in a
    7B model (an H200). It is read once, when a process first puts something on a GPU: an evaluation
    before the training is soon enough to miss it.
    https://docs.pytorch.org/docs/stable/notes/cuda.html#optimizing-memory-usage-with-pytorch-alloc-conf
    """
    if "PYTORCH_CUDA_ALLOC_CONF" not in os.environ:
        os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
