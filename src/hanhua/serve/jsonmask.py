"""Which tokens keep an answer within JSON: a mask over the vocabulary for each automaton state.

A mask costs a walk over many tokens, so those are walked whose first byte may stand, plain text
inside strings is known beforehand, and the last masks are kept: a text stands in few states.

Shape legend: V vocabulary.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict

import torch

from hanhua.model.stream import TokenBytes
from hanhua.serve.jsontext import State, advance, feed

_KEPT = 128
"""Masks that are kept, a byte a token each."""


class JsonMasks:
    """The masks of one vocabulary.

    Args:
        token_bytes: what each id stands for.
        n_tokens: V, how many ids there are.
        never: ids that are no text; they end or silence an answer.
    """

    def __init__(self, token_bytes: TokenBytes, n_tokens: int, never: frozenset[int]) -> None:
        self.n_tokens = n_tokens
        self._by_first: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
        plain = []
        for token in range(n_tokens):
            data = b"" if token in never else token_bytes[token]
            if _is_plain(data):
                plain.append(token)
            elif data:
                self._by_first[data[0]].append((token, data))
        self._plain_V = self._mask(plain)
        self._plain_by_first: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
        for token in plain:
            data = token_bytes[token]
            self._plain_by_first[data[0]].append((token, data))
        self._masks: OrderedDict[State, torch.Tensor] = OrderedDict()

    def allowed(self, state: State) -> torch.Tensor:
        """Bool ``[V]``: the tokens that may follow."""
        found = self._masks.get(state)
        if found is None:
            found = self._masks[state] = self._walk(state)
            if len(self._masks) > _KEPT:
                self._masks.popitem(last=False)
        self._masks.move_to_end(state)
        return found

    def _walk(self, state: State) -> torch.Tensor:
        in_text = state.mode == "string" and not state.tally
        may = [
            token
            for byte in range(256)
            if advance(state, byte) is not None
            for group in ((self._by_first,) if in_text else (self._by_first, self._plain_by_first))
            for token, data in group.get(byte, ())
            if feed(state, data) is not None
        ]
        mask_V = self._mask(may)
        return mask_V | self._plain_V if in_text else mask_V

    def _mask(self, ids: list[int]) -> torch.Tensor:
        mask_V = torch.zeros(self.n_tokens, dtype=torch.bool)
        mask_V[ids] = True
        return mask_V


def _is_plain(data: bytes) -> bool:
    """Whether a token may stand anywhere inside a string: whole characters, nothing to escape."""
    if not data or any(byte < 0x20 or byte in b'"\\' for byte in data):
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
