"""Seeded generation in batches with a key/value cache.

Every row has its own random numbers, drawn from the seed and the row's place, and one number for
each token: what a prompt gets does not depend on the prompts beside it. Ids without a tokenizer
entry (padding rows) can never be produced, nor can tokens that stand for no text.

Shape legend: B rows of the batch, S positions, V ids that may be produced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from transformers import DynamicCache

from hanhua.core.errors import InputError
from hanhua.model.cache import cached
from hanhua.model.stream import TextStream, TokenBytes, decode

__all__ = ["Generation", "Sampling", "TextStream", "TokenBytes", "decode", "generate", "stop_ids"]

BATCH_ROWS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen, and when to stop.

    Args:
        max_new_tokens: per prompt.
        temperature: 0 takes the likeliest token; otherwise logits are divided by it.
        top_p: draw from the smallest set of tokens whose probability reaches this.
        stop: strings that end the text and are not part of it.
        seed: of the draws.
        past_start: go on behind a start token, as other programs do; else it ends the text.
    """

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    past_start: bool = False


@dataclass(frozen=True, slots=True)
class Generation:
    """What one prompt got.

    Args:
        ids: as generated, with the end token where there was one.
        text: without special tokens, cut at a stop string.
        finish: "stop" at an end token or stop string, "length" when the room was used up.
    """

    ids: tuple[int, ...]
    text: str
    finish: Literal["stop", "length"]


def stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Ids that end a text: every end token, and the start token (of a text that would follow)."""
    found = {tokenizer.bos_token_id, tokenizer.eos_token_id}
    for config in (getattr(model, "generation_config", None), model.config):
        ends = getattr(config, "eos_token_id", None)
        found |= set(ends) if isinstance(ends, (list, tuple)) else {ends}
    return frozenset(int(i) for i in found if i is not None)


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling | None = None,
    batch_rows: int = BATCH_ROWS,
) -> list[Generation]:
    """Continue prompts.

    Args:
        model: a causal model of transformers.
        tokenizer: its fast tokenizer.
        prompts: ids, each at least one (the start token, say).
        sampling: default: greedy.
        batch_rows: prompts at once.

    Returns:
        one generation for each prompt, in order.

    Raises:
        InputError: when a prompt is empty or leaves no room in the model's context.
    """
    sampling = sampling or Sampling()
    context = int(getattr(model.config, "max_position_embeddings", 0) or 2048)
    for i, prompt in enumerate(prompts):
        if not 0 < len(prompt) < context:
            raise InputError(
                "This prompt is empty or fills the model's whole context.", where=f"prompt {i + 1}",
                found=f"{len(prompt)} tokens, context {context}", fix="give a shorter prompt",
            )  # fmt: skip
    maker = _Maker(model, tokenizer, sampling, context)
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    found: dict[int, Generation] = {}
    for start in range(0, len(order), batch_rows):
        places = order[start : start + batch_rows]
        found |= maker.run({i: prompts[i] for i in places})
    return [found[i] for i in range(len(prompts))]


class _Row:
    """One prompt on its way."""

    def __init__(self, maker: _Maker, place: int, prompt: Sequence[int]) -> None:
        self.maker, self.place = maker, place
        self.room = min(maker.sampling.max_new_tokens, maker.context - len(prompt))
        self.random = np.random.default_rng([maker.sampling.seed, place])
        self.stream = TextStream(maker.bytes, prompt, maker.sampling.stop)
        self.ids: list[int] = []
        self.text = ""
        self.finish: Literal["stop", "length"] | None = None

    def take(self, token: int) -> None:
        self.ids.append(token)
        if token not in self.maker.stops:
            self.text += self.stream.push(token)
        if token in self.maker.stops or self.stream.stopped:
            self.finish = "stop"
        elif len(self.ids) >= self.room:
            self.finish = "length"

    def result(self) -> Generation:
        assert self.finish is not None
        return Generation(tuple(self.ids), self.text + self.stream.finish(), self.finish)


class _Maker:
    def __init__(self, model: Any, tokenizer: Any, sampling: Sampling, context: int) -> None:
        self.model, self.sampling, self.context = model, sampling, context
        self.bytes = TokenBytes(tokenizer)
        self.stops = stop_ids(model, tokenizer)
        if sampling.past_start and tokenizer.bos_token_id != tokenizer.eos_token_id:
            self.stops -= {tokenizer.bos_token_id}
        self.n_ids = len(tokenizer)
        silent = {tokenizer.unk_token_id, tokenizer.pad_token_id} - self.stops - {None}
        self.banned = sorted(silent)

    @torch.inference_mode()
    def run(self, prompts: dict[int, Sequence[int]]) -> dict[int, Generation]:
        device = next(self.model.parameters()).device
        rows = [_Row(self, place, prompt) for place, prompt in prompts.items()]
        width = max(map(len, prompts.values()))
        # Left padding: every row's next token is in the same column of the cache.
        ids_BS = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts.values()])
        mask_BS = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts.values()])
        ids_BS, mask_BS = ids_BS.to(device), mask_BS.to(device)
        at_BS = (mask_BS.cumsum(1) - 1).clamp(min=0)
        cache = DynamicCache()
        done: dict[int, Generation] = {}
        while True:
            logits_BV = self.model(
                input_ids=ids_BS, attention_mask=mask_BS, position_ids=at_BS,
                logits_to_keep=1, **cached(self.model, cache),
            ).logits[:, -1, : self.n_ids].float()  # fmt: skip
            for row, token in zip(rows, self.choose(logits_BV, rows), strict=True):
                row.take(token)
            done |= {row.place: row.result() for row in rows if row.finish}
            alive = [i for i, row in enumerate(rows) if not row.finish]
            if not alive:
                return done
            if len(alive) < len(rows):
                kept = torch.tensor(alive, device=device)
                cache.batch_select_indices(kept)
                mask_BS, at_BS = mask_BS[kept], at_BS[kept]
                rows = [rows[i] for i in alive]
            ids_BS = torch.tensor([[row.ids[-1]] for row in rows], device=device)
            mask_BS = torch.cat([mask_BS, mask_BS.new_ones(len(rows), 1)], dim=1)
            at_BS = at_BS[:, -1:] + 1

    def choose(self, logits_BV: torch.Tensor, rows: Sequence[_Row]) -> list[int]:
        logits_BV[:, self.banned] = -torch.inf
        if self.sampling.temperature <= 0:
            return [int(i) for i in logits_BV.argmax(dim=-1)]
        shares_BV = torch.softmax(logits_BV / self.sampling.temperature, dim=-1).cpu()
        draws_B = torch.tensor([row.random.random() for row in rows], dtype=torch.float64)
        return draw(shares_BV, self.sampling.top_p, draws_B)


def draw(shares_BV: torch.Tensor, top_p: float, draws_B: torch.Tensor) -> list[int]:
    """One id a row: the cumulative distribution of its nucleus, inverted at a uniform number.

    Args:
        shares_BV: probabilities.
        top_p: 1 keeps every id, and needs no sorting.
        draws_B: float64, from 0 to 1.
    """
    ids_BV = None
    kept_B1 = torch.full((len(shares_BV), 1), shares_BV.shape[1])
    if top_p < 1:
        shares_BV, ids_BV = shares_BV.sort(dim=-1, descending=True, stable=True)
    totals_BV = shares_BV.double().cumsum(dim=-1)
    if ids_BV is not None:
        # A token stays while the mass before it is below top_p, so the first always stays.
        kept_B1 = ((totals_BV - shares_BV) < top_p).sum(dim=-1, keepdim=True)
    mass_B1 = totals_BV.gather(1, kept_B1 - 1)
    place_B1 = torch.searchsorted(totals_BV, mass_B1 * draws_B.unsqueeze(1), right=True)
    place_B1 = torch.minimum(place_B1, kept_B1 - 1)
    chosen_B1 = place_B1 if ids_BV is None else ids_BV.gather(1, place_B1)
    return [int(i) for i in chosen_B1[:, 0]]
