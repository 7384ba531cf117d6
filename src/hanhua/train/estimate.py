"""What training will cost, told from a few numbers and without loading a weight."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

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
        flops = tokens * flops_per_token(facts)
        found["flops"] = flops
        precision = choose_precision(config.precision, "cpu")
        rate = facts.get("flops_per_s") or FLOPS_PER_S[precision] * (facts.get("cores") or 1)
        found["seconds"] = flops / rate
        found["bytes"] = SAVE_FACTOR * int(facts["n_params"])
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
    """Peak memory of training without activations: weights, masters, gradients, Adam's averages."""
    working = 2 if choose_precision(config.precision, "cpu") == "bf16" else 0
    return int(facts["n_params"]) * (working + 4 + 4 + 8)
