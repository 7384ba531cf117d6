"""Routers' choices: written down, and taken again where rounding would choose otherwise."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from hanhua.model.routing import routers, taken_again, written_down
from hanhua.train.packed import enable

SIZES = {
    "vocab_size": 96, "hidden_size": 96, "intermediate_size": 48, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 4, "num_experts_per_tok": 2,
    "max_position_embeddings": 128, "initializer_range": 0.2,
}  # fmt: skip
KINDS = {
    "mixtral": {"num_local_experts": 8}, "phimoe": {"num_local_experts": 8},
    "qwen3_moe": {"num_experts": 8, "moe_intermediate_size": 24},
    "gpt_oss": {"num_local_experts": 8, "head_dim": 16},
}  # fmt: skip


def make(kind, dtype=torch.float32):
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **SIZES, **KINDS[kind])
    model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_choices_of_two_passes_are_taken_again_in_one(kind):
    model, other = make(kind), make(kind)
    for parameter in other.parameters():  # as another way to compute would
        parameter.mul_(1 + 0.02 * torch.randn_like(parameter))
    a, b = torch.arange(20)[None], torch.arange(20, 50)[None]
    with written_down(model) as routes:
        model(a)
        model(b)
    assert len(routes) == len(list(routers(model))) == 4

    def choices():
        with written_down(other) as found:
            other(torch.cat([a, b], 1))
        return [calls[0][-1] for calls in found.values()]

    noted = [torch.cat([call[-1] for call in calls]) for calls in routes.values()]
    own = choices()
    assert any(not torch.equal(x, y) for x, y in zip(noted, own, strict=True))
    with taken_again(other, routes):
        again = choices()
    assert all(torch.equal(x, y) for x, y in zip(noted, again, strict=True))
    assert all(torch.equal(x, y) for x, y in zip(choices(), own, strict=True))  # hooks are gone


def test_a_mixture_in_bf16_is_not_refused_for_experts_that_change_places():
    enable(make("mixtral", torch.bfloat16))


def test_a_dense_model_has_none():
    dense = {key: value for key, value in SIZES.items() if key != "num_experts_per_tok"}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **dense))
    assert not list(routers(model))
    with written_down(model) as routes, taken_again(model, {}):
        model(torch.arange(4)[None])
    assert routes == {}
