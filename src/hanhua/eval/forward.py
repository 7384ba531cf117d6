"""A causal model cut in two: the body (ids to hidden states) and the head (hidden to logits).

Every measure here needs logits at some positions only, or all of them but never at once: for a
vocabulary of 36,000 the logits of one document take a hundred times the memory of its hidden
states. So the body runs over whole batches and the head over a few rows at a time.

Shape legend: B batch, S positions, N rows, D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from transformers import DynamicCache

from hanhua.core.errors import ModelError
from hanhua.model.cache import cached
from hanhua.model.fuse import fuse
from hanhua.model.head import head_form
from hanhua.model.load import load_model, load_tokenizer
from hanhua.tokens.encode import text_encoder

HEAD_ELEMENTS = 2_000_000
"""Logits made at once: 8 MB of float32, which stays near the cache of one core."""

BATCH_TOKENS = {"cpu": 2048, "cuda": 16384}
"""Tokens through the body at once; fixed, so that results do not depend on memory or settings."""


class CausalModel:
    """A model with its tokenizer, ready to be measured.

    Args:
        model: any causal model of transformers whose logits are its output embedding of the
            body's last hidden state (as it is, scaled or soft-capped); this is checked.
        tokenizer: its fast tokenizer.

    Raises:
        ModelError: when the head is of another kind, or there is no fast tokenizer.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.core = text_encoder(tokenizer)
        self.body = model.base_model
        self.head = model.get_output_embeddings()
        self.device = next(model.parameters()).device
        self.batch_tokens = BATCH_TOKENS.get(self.device.type, BATCH_TOKENS["cpu"])
        self.form = head_form(model)
        self.n_rows = int(self.head.weight.shape[0])
        self.n_ids = len(tokenizer)
        self.context_tokens = _context_tokens(model.config)
        self.start = _start_id(tokenizer)
        self.starts = tokenizer("a")["input_ids"][:1] == [self.start]
        self._check()

    @classmethod
    def load(cls, path: Path | str, device: str = "cpu") -> CausalModel:
        """Load a model folder in float32: scores are compared to the fourth digit."""
        model = load_model(path, dtype=torch.float32).to(device)
        fuse(model)
        return cls(model, load_tokenizer(path))

    def _check(self) -> None:
        if self.n_ids > self.n_rows:
            raise ModelError(
                "The tokenizer has more entries than the model has rows.",
                where=self.tokenizer.name_or_path,
                found=f"{self.n_ids} entries, {self.n_rows} rows",
                fix="use the tokenizer that belongs to the model",
            )

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without any special token; "<s>" in a text is just text."""
        return [e.ids for e in self.core.encode_batch_fast(list(texts), add_special_tokens=False)]

    def before_text(self, ids: Sequence[int] = ()) -> tuple[int, ...]:
        """What stands before a text's ids: the start token, where the tokenizer itself puts one.

        As in lm-evaluation-harness: GPT-2 and Qwen get none, unless there is nothing else to
        predict the first token from.
        """
        return (self.start,) if self.starts or not ids else ()

    def hidden(
        self, ids_BS: torch.Tensor, cache: DynamicCache | None = None, **arguments: Any
    ) -> torch.Tensor:
        """Last hidden states.

        Args:
            ids_BS: token ids; right padding needs no mask, since attention is causal.
            cache: what came before; grows by these ids.
            arguments: of the model's body (attention_mask, position_ids, …).

        Returns:
            ``[B, S, D]``.
        """
        arguments |= {"use_cache": False} if cache is None else cached(self.body, cache)
        states: torch.Tensor = self.body(input_ids=ids_BS, **arguments).last_hidden_state
        return states

    def logits(self, hidden_ND: torch.Tensor) -> torch.Tensor:
        """Float32 logits ``[N, V]`` of all rows given; mind the memory."""
        return self.form.apply(self.head(hidden_ND).float())

    def chunks(self, n: int) -> Iterator[slice]:
        """Slices of n rows, small enough for the head."""
        size = max(16, HEAD_ELEMENTS // self.n_rows)
        for start in range(0, n, size):
            yield slice(start, start + size)

    def nats(self, hidden_ND: torch.Tensor, targets_N: torch.Tensor) -> npt.NDArray[np.float64]:
        """Negative log-probability of each target, ``[N]``, in nats."""
        found = [
            functional.cross_entropy(self.logits(hidden_ND[c]), targets_N[c], reduction="none")
            for c in self.chunks(len(targets_N))
        ]
        return torch.cat(found).double().cpu().numpy() if found else np.zeros(0)

    def tensor(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Rows of ids as one right-padded ``[B, S]`` tensor."""
        width = max(map(len, rows))
        out = np.zeros((len(rows), width), dtype=np.int64)
        for i, row in enumerate(rows):
            out[i, : len(row)] = row
        return torch.from_numpy(out).to(self.device)


def _context_tokens(config: Any) -> int:
    found = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    return int(found) if found else 2048


def _start_id(tokenizer: Any) -> int:
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise ModelError(
        "This tokenizer has neither a start nor an end token.", where=tokenizer.name_or_path,
        fix="name one in its tokenizer_config.json; the first token of a text needs a context",
    )  # fmt: skip
