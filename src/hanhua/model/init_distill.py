"""New input rows learnt from the base itself: what it thinks behind the old tokens, behind the new.

The base reads short stretches of the user's text in its old spelling; the same model reads them
in the new one, with only the new rows free; where a token ends in both spellings, its last hidden
states shall agree. Nothing else of the model moves. This is the kind of Token Distillation
(https://arxiv.org/abs/2505.20133), here for all pieces of a stretch together, since in Chinese
nearly every token is new.

New merges come behind all old ones, so an old spelling is the new one with every piece taken
apart: both sequences come from one encoding, and their places correspond exactly.

Letters for shapes: N new pieces, D width, B stretches, T tokens in the new spelling, S in the old.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from hanhua.core.errors import InputError
from hanhua.core.progress import Progress, Silent
from hanhua.model.auxiliary import Ids, Speller
from hanhua.model.ends import embedding_factor

STRETCH_TOKENS = 32
STRETCHES_A_STEP = 16
HELD_BACK = 64
"""Stretches that are only measured on, before and after."""
RATE = 0.03
"""Learning rate, as a part of the root mean square of the rows' numbers."""


@dataclass(frozen=True, slots=True)
class Distilled:
    """What came of it.

    Args:
        rows: ``[N, D]`` float32.
        before: mean relative squared error of the hidden states on text held back, as it began.
        after: the same at the end.
        stretches: measured on.
        learnt: pieces that were in the text learnt from; the others keep their start.
    """

    rows: Tensor
    before: float
    after: float
    stretches: int
    learnt: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Stretches in both spellings, right-padded (attention looks back only).

    Args:
        old_BS: ids of the base.
        new_BT: ids of the extended tokenizer.
        ends_BT: where each new token ends in the old spelling.
        counted_BT: 1 where a state is compared: from the first new piece on.
    """

    old_BS: Tensor
    new_BT: Tensor
    ends_BT: Tensor
    counted_BT: Tensor


def distill(
    model: Any,
    start: Tensor,
    documents: Sequence[Ids],
    speller: Speller,
    *,
    steps: int,
    seed: int,
    bos: int | None,
    progress: Progress | None = None,
) -> Distilled:
    """Learn the new input rows.

    Args:
        model: the base; it is frozen.
        start: ``[N, D]`` rows to start from.
        documents: text in ids of the extended tokenizer.
        speller: of the new pieces.
        steps: optimiser steps of `STRETCHES_A_STEP` stretches.
        seed: of the choice of stretches.
        bos: id in front of each stretch.
        progress: shows the error.

    Raises:
        InputError: when the text holds no new piece.
    """
    model.requires_grad_(False)
    held, kept = _stretches(documents, speller, seed, _longest(model))
    table = torch.nn.Parameter(start.float().clone())
    rate = RATE * float(start.float().pow(2).mean().sqrt())
    optimizer = torch.optim.SparseAdam([table], lr=rate)
    measured = [_pair(held[i : i + 16], speller, bos) for i in range(0, len(held), 16)]
    before = _measure(model, table, measured, speller.old)
    batches = _batches(kept, steps, seed)
    learnt: set[int] = set()
    with (progress or Silent()).bar("distilling rows", steps, "step") as bar:
        for step, batch in enumerate(batches):
            for group in optimizer.param_groups:
                group["lr"] = rate * (1 - step / steps)
            learnt.update(int(i) for x in batch for i in x[x >= speller.old])
            error, count = _error(model, table, _pair(batch, speller, bos), speller.old)
            loss = error / count
            torch.autograd.backward(loss)
            optimizer.step()  # type: ignore[no-untyped-call]
            optimizer.zero_grad(set_to_none=True)
            bar.advance(error=float(loss.detach()))
    after = _measure(model, table, measured, speller.old)
    return Distilled(table.detach(), before, after, len(held), len(learnt))


def _longest(model: Any) -> int:
    """Old tokens that a stretch may take."""
    found = getattr(model.config, "max_position_embeddings", None) or 2048
    return int(found) - 1


def _stretches(
    documents: Sequence[Ids], speller: Speller, seed: int, longest: int
) -> tuple[list[Ids], list[Ids]]:
    """Cut the documents; those with rare pieces come first, some are held back."""
    found = [
        part
        for ids in documents
        for at in range(0, len(ids), STRETCH_TOKENS)
        if (part := ids[at : at + STRETCH_TOKENS]).max() >= speller.old
        and int(speller.lengths[part].sum()) <= longest
    ]
    if len(found) < 2:
        raise InputError(
            "The text is too short to distil new rows from.", where="expand.input",
            found=f"{len(found)} stretches of {STRETCH_TOKENS} tokens with a new piece",
            fix="give more text of the target language, or set expand.input: mean",
        )  # fmt: skip
    counts = np.bincount(np.concatenate(found), minlength=len(speller.lengths))
    weight = [(counts[x[x >= speller.old]] ** -0.5).mean() for x in found]
    draw = np.random.default_rng(seed)
    # Keys of weighted sampling without replacement: https://doi.org/10.1016/j.ipl.2005.11.003
    keys = draw.random(len(found)) ** (1 / np.array(weight))
    held = set(draw.permutation(len(found))[: min(HELD_BACK, len(found) // 4 or 1)].tolist())
    order = [int(i) for i in np.argsort(-keys, kind="stable") if i not in held]
    return [found[i] for i in sorted(held)], [found[i] for i in order]


def _batches(stretches: list[Ids], steps: int, seed: int) -> Iterator[list[Ids]]:
    """Every stretch once in the order given, then again in drawn orders."""
    draw = np.random.default_rng([seed, 1])
    order = list(range(len(stretches)))
    at = 0
    for _ in range(steps):
        if at >= len(order):
            order, at = draw.permutation(len(stretches)).tolist(), 0
        yield [stretches[i] for i in order[at : at + STRETCHES_A_STEP]]
        at += STRETCHES_A_STEP


def _pair(stretches: Sequence[Ids], speller: Speller, bos: int | None) -> Pair:
    first = [] if bos is None else [bos]
    old, new, ends, counted = [], [], [], []
    for ids in stretches:
        spelt, end = speller.spell(ids)
        old.append(np.concatenate([first, spelt]).astype(np.int64))
        new.append(np.concatenate([first, ids]).astype(np.int64))
        ends.append(np.concatenate([[0] * len(first), end + len(first)]).astype(np.int64))
        counted.append(np.cumsum(new[-1] >= speller.old) > 0)
    return Pair(*(_padded(rows) for rows in (old, new, ends, counted)))


def _padded(rows: Sequence[Any]) -> Tensor:
    out = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return torch.from_numpy(out)


def _error(model: Any, table: Tensor, pair: Pair, old: int) -> tuple[Tensor, Tensor]:
    """Summed relative squared error of the hidden states, and how many were compared."""
    with torch.no_grad():
        states = model.base_model(input_ids=pair.old_BS, use_cache=False).last_hidden_state
        aim = states.gather(1, pair.ends_BT[:, :, None].expand(-1, -1, states.shape[-1]))
    embed = model.get_input_embeddings()
    new = pair.new_BT >= old
    known = embed(pair.new_BT.masked_fill(new, 0))
    added = embedding((pair.new_BT - old).clamp_min(0), table, sparse=True)
    added = (added * embedding_factor(embed)).to(known.dtype)
    inputs = torch.where(new[:, :, None], added, known)
    found = model.base_model(inputs_embeds=inputs, use_cache=False).last_hidden_state
    error = (found.float() - aim.float()).square().sum(-1) / aim.float().square().sum(-1)
    return (error * pair.counted_BT).sum(), pair.counted_BT.sum()


@torch.no_grad()
def _measure(model: Any, table: Tensor, pairs: Sequence[Pair], old: int) -> float:
    found = [_error(model, table, pair, old) for pair in pairs]
    return float(sum(e for e, _ in found)) / max(float(sum(n for _, n in found)), 1.0)
