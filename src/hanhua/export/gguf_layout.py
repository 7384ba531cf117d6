"""How llama.cpp names a model's parts: weights, sizes and rotary positions, from a config.

Only what it computes exactly as transformers does is laid out; anything else is refused by name,
because a file that loads and answers otherwise is worse than none. Llama's query and key rows are
put in another order: transformers turns the two halves of a head against each other, llama.cpp
turns neighbours.

Names: https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/tensor_mapping.py; order of
rows and factors of Llama 3.1: convert_hf_to_gguf.py there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hanhua.core.errors import ModelError

ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
"""transformers' model_type -> llama.cpp's architecture."""
_TURNED = ("llama",)
"""Architectures whose query and key rows are in another order."""
_WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_BLOCK = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}  # fmt: skip
_NAME = re.compile(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)")
ROPE_FACTORS = "rope_freqs.weight"

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Layout:
    """A model as llama.cpp sees it.

    Args:
        arch: its architecture.
        heads, kv_heads, head_dim: of attention.
        tied: whether the head is the embedding.
        numbers: what is written about it: method of ``gguf.GGUFWriter`` -> value.
        rope: ``rope_parameters`` of the config.
        factors: what each rotary frequency is divided by (Llama 3.1), ``[head_dim / 2]``; or None.
    """

    arch: str
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool
    numbers: Mapping[str, Any]
    rope: Mapping[str, Any] = field(default_factory=dict)
    factors: Matrix | None = None

    def name(self, theirs: str) -> str | None:
        """llama.cpp's name of a weight; None for the head of a tied model.

        Raises:
            ModelError: for a weight that it has no place for.
        """
        if theirs == "lm_head.weight" and self.tied:
            return None
        stem, _, kind = theirs.rpartition(".")
        if stem in _WHOLE and kind in ("weight", "bias"):
            return f"{_WHOLE[stem]}.{kind}"
        match = _NAME.fullmatch(theirs)
        if match and match[2] in _BLOCK:
            return f"blk.{match[1]}.{_BLOCK[match[2]]}.{match[3]}"
        raise ModelError(
            "llama.cpp has no place for one of this model's weights.", where=self.arch,
            found=theirs, fix="serve this model from its Hugging Face folder",
        )  # fmt: skip

    def to_theirs(self, name: str, weight: Matrix) -> Matrix:
        """A weight of transformers, its rows in llama.cpp's order."""
        heads = self._heads(name)
        if not heads:
            return weight
        shape = (heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
        return weight.reshape(shape).swapaxes(1, 2).reshape(weight.shape)

    def to_ours(self, name: str, weight: Matrix) -> Matrix:
        """A weight of llama.cpp, its rows in transformers' order."""
        heads = self._heads(name)
        if not heads:
            return weight
        shape = (heads, weight.shape[0] // heads // 2, 2, *weight.shape[1:])
        return weight.reshape(shape).swapaxes(1, 2).reshape(weight.shape)

    def _heads(self, name: str) -> int:
        """Heads of a weight whose rows change places, by transformers' name; 0: none do."""
        if self.arch not in _TURNED:
            return 0
        if ".self_attn.q_proj." in name:
            return self.heads
        return self.kv_heads if ".self_attn.k_proj." in name else 0


def layout(config: Any, where: Path) -> Layout:
    """The layout of a model by its config.

    Args:
        config: of transformers.
        where: for messages.

    Raises:
        ModelError: when llama.cpp would compute something else.
    """
    arch = ARCHITECTURES.get(config.model_type)
    if arch is None:
        raise _refuse(where, f"model_type {config.model_type!r}; known: {', '.join(ARCHITECTURES)}")
    heads = int(config.num_attention_heads)
    head_dim = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    rope = dict(getattr(config, "rope_parameters", None) or {})
    _check(config, rope, where)
    numbers = {
        "add_context_length": config.max_position_embeddings,
        "add_embedding_length": config.hidden_size,
        "add_feed_forward_length": config.intermediate_size,
        "add_block_count": config.num_hidden_layers,
        "add_head_count": heads,
        "add_head_count_kv": config.num_key_value_heads,
        "add_layer_norm_rms_eps": config.rms_norm_eps,
        "add_rope_freq_base": float(rope.get("rope_theta", 10_000.0)),
        "add_rope_dimension_count": head_dim,
        "add_key_length": head_dim,
        "add_value_length": head_dim,
    }
    factors = _llama3(rope, head_dim) if rope.get("rope_type") == "llama3" else None
    return Layout(
        arch, heads, int(config.num_key_value_heads), head_dim, bool(config.tie_word_embeddings),
        numbers, rope, factors,
    )  # fmt: skip


def _check(config: Any, rope: Mapping[str, Any], where: Path) -> None:
    kind = rope.get("rope_type", "default")
    window = getattr(config, "sliding_window", None)
    looks_back = bool(window) and getattr(config, "use_sliding_window", True)
    faults = {
        f"hidden_act {config.hidden_act}": config.hidden_act != "silu",
        f"rope_type {kind}": kind not in ("default", "linear", "yarn", "llama3"),
        "rotary positions on a part of a head": rope.get("partial_rotary_factor", 1.0) != 1.0,
        "an attention_factor of its own": rope.get("attention_factor") is not None,
        "YaRN with other settings than llama.cpp's": kind == "yarn" and _own_yarn(rope),
        f"a sliding window of {window}": looks_back and window < config.max_position_embeddings,
    }
    if found := [name for name, wrong in faults.items() if wrong]:
        raise _refuse(where, "; ".join(found))


def _own_yarn(rope: Mapping[str, Any]) -> bool:
    """Whether YaRN's numbers besides its factor are others than llama.cpp takes unasked."""
    usual: dict[str, tuple[Any, ...]] = {
        "beta_fast": (None, 32), "beta_slow": (None, 1), "mscale": (None,),
        "mscale_all_dim": (None,), "truncate": (None, True),
    }  # fmt: skip
    return any(rope.get(name) not in values for name, values in usual.items())


def _refuse(where: Path, found: str) -> ModelError:
    return ModelError(
        "This model has no GGUF form that llama.cpp would compute exactly.", where=where,
        found=found, fix="serve it from its Hugging Face folder",
    )  # fmt: skip


def _llama3(rope: Mapping[str, Any], head_dim: int) -> Matrix:
    """What each frequency is divided by: 1 for short waves, the factor for long, between a ramp."""
    theta, factor = float(rope["rope_theta"]), float(rope["factor"])
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    old = float(rope["original_max_position_embeddings"])
    found = []
    for i in range(0, head_dim, 2):
        wave = 2 * math.pi * theta ** (i / head_dim)
        turns = old / wave
        if turns > high:
            found.append(1.0)
        elif turns < low:
            found.append(factor)
        else:
            smooth = (turns - low) / (high - low)
            found.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(found, np.float32)
