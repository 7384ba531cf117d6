"""A model whose parts are fused computes what it did before, and nothing else is fused."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from hanhua.model.fuse import fuse
from hanhua.model.native import NATIVE

pytestmark = pytest.mark.skipif(NATIVE is None, reason="the compiled part was not built")

FAMILIES = {"llama": 7, "mistral": 7, "qwen2": 7, "qwen3": 11, "phi3": 5, "gemma2": 0}
"""How many norms and gates of two layers are fused; Gemma's norm counts its weight from 1."""


def make_model(family, dtype=torch.float32):
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family, vocab_size=100, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, pad_token_id=0, bos_token_id=1,
        eos_token_id=2,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).to(dtype)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.5, 1.5)
    return model


def learnt(model, ids):
    model.zero_grad()
    out = model(ids, labels=ids)
    out.loss.backward()
    return out.logits.detach(), [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_gradients_stay(family, dtype):
    model = make_model(family, dtype)
    ids = torch.arange(34).view(2, 17) * 7 % 100
    logits, grads = learnt(model, ids)
    names = list(model.state_dict())
    assert fuse(model) == FAMILIES[family]
    assert fuse(model) == FAMILIES[family]  # a second time changes nothing
    assert list(model.state_dict()) == names
    off = {torch.float32: 1e-5, torch.bfloat16: 0.1, torch.float64: 1e-12}[dtype]
    found, found_grads = learnt(model, ids)
    assert torch.allclose(found, logits, rtol=off, atol=off)
    whole, found_whole = (torch.cat([g.flatten() for g in x]) for x in (grads, found_grads))
    assert float((found_whole - whole).norm()) <= off * float(whole.norm())


def test_a_copy_has_weights_of_its_own():
    model = make_model("llama")
    fuse(model)
    ids = torch.arange(9)[None]
    before = model(ids).logits.detach()
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(other(ids).logits, before)
    assert not torch.equal(model(ids).logits, before)


class CentredNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.variance_epsilon = nn.Parameter(torch.ones(8)), 1e-6

    def forward(self, x):
        return nn.functional.layer_norm(x, (8,), self.weight, eps=self.variance_epsilon)


class Gate(nn.Module):
    def __init__(self, act, turned):
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(8, 6), nn.Linear(8, 6)
        self.down_proj, self.act_fn, self.turned = nn.Linear(6, 8), act, turned

    def forward(self, x):
        gate, up = self.gate_proj(x), self.up_proj(x)
        if self.turned:
            gate, up = up, gate
        return self.down_proj(self.act_fn(gate) * up)


@pytest.mark.parametrize("module", [
    CentredNorm(), Gate(nn.GELU(), turned=False), Gate(nn.SiLU(), turned=True),
])  # fmt: skip
def test_what_only_looks_alike_is_left_alone(module):
    kind, x = type(module), torch.randn(3, 8)
    before = module(x)
    assert fuse(module) == 0
    assert type(module) is kind
    assert torch.equal(module(x), before)


def test_a_gate_of_that_kind_is_found_whatever_its_name():
    module, x = Gate(nn.SiLU(), turned=False), torch.randn(3, 8)
    before = module(x)
    assert fuse(module) == 1
    assert torch.allclose(module(x), before, atol=1e-6)


def test_random_numbers_stay_where_they_were():
    torch.manual_seed(3)
    wanted = torch.rand(3)
    torch.manual_seed(3)
    fuse(make_model_quietly())
    assert torch.equal(torch.rand(3), wanted)


def make_model_quietly():
    state = torch.get_rng_state()
    model = make_model("llama")
    torch.set_rng_state(state)
    return model
