"""The experts of a mixture, told from config.json: how many, how wide, how many a token meets.

Each family names and sizes them in a way of its own, so only those are known that are listed here;
of others a plan says that it can't count them. Never imports torch, as a plan doesn't.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WIDE_QK_NORM = frozenset({"olmoe"})
"""Model types that normalise queries, and keys, of all heads at once."""

RANK_STEP = 8
"""Ranks of experts' adapters are multiples of this where they can be: grouped products want rows
of 16 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """The experts of a block, in place of its MLP; all blocks are alike.

    Args:
        count: E, those that the router chooses from.
        per_token: k, those that a token goes to.
        size: width of one.
        shared_size: width of the one that every token goes to besides; 0: there is none.
        shared_gate: whether a gate weighs the shared one.
        biased: whether experts and router have biases.
    """

    count: int
    per_token: int
    size: int
    shared_size: int = 0
    shared_gate: bool = False
    biased: bool = False

    def linears(self, hidden: int) -> dict[str, tuple[int, int]]:
        """``(inputs, outputs)`` of one expert's layers, by their names in transformers."""
        return {"gate_up_proj": (hidden, 2 * self.size), "down_proj": (self.size, hidden)}

    def parameters(self, hidden: int, *, of: int | None = None) -> int:
        """Parameters of router, so many experts (None: all), the shared one's gate; not itself."""
        linears = self.linears(hidden).values()
        one = sum(a * b + b * self.biased for a, b in linears)
        router = self.count * (hidden + self.biased)
        return (self.count if of is None else of) * one + router + hidden * self.shared_gate


def expert_rank(rank: int, top_k: int) -> int:
    """The rank of one expert's adapter: the section's, spread over those that a token meets."""
    return min(rank, -(-rank // (top_k * RANK_STEP)) * RANK_STEP)


def experts_of(data: Mapping[str, Any]) -> Experts | None:
    """The experts that a config.json has; None for a dense model.

    Raises:
        KeyError: for a mixture of a kind that is not known here, or with blocks that differ.
    """
    if not has_experts(data):
        return None
    kind = str(data.get("model_type"))
    if kind not in _READERS:
        raise KeyError(kind)
    if data.get("mlp_only_layers") or data.get("decoder_sparse_step", 1) != 1:
        raise KeyError("mlp_only_layers")
    found: Experts = _READERS[kind](data)
    return found


def has_experts(data: Mapping[str, Any]) -> bool:
    """Whether blocks have several MLPs.

    Some families say how many for each block (Hunyuan), some in a part of the config (DBRX).
    """
    for key, value in data.items():
        if isinstance(value, dict) and has_experts(value):
            return True
        counts = value if isinstance(value, list) else [value]
        if "experts" in str(key) and any(isinstance(n, int) and n > 1 for n in counts):
            return True
    return False


def _count(data: Mapping[str, Any]) -> int:
    """Published files and those that transformers writes spell it in two ways."""
    return int(data["num_experts"] if "num_experts" in data else data["num_local_experts"])


def _mixtral(data: Mapping[str, Any]) -> Experts:
    return Experts(
        count=_count(data), per_token=data["num_experts_per_tok"],
        size=data["intermediate_size"], biased=data["model_type"] == "gpt_oss",
    )  # fmt: skip


def _qwen(data: Mapping[str, Any]) -> Experts:
    shared = data["model_type"] == "qwen2_moe"
    return Experts(
        count=_count(data), per_token=data["num_experts_per_tok"],
        size=data["moe_intermediate_size"],
        shared_size=data["shared_expert_intermediate_size"] if shared else 0, shared_gate=shared,
    )  # fmt: skip


_READERS = {
    "mixtral": _mixtral, "granitemoe": _mixtral, "gpt_oss": _mixtral, "olmoe": _mixtral,
    "qwen2_moe": _qwen, "qwen3_moe": _qwen,
}  # fmt: skip
