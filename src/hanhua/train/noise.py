"""NEFTune: noise on the embeddings of conversations while they are learnt from.

Each number of an embedding gets a uniform random one from [-1, 1] times alpha / sqrt(L d), L being
the tokens of the conversation and d the embedding's width, so a whole conversation's noise has the
length alpha / sqrt(3) however long it is. The paper's L is that of a sequence without its padding;
here rows are packed, so L is that of each conversation in a row, never the row's. Pretraining text
that is rehearsed among conversations gets none.

The noise of a conversation is a function of the seed, the step and its own tokens: no micro-batch,
no number of processes and no kill on the way changes it. (A GPU draws other numbers than a CPU.)

Source: https://arxiv.org/abs/2310.05914.
"""

from __future__ import annotations

import math
from hashlib import blake2b

import torch
from torch import Tensor

from hanhua.train.objective import Flat


def embedding_noise(
    flat: Flat, width: int, alpha: float, seed: int, device: torch.device
) -> Tensor:
    """The noise of a flat batch.

    Args:
        flat: the batch; a document of which every token is a target is no conversation.
        width: of an embedding.
        alpha: how strong; the paper tries 5, 10 and 15.
        seed: of the step, the same on all processes.
        device: where the numbers are drawn.

    Returns:
        ``[1, T, width]`` fp32.
    """
    found = torch.zeros(flat.ids.shape[1], width, device=device)
    start = 0
    for length in flat.lengths:
        stop = start + length
        if not is_text(flat.labels[start:stop]):
            ids = flat.ids[0, start:stop]
            drawn = torch.rand(
                length, width, generator=_generator(seed, ids, device), device=device
            )
            found[start:stop] = drawn.mul_(2).sub_(1).mul_(alpha / math.sqrt(length * width))
        start = stop
    return found[None]


def is_text(labels: Tensor) -> bool:
    """Whether a document (its labels ``[L]``) is learnt whole: no question stands in it."""
    return bool((labels[:-1] >= 0).all())


def _generator(seed: int, ids: Tensor, device: torch.device) -> torch.Generator:
    key = blake2b(ids.numpy().tobytes(), digest_size=8, salt=seed.to_bytes(16, "little"))
    return torch.Generator(device).manual_seed(int.from_bytes(key.digest(), "little") >> 1)
