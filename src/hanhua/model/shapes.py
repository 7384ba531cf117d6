"""The shapes of a decoder, from config.json alone, and how many numbers its weights are.

Of a mixture of experts all weights are held, but a token meets some of them: what memory needs is
counted by all, what is computed by those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hanhua.model.experts import Experts

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
BIASED = frozenset({"qwen2", "qwen2_moe", "gpt_oss"})
"""Model types with a bias at query, key and value that their config.json doesn't mention."""
QK_NORM = frozenset({"qwen3", "qwen3_moe"})
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
        qk_norm: whether queries and keys are normalised, head by head.
        wide_qk_norm: whether they are normalised over all heads at once.
        sinks: whether each head has a sink, and the attention's output a bias (GPT-OSS).
        experts: in place of the MLP; None: of a dense model.
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
    wide_qk_norm: bool = False
    sinks: bool = False
    experts: Experts | None = None

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
            wide_qk_norm=bool(facts.get("wide_qk_norm", False)),
            sinks=bool(facts.get("sinks", False)),
            experts=Experts(**facts["experts"]) if facts.get("experts") else None,
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
    def inner_size(self) -> int:
        """Width of the MLP that every token meets: a mixture's shared expert, which may be 0."""
        return self.intermediate_size if self.experts is None else self.experts.shared_size

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """``(inputs, outputs)`` of a block's linear layers, by their names in a LLaMA.

        A mixture's experts are no linear layers, see ``expert_linears``.
        """
        hidden, inner = self.hidden_size, self.inner_size
        found = {
            "q_proj": (hidden, self.attention_width), "k_proj": (hidden, self.kv_width),
            "v_proj": (hidden, self.kv_width), "o_proj": (self.attention_width, hidden),
        }  # fmt: skip
        if inner and self.gated:
            found["gate_proj"] = (hidden, inner)
        return found | ({"up_proj": (hidden, inner), "down_proj": (inner, hidden)} if inner else {})

    @property
    def expert_linears(self) -> dict[str, tuple[int, int]]:
        """``(inputs, outputs)`` of one expert's layers; empty of a dense model."""
        return {} if self.experts is None else self.experts.linears(self.hidden_size)

    @property
    def block_matrices(self) -> int:
        """Numbers of the matrices of a block, all experts and the router among them."""
        return self._matrices(None)

    @property
    def active_matrices(self) -> int:
        """Numbers of the matrices of a block that a token meets."""
        return self._matrices(0 if self.experts is None else self.experts.per_token)

    def _matrices(self, n_experts: int | None) -> int:
        """With so many experts; None: all."""
        found = sum(inputs * outputs for inputs, outputs in self.linears.values())
        if self.experts is None:
            return found
        bare = replace(self.experts, biased=False)
        return found + bare.parameters(self.hidden_size, of=n_experts)

    @property
    def block_parameters(self) -> int:
        """Parameters of a block: matrices, norms and biases."""
        found = self.block_matrices + 2 * self.hidden_size + 2 * self.head_dim * self.qk_norm
        wide = self.attention_width + self.kv_width
        found += wide * self.wide_qk_norm + (wide + self.kv_width) * self.attention_bias
        found += (self.hidden_size + self.heads) * self.sinks
        if self.experts is not None and self.experts.biased:
            outputs = sum(outputs for _, outputs in self.expert_linears.values())
            found += self.experts.count * (outputs + 1)
        return found

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

    @property
    def active_parameters(self) -> int:
        """Those that a token meets: all but the experts that it doesn't go to."""
        if self.experts is None:
            return self.parameters
        each = self.experts.parameters
        idle = each(self.hidden_size) - each(self.hidden_size, of=self.experts.per_token)
        return self.parameters - self.layers * idle

    def with_rows(self, rows: int) -> Shapes:
        """The same model with another vocabulary."""
        return replace(self, vocab_size=rows)
