"""The shapes of a decoder, from config.json alone, and how many numbers its weights are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

SMALL_PARAMETERS = 200_000_000
"""Models under this many parameters are saved in fp32: it costs little, and rounding a tiny
model's weights can be measured in its scores."""
UNGATED = frozenset({"gpt2", "gpt_neox", "phi", "opt", "gptj", "bloom", "falcon", "starcoder2"})
"""Model types whose MLP has two matrices; the others' third opens and closes a gate."""
TIED = frozenset({
    "gpt2", "gpt_bigcode", "gemma", "gemma2", "gemma3_text", "vaultgemma", "opt", "cohere",
    "cohere2", "smollm3", "ernie4_5", "starcoder2",
})  # fmt: skip
"""Model types with one matrix for embedding and head where their config.json doesn't say."""
BIASED = frozenset({"qwen2"})
"""Model types with a bias at query, key and value that their config.json doesn't mention."""
QK_NORM = frozenset({"qwen3"})
"""Model types that normalise queries and keys head by head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """What decides the cost of a model of the LLaMA kind (others come close).

    Args:
        hidden_size: width of the residual stream.
        layers: decoder blocks.
        heads: of queries.
        kv_heads: of keys and values.
        head_dim: width of a head.
        intermediate_size: width of the MLP.
        vocab_size: rows of the embedding.
        tied: one matrix for embedding and head.
        gated: whether the MLP has a third matrix.
        attention_bias: whether query, key and value have a bias.
        qk_norm: whether queries and keys are normalised.
    """

    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    tied: bool
    gated: bool = True
    attention_bias: bool = False
    qk_norm: bool = False

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Shapes | None:
        """From a plan's facts; None where hidden_size, layers or vocab_size isn't known."""
        if not all(facts.get(key) for key in ("hidden_size", "layers", "vocab_size")):
            return None
        hidden, heads = int(facts["hidden_size"]), int(facts.get("heads") or 1)
        return cls(
            hidden_size=hidden, layers=int(facts["layers"]), heads=heads,
            kv_heads=int(facts.get("kv_heads") or heads),
            head_dim=int(facts.get("head_dim") or hidden // heads),
            intermediate_size=int(facts.get("intermediate_size") or 4 * hidden),
            vocab_size=int(facts["vocab_size"]), tied=bool(facts.get("tied", True)),
            gated=bool(facts.get("gated", True)),
            attention_bias=bool(facts.get("attention_bias", False)),
            qk_norm=bool(facts.get("qk_norm", False)),
        )  # fmt: skip

    @property
    def attention_width(self) -> int:
        """Numbers of a token's queries, all heads."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Numbers of a token's keys, all heads; of its values likewise."""
        return self.kv_heads * self.head_dim

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """``(inputs, outputs)`` of a block's linear layers, by their names in a LLaMA."""
        hidden, inner = self.hidden_size, self.intermediate_size
        found = {
            "q_proj": (hidden, self.attention_width), "k_proj": (hidden, self.kv_width),
            "v_proj": (hidden, self.kv_width), "o_proj": (self.attention_width, hidden),
            "gate_proj": (hidden, inner), "up_proj": (hidden, inner), "down_proj": (inner, hidden),
        }  # fmt: skip
        return found if self.gated else {n: s for n, s in found.items() if n != "gate_proj"}

    @property
    def block_matrices(self) -> int:
        """Numbers of the matrices of a block."""
        return sum(inputs * outputs for inputs, outputs in self.linears.values())

    @property
    def block_parameters(self) -> int:
        """Parameters of a block: matrices, norms and biases."""
        bias = self.attention_width + 2 * self.kv_width if self.attention_bias else 0
        return self.block_matrices + 2 * self.hidden_size + bias + 2 * self.head_dim * self.qk_norm

    @property
    def head_parameters(self) -> int:
        """Numbers of the head's matrix."""
        return self.vocab_size * self.hidden_size

    @property
    def end_parameters(self) -> int:
        """Parameters of embedding and head; one matrix where they are tied."""
        return self.head_parameters * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.layers * self.block_parameters + self.hidden_size + self.end_parameters

    def with_rows(self, rows: int) -> Shapes:
        """The same model with another vocabulary."""
        return replace(self, vocab_size=rows)
