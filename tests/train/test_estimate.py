"""What a plan is told before anything runs."""

from __future__ import annotations

import pytest
from tiny_models import make_llama

from hanhua.tokens.config import TokensConfig
from hanhua.tokens.estimate import estimate as estimate_tokens
from hanhua.train.config import TrainConfig
from hanhua.train.estimate import estimate, flops_per_token

FACTS = {
    "n_params": 15_191_712, "vocab_size": 32_000, "hidden_size": 288, "layers": 6, "tied": True,
    "seq_len_tokens": 512, "tokens": 20_000_000,
}  # fmt: skip


def test_flops_of_the_measured_shape():
    # 36 MFLOP for the body, 55 for the head, some for attention (facts of 2026-11)
    assert flops_per_token(FACTS) == pytest.approx(96e6, rel=0.02)


def test_an_untied_input_embedding_only_looks_up():
    untied = {**FACTS, "n_params": FACTS["n_params"] + 32_000 * 288, "tied": False}
    assert flops_per_token(untied) == flops_per_token(FACTS)


def test_parameters_agree_with_a_real_model():
    model = make_llama()
    n = sum(p.numel() for p in model.parameters())
    for precision, a_parameter in (("bf16", 18), ("fp32", 16)):
        found = estimate(TrainConfig(precision=precision), {"n_params": n, "tokens": 1000})
        assert found["memory_bytes"] == n * a_parameter
    assert found["steps"] == 1


def test_unknown_facts_leave_out_what_depends_on_them():
    assert estimate(TrainConfig(), {}) == {}
    assert estimate(TrainConfig(steps=10), {}) == {"tokens": 81_920, "steps": 10}
    assert set(estimate(TrainConfig(), FACTS)) > {"flops", "seconds", "bytes"}
    assert estimate_tokens(TokensConfig(), {})["tokens"] == 8_000_000
