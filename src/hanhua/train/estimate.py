"""What training will cost, told from a few numbers and without loading a weight."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from hanhua.model.config import LoraConfig
from hanhua.train.config import OptimConfig
from hanhua.train.precision import choose_precision

FLOPS_PER_S = {"bf16": 1.3e11, "fp32": 4e10}
"""Useful FLOP/s of one core end to end, measured with a 15M-parameter LLaMA: bf16 on Zen 4, fp32
on Zen 3 (benchmarks/training.py); ``facts["flops_per_s"]`` overrides it."""
SAVE_FACTOR = 14
"""A checkpoint's bytes a parameter: fp32 master and two averages, and the saved model."""


def estimate(config: OptimConfig, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Tokens, steps, FLOPs, memory, disk and time.

    Args:
        config: the ``pretrain`` or ``finetune`` section.
        facts: ``tokens`` (of one pass over the rows), ``n_params``, ``vocab_size``,
            ``hidden_size``, ``layers``, ``seq_len_tokens``, ``cores``; what is missing counts as
            unknown and leaves out what depends on it.
    """
    tokens = config.steps * config.batch_tokens if config.steps else None
    if tokens is None and facts.get("tokens"):
        tokens = int(facts["tokens"] * config.epochs)
    if not tokens:
        return {}
    found: dict[str, Any] = {"tokens": tokens, "steps": ceil(tokens / config.batch_tokens)}
    if facts.get("n_params"):
        flops = tokens * (flops_per_token(facts) - saved_flops_per_token(config, facts))
        found["flops"] = flops
        precision = choose_precision(config.precision, "cpu")
        rate = facts.get("flops_per_s") or FLOPS_PER_S[precision] * (facts.get("cores") or 1)
        found["seconds"] = flops / rate
        trained = trained_parameters(config, facts)
        found["trained_parameters"] = trained
        # a model is saved in 2 bytes a parameter; the rest of the factor is the checkpoint's
        found["bytes"] = (SAVE_FACTOR - 2) * trained + 2 * int(facts["n_params"])
        found["memory_bytes"] = memory_bytes(config, facts)
    return found


def flops_per_token(facts: Mapping[str, Any]) -> float:
    """FLOPs of a token, forward and backward: 6 a weight that multiplies, and attention.

    The input embedding only looks up, so an untied model's is not counted; a tied one multiplies
    as the head.
    """
    n, hidden = facts["n_params"], facts.get("hidden_size") or 0
    vocab, layers = facts.get("vocab_size") or 0, facts.get("layers") or 0
    matrices = n - (0 if facts.get("tied", True) else vocab * hidden)
    attention = 6 * layers * hidden * facts.get("seq_len_tokens", 512)
    return float(6 * matrices + attention)


def memory_bytes(config: OptimConfig, facts: Mapping[str, Any]) -> int:
    """Peak memory of training without activations: weights, masters, gradients, Adam's averages.

    What LoRA freezes has weights only, in the arithmetic's precision.
    """
    bf16 = choose_precision(config.precision, "cpu") == "bf16"
    trained = trained_parameters(config, facts)
    total = trained * ((2 if bf16 else 0) + 4 + 4 + 8)
    if config.lora is not None:
        total += (int(facts["n_params"]) - _ends(config.lora, facts)) * (2 if bf16 else 4)
    return total


def trained_parameters(config: OptimConfig, facts: Mapping[str, Any]) -> int:
    """Parameters that have a master and an optimiser state: all, or LoRA's and what it adds.

    Adapters are counted for a LLaMA's seven layers (others come close), as far as ``facts`` knows
    their shapes: ``hidden_size``, ``intermediate_size``, ``heads``, ``kv_heads``, ``layers``.
    """
    if config.lora is None:
        return int(facts["n_params"])
    return _adapters(config.lora, facts) + _ends(config.lora, facts)


def saved_flops_per_token(config: OptimConfig, facts: Mapping[str, Any]) -> float:
    """FLOPs that LoRA spares: a frozen weight needs no gradient of its own, 2 of the 6."""
    if config.lora is None:
        return 0.0
    ends = (facts.get("vocab_size") or 0) * (facts.get("hidden_size") or 0)
    body = facts["n_params"] - ends * (1 if facts.get("tied", True) else 2)
    frozen = body + (0 if config.lora.embeddings else ends)
    return float(2 * frozen - 6 * _adapters(config.lora, facts))


def _ends(lora: LoraConfig, facts: Mapping[str, Any]) -> int:
    """Parameters of embeddings and head, where they are trained in full."""
    rows = (facts.get("vocab_size") or 0) * (facts.get("hidden_size") or 0)
    return rows * (1 if facts.get("tied", True) else 2) if lora.embeddings else 0


def _adapters(lora: LoraConfig, facts: Mapping[str, Any]) -> int:
    """Parameters of the adapters of a LLaMA of these shapes."""
    hidden = facts.get("hidden_size") or 0
    heads = facts.get("heads") or 1
    inner = facts.get("intermediate_size") or 4 * hidden
    kv = hidden * (facts.get("kv_heads") or heads) // heads
    shapes = {
        "q_proj": (hidden, hidden), "k_proj": (hidden, kv), "v_proj": (hidden, kv),
        "o_proj": (hidden, hidden), "gate_proj": (hidden, inner), "up_proj": (hidden, inner),
        "down_proj": (inner, hidden),
    }  # fmt: skip
    names = shapes if lora.targets == "auto" else {t.rsplit(".", 1)[-1] for t in lora.targets}
    chosen = [shape for name, shape in shapes.items() if name in names]
    layer = sum(lora.rank * (i + o) + (o if lora.dora else 0) for i, o in chosen)
    return int(layer * (facts.get("layers") or 0))
