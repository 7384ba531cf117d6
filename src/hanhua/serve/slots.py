"""The attention cache of all running requests: one tensor per layer, one row (slot) per request.

Every request keeps its keys and values at its own absolute positions ``0…length-1``, so rows of
different length share a forward pass under a mask, with no padding on the left and no copying
when one joins or leaves. The tensors grow by doubling, so an idle server holds almost nothing.

Shape legend: B rows in this step, T new tokens, L cached tokens, H key/value heads, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from hanhua.model.cache import cached
from hanhua.model.kernels import can_run, place
from hanhua.serve.attention import STEP

_BLOCK_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Step:
    """Which part of the cache one forward pass writes and reads.

    Args:
        first: the first slot; the step covers B consecutive slots from here.
        order_B: 0, 1, 2 and so on.
        positions_BT: where each new token goes; padding repeats the row's last position.
        length: cached tokens that the pass reads, the longest row's.
        mask_B1TL: what is added to the scores of queries and keys.
    """

    first: int
    order_B: torch.Tensor
    positions_BT: torch.Tensor
    length: int
    mask_B1TL: torch.Tensor

    def masks(self, mask: torch.Tensor | None) -> bool:
        """Whether the step feeds one token a row, and this is its mask and no other."""
        own = self.mask_B1TL
        return (
            mask is not None
            and own.shape[2] == 1
            and mask.shape == own.shape
            and mask.data_ptr() == own.data_ptr()
        )


class SlotLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers is untyped here
    """One layer's keys and values; ``step`` is set by the pool before every forward pass."""

    is_sliding = False

    def __init__(self) -> None:
        super().__init__()
        self.step: Step | None = None

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take shape, type and device from the first keys and values."""
        _, heads, _, size = key_states.shape
        self.keys = key_states.new_zeros(0, heads, 0, size)
        self.values = value_states.new_zeros(0, heads, 0, value_states.shape[-1])
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new keys and values ``[B, H, T, D]``; return those to read, ``[B, H, L, D]``."""
        step = self.step
        assert step is not None, "the pool sets the step before each forward pass"
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        batch = key_states.shape[0]
        self._grow(step.first + batch, step.length)
        rows = slice(step.first, step.first + batch)
        keys, values = self.keys[rows, :, : step.length], self.values[rows, :, : step.length]
        if can_run(key_states, value_states, keys):
            place(key_states, keys, step.positions_BT)
            place(value_states, values, step.positions_BT)
        else:
            where_B1 = step.order_B[:, None] + step.first
            self.keys[where_B1, :, step.positions_BT] = key_states.transpose(1, 2)
            self.values[where_B1, :, step.positions_BT] = value_states.transpose(1, 2)
        setattr(keys, STEP, step)
        return keys, values

    def _grow(self, slots: int, tokens: int) -> None:
        have_slots, _, have_tokens, _ = self.keys.shape
        if slots <= have_slots and tokens <= have_tokens:
            return
        slots = have_slots if slots <= have_slots else max(slots, 2 * have_slots)
        tokens = have_tokens if tokens <= have_tokens else max(tokens, 2 * have_tokens)
        tokens = -(-tokens // _BLOCK_TOKENS) * _BLOCK_TOKENS
        self.keys = _larger(self.keys, slots, tokens)
        self.values = _larger(self.values, slots, tokens)

    def reorder(self, targets: list[int], sources: list[int], length: int) -> None:
        """Let some slots take the content of others, all at once."""
        if self.is_initialized:
            # what was let in and not fed yet may lie beyond the tensors, and has nothing to move
            there = [i for i, source in enumerate(sources) if source < len(self.keys)]
            targets, sources = [targets[i] for i in there], [sources[i] for i in there]
            self.keys[targets, :, :length] = self.keys[sources, :, :length]
            self.values[targets, :, :length] = self.values[sources, :, :length]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """The mask's length and offset; our own mask makes this unused, but true all the same."""
        return (self.step.length if self.step else query_length), 0

    def get_seq_length(self) -> int:
        """Zero: positions are always given, there is no one length for all rows."""
        return 0

    def get_max_length(self) -> int:
        """No limit of its own."""
        return -1


def _larger(old: torch.Tensor, slots: int, tokens: int) -> torch.Tensor:
    # Zeros, not empty memory: a masked NaN would still poison the sum over values.
    new = old.new_zeros(slots, old.shape[1], tokens, old.shape[3])
    new[: old.shape[0], :, : old.shape[2]] = old
    return new


class SlotPool:
    """The cache of a whole model, and the ragged forward pass over it.

    Args:
        model: a causal language model of transformers whose layers all attend in full.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model
        count: int = model.config.num_hidden_layers  # type: ignore[union-attr,assignment]
        self.layers = [SlotLayer() for _ in range(count)]
        self.cache = Cache(layers=self.layers)
        first = next(model.parameters())
        self.device, self.dtype = first.device, first.dtype

    def forward(
        self, first: int, tokens: Sequence[Sequence[int]], starts: Sequence[int]
    ) -> torch.Tensor:
        """Feed new tokens to consecutive slots, each row at its own position.

        Args:
            first: slot of the first row.
            tokens: B rows of one or more new token ids, not necessarily equally many.
            starts: B counts of tokens already in each slot.

        Returns:
            The logits after each row's last token, float32, ``[B, vocabulary]``.
        """
        given = self._inputs(first, tokens, starts)
        with torch.inference_mode():
            out = self.model(**given, logits_to_keep=1, **cached(self.model, self.cache))
            # padding repeats a row's last token, so the last column holds it in every row
            logits: torch.Tensor = out.logits[:, -1]
            return logits.float()

    def every(self, tokens: Sequence[int], start: int) -> torch.Tensor:
        """Feed a piece to the first slot; the logits after each of its tokens, ``[T, vocabulary]``.

        Args:
            tokens: T new ids.
            start: tokens already in the slot.
        """
        given = self._inputs(0, [tokens], [start])
        with torch.inference_mode():
            logits: torch.Tensor = self.model(**given, **cached(self.model, self.cache)).logits
            return logits[0].float()

    def hidden(self, tokens: Sequence[int], start: int) -> torch.Tensor:
        """Feed a piece to the first slot; the last layer's states, float32, ``[T, width]``."""
        body: Any = self.model.base_model
        given = self._inputs(0, [tokens], [start])
        with torch.inference_mode():
            states: torch.Tensor = body(**given, **cached(body, self.cache)).last_hidden_state
            return states[0].float()

    def _inputs(
        self, first: int, tokens: Sequence[Sequence[int]], starts: Sequence[int]
    ) -> dict[str, Any]:
        """The ragged rows as one rectangle, and the step that the layers are to write."""
        counts = [len(row) for row in tokens]
        width = max(counts)
        ids = [[*row, *[row[-1]] * (width - len(row))] for row in tokens]
        # A padded token repeats the row's last one at the same position: it writes the same
        # key and value again, so no slot ever holds anything but its own request.
        where = [
            [start + min(t, count - 1) for t in range(width)]
            for start, count in zip(starts, counts, strict=True)
        ]
        positions_BT = torch.tensor(where, device=self.device)
        length = max(start + count for start, count in zip(starts, counts, strict=True))
        read_L = torch.arange(length, device=self.device)
        hidden_BTL = read_L > positions_BT[:, :, None]
        # What is added to the scores: attention in plain products (Gemma 2) takes nothing else,
        # and the fused one would make the same of true and false anew in every layer.
        mask_BTL = torch.zeros(hidden_BTL.shape, dtype=self.dtype, device=self.device)
        mask_B1TL = mask_BTL.masked_fill_(hidden_BTL, -torch.inf)[:, None]
        order_B = torch.arange(len(counts), device=self.device)
        step = Step(first, order_B, positions_BT, length, mask_B1TL)
        for layer in self.layers:
            layer.step = step
        return {
            "input_ids": torch.tensor(ids, device=self.device),
            "attention_mask": mask_B1TL,
            "position_ids": positions_BT,
        }

    def reorder(self, order: Sequence[int], length: int) -> None:
        """Let slot ``i`` take what slot ``order[i]`` holds, for as many as ``order`` names.

        Args:
            order: distinct slots; those not named are given up.
            length: how many tokens of each are worth keeping, the longest row's.
        """
        targets = [i for i, source in enumerate(order) if i != source]
        if targets:
            with torch.inference_mode():
                for layer in self.layers:
                    layer.reorder(targets, [order[i] for i in targets], length)

    def bytes(self) -> int:
        """Memory that the cache holds now."""
        held = [
            t for layer in self.layers if layer.is_initialized for t in (layer.keys, layer.values)
        ]
        return sum(t.numel() * t.element_size() for t in held)
