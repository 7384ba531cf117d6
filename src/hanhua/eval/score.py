"""Log-probabilities of answer options, with what prompts share computed once.

The prompts of one subject begin alike: the same description and the same solved examples. Their
longest common prefix of *token ids* goes through the model once; its keys and values are then
expanded over batches of the rest. All options of a question ride in one row: each option sees
the prompt and itself, never its neighbours (a tree attention mask). The head runs only on the
positions that predict an option's token. Results equal those of scoring each option alone, up to
the order of float32 sums.

Shape legend: B rows, S positions, P prefix, U positions read, D hidden size, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import DynamicCache

from hanhua.core.progress import Bar
from hanhua.eval.forward import CausalModel

MIN_PREFIX = 8
"""A shorter common prefix is not worth a cache of its own."""

CACHE_TOKENS = 16_384
"""Cached positions over all rows of a batch, which bounds its memory."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question: the ids before the answer, and the ids of each option."""

    context: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class _Row:
    """One request behind the shared prefix, laid out as its prompt and then its options.

    Args:
        place: of the request.
        ids: the prompt's own part, then each option without its last token.
        starts: where each option begins in `ids`.
        n_own: length of the prompt's own part.
        options: as in the request.
    """

    place: int
    ids: tuple[int, ...]
    starts: tuple[int, ...]
    n_own: int
    options: tuple[tuple[int, ...], ...]


def common_prefix(rows: Sequence[tuple[int, ...]]) -> int:
    """Length of the longest common prefix, leaving each row at least its last id."""
    first, last = min(rows), max(rows)
    most = min(map(len, rows)) - 1
    for i in range(most):
        if first[i] != last[i]:
            return i
    return max(most, 0)


@torch.inference_mode()
def score_options(
    model: CausalModel, requests: Sequence[Request], bar: Bar | None = None
) -> list[list[float]]:
    """Log-probability of every option of every request.

    Args:
        model: the model.
        requests: of one subject, best with a long common prefix; each fits into the context.
        bar: advanced by requests.

    Returns:
        nats, one list for each request, one number for each option (sum over its tokens).
    """
    if not requests:
        return []
    shared = common_prefix([r.context for r in requests])
    if len(requests) == 1 or shared < MIN_PREFIX:
        shared = 0
    prefix = _prefill(model, requests[0].context[:shared]) if shared else None
    rows = [_layout(i, r, shared) for i, r in enumerate(requests)]
    found: list[list[float]] = [[] for _ in requests]
    for batch in _batches(rows, shared, model.batch_tokens):
        for row, values in zip(batch, _score_batch(model, batch, prefix, shared), strict=True):
            found[row.place] = values
        if bar:
            bar.advance(len(batch))
    return found


def _prefill(model: CausalModel, ids: Sequence[int]) -> DynamicCache:
    cache = DynamicCache()
    model.hidden(model.tensor([ids]), cache)
    return cache


def _layout(place: int, request: Request, shared: int) -> _Row:
    ids = list(request.context[shared:])
    n_own, starts = len(ids), []
    for option in request.options:
        starts.append(len(ids))
        ids += option[:-1]
    return _Row(place, tuple(ids), tuple(starts), n_own, request.options)


def _batches(rows: Sequence[_Row], shared: int, tokens: int) -> list[list[_Row]]:
    """Rows of like length together, the longest first."""
    found: list[list[_Row]] = []
    for row in sorted(rows, key=lambda r: (-len(r.ids), r.place)):
        if found:
            count, width = len(found[-1]) + 1, len(found[-1][0].ids)
            if count * width <= tokens // 2 and count * (width + shared) <= CACHE_TOKENS:
                found[-1].append(row)
                continue
        found.append([row])
    return found


def _score_batch(
    model: CausalModel, batch: Sequence[_Row], prefix: DynamicCache | None, shared: int
) -> list[list[float]]:
    cache, arguments = copy.deepcopy(prefix), {}
    if cache is not None:
        cache.batch_repeat_interleave(len(batch))
    ids_BS = model.tensor([row.ids for row in batch])
    if any(len(row.ids) > row.n_own for row in batch):
        mask, at = _tree(batch, shared, ids_BS.shape[1])
        arguments = {"attention_mask": mask.to(model.device), "position_ids": at.to(model.device)}
    hidden_ND = model.hidden(ids_BS, cache, **arguments).flatten(0, 1)
    return _read(model, hidden_ND, batch, ids_BS.shape[1])


def _tree(batch: Sequence[_Row], shared: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Who sees whom ``[B, 1, S, P + S]`` and positions ``[B, S]`` of rows with long options.

    Padding sees what a token there would see; nothing that is read sees padding.
    """
    mask_BSK = np.zeros((len(batch), 1, width, shared + width), dtype=bool)
    at_BS = np.zeros((len(batch), width), dtype=np.int64)
    mask_BSK[..., :shared] = True
    causal_SS = np.tril(np.ones((width, width), dtype=bool))
    for i, row in enumerate(batch):
        own, tree_SS, at_S = row.n_own, causal_SS.copy(), np.arange(width)
        for start, option in zip(row.starts, row.options, strict=True):
            end = start + len(option) - 1
            tree_SS[start:end, own:start] = False
            at_S[start:end] = own + np.arange(end - start)
        mask_BSK[i, 0, :, shared:] = tree_SS
        at_BS[i] = shared + at_S
    return torch.from_numpy(mask_BSK), torch.from_numpy(at_BS)


def _read(
    model: CausalModel, hidden_ND: torch.Tensor, batch: Sequence[_Row], width: int
) -> list[list[float]]:
    """Sum the log-probabilities of each option's tokens, each position's logits made once."""
    rows: list[int] = []
    targets: list[int] = []
    owners: list[tuple[int, int]] = []
    for i, row in enumerate(batch):
        for j, (start, option) in enumerate(zip(row.starts, row.options, strict=True)):
            before = [row.n_own - 1, *range(start, start + len(option) - 1)]
            rows += [i * width + place for place in before]
            targets += option
            owners += [(i, j)] * len(option)
    unique, place = np.unique(np.asarray(rows), return_inverse=True)
    hidden_UD = hidden_ND[torch.from_numpy(unique).to(model.device)]
    wanted = np.asarray(targets)
    values = np.zeros(len(wanted))
    for chunk in model.chunks(len(unique)):
        inside = np.flatnonzero((place >= chunk.start) & (place < chunk.stop))
        logs_UV = torch.log_softmax(model.logits(hidden_UD[chunk]), dim=-1)
        at = torch.from_numpy(place[inside] - chunk.start).to(model.device)
        ids = torch.from_numpy(wanted[inside]).to(model.device)
        values[inside] = logs_UV[at, ids].double().cpu().numpy()
    found = [[0.0] * len(row.options) for row in batch]
    for (i, j), value in zip(owners, values.tolist(), strict=True):
        found[i][j] += value
    return found
