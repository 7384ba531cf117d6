"""LoRA on experts: what learns, what is computed, what is merged, what is refused."""

from __future__ import annotations

import json

import pytest
import torch
from lora_models import run, stir
from tiny_models import EXPERTS, make_experts, make_llama
from torch import nn

from hanhua.core.errors import TrainingError
from hanhua.model.checkpoint import probe_logits
from hanhua.model.config import LoraConfig
from hanhua.model.experts import expert_rank
from hanhua.model.lora import adapters, add_adapters, merge_adapters
from hanhua.model.lora_experts import ExpertAdapter, expert_modules, grouped
from hanhua.model.lora_files import save_adapter
from hanhua.train.save import relative_difference

FP32 = torch.float32


def of_experts(model):
    return [name for name, _, adapter in adapters(model) if isinstance(adapter, ExpertAdapter)]


@pytest.mark.parametrize("kind", EXPERTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_adapters_start_as_the_base_and_merge_into_what_they_computed(kind, dtype):
    plain, model = make_experts(kind), make_experts(kind)
    for parameter in plain.parameters():
        parameter.data = parameter.data.to(dtype)
    classes = [type(module) for _, module in expert_modules(model)]
    add_adapters(model, LoraConfig(rank=8), 0, dtype)
    for _, _, adapter in adapters(model):
        adapter.to(dtype)
    assert len(of_experts(model)) == 2 * len(classes) > 0
    ids = torch.arange(40)[None] % 96
    with torch.no_grad():
        assert torch.equal(plain(ids).logits, model(ids).logits)
        model.float()
        start = probe_logits(model)
        stir(model)
        stirred = probe_logits(model)
        assert relative_difference(stirred, start) > 0.01
        merge_adapters(model)
    assert [type(module) for _, module in expert_modules(model)] == classes
    assert not list(adapters(model))
    assert not any(".lora" in name for name in model.state_dict())
    assert relative_difference(probe_logits(model), stirred) < 1e-5
    model.set_experts_implementation("eager")  # transformers' own loop, expert by expert
    assert relative_difference(probe_logits(model), stirred) < 1e-5


def test_they_learn_what_the_sum_of_weights_would(rows):
    """Gradients of A and B are those of W + scale B A."""
    model, summed = make_experts("gpt_oss"), make_experts("gpt_oss")
    add_adapters(model, LoraConfig(rank=8, targets=["down_proj"]), 0, FP32)
    stir(model)
    ids = torch.from_numpy(rows.row(0).tokens.astype("int64"))[None]
    model(ids, labels=ids).loss.backward()
    module = summed.model.layers[1].mlp.experts
    adapter = model.model.layers[1].mlp.experts.lora["down_proj"]
    a, b = (x.detach().clone().requires_grad_() for x in (adapter.A, adapter.B))
    weight = module.down_proj.detach() + adapter.scale * (b @ a).transpose(1, 2)
    del module.down_proj
    module.down_proj = weight
    other = model.model.layers[0].mlp.experts.lora["down_proj"]
    with torch.no_grad():
        summed.model.layers[0].mlp.experts.down_proj.add_(
            other.scale * (other.B @ other.A).transpose(1, 2)
        )
    summed(ids, labels=ids).loss.backward()
    for ours, theirs in ((adapter.A, a), (adapter.B, b)):
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)
        assert ours.grad.abs().max() > 1e-4


@pytest.mark.parametrize("kind", ["mixtral", "deepseek_v3"])
def test_a_run_trains_adapters_alone(tmp_path, rows, kind):
    model = make_experts(kind)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    result = run(model, rows, tmp_path / "w", lora=LoraConfig(rank=8), steps=8)
    assert set(result.weights) == {n for n, _ in model.named_parameters() if ".lora." in n}
    assert any("experts.lora.gate_up_proj.B" in name for name in result.weights)
    assert all(w.abs().sum() > 0 for w in result.weights.values())
    assert all(torch.equal(before[n], p) for n, p in model.named_parameters() if n in before)
    losses = [json.loads(line)["loss"] for line in result.log.read_text().splitlines()]
    assert losses[-1] < losses[0]


def test_the_rank_is_spread_over_the_experts_that_a_token_meets():
    assert expert_rank(64, 2) == 32  # Mixtral
    assert expert_rank(64, 8) == 8  # Qwen3-MoE, OLMoE
    assert expert_rank(16, 8) == 8
    assert expert_rank(4, 2) == 4
    model = make_experts()
    add_adapters(model, LoraConfig(rank=32), 0, FP32)
    shapes = {n.rsplit(".", 1)[-1]: a.A.shape for n, _, a in adapters(model) if "experts" in n}
    assert shapes == {"gate_up_proj": (4, 16, 32), "down_proj": (4, 16, 48)}
    scales = {adapter.scale for _, _, adapter in adapters(model)}
    assert scales == {2.0}


def test_targets_choose_experts_and_what_is_not_them():
    model = make_experts("qwen2_moe")
    add_adapters(model, LoraConfig(rank=4, targets=["q_proj", "v_proj"]), 0, FP32)
    assert not of_experts(model)
    model = make_experts("qwen2_moe")
    add_adapters(model, LoraConfig(rank=4, targets=["experts.down_proj"]), 0, FP32)
    assert [name for name, _, _ in adapters(model)] == ["model.layers.1.mlp.experts.down_proj"]
    model = make_experts("qwen3_moe")
    with pytest.raises(TrainingError, match=r"there are down_proj, gate_up_proj, k_proj"):
        add_adapters(model, LoraConfig(targets=["gate_proj"]), 0, FP32)


@pytest.mark.parametrize(
    ("lora", "said"),
    [({"dora": True}, "DoRA is for linear layers"), ({"base_bits": 4}, "can't be held in 4 bits")],
)
def test_what_experts_can_not_have_is_refused_before_anything_changes(lora, said):
    model = make_experts()
    with pytest.raises(TrainingError, match=said):
        add_adapters(model, LoraConfig(**lora), 0, torch.bfloat16)
    assert all(p.dtype == FP32 and p.requires_grad for p in model.parameters())
    only_attention = LoraConfig(dora=True, targets=["q_proj"])
    add_adapters(model, only_attention, 0, FP32)
    add_adapters(make_llama(), LoraConfig(dora=True), 0, FP32)


def test_a_router_that_is_a_linear_layer_has_no_adapter():
    from transformers import PhimoeConfig, PhimoeForCausalLM

    sizes = make_experts().config
    model = PhimoeForCausalLM(PhimoeConfig(
        vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2, num_local_experts=4,
        max_position_embeddings=sizes.max_position_embeddings,
    ))  # fmt: skip
    routers = [m for m in model.modules() if "Router" in type(m).__name__]
    assert routers
    assert all(isinstance(router, nn.Linear) for router in routers)
    add_adapters(model, LoraConfig(rank=4), 0, FP32)
    assert not any("router" in name or "gate." in name for name, _, _ in adapters(model))
    assert probe_logits(model).isfinite().all()


def test_products_of_groups_whatever_the_sizes():
    """Sizes that the library's product takes, and others; groups without rows."""
    ends = torch.tensor([2, 2, 7], dtype=torch.int32)
    for inner, outer in ((8, 12), (5, 3)):
        x = torch.randn(7, inner, requires_grad=True)
        weight = torch.randn(3, inner, outer, requires_grad=True)
        found = grouped(x, weight, ends)
        expected = torch.cat([x[:2] @ weight[0], x[2:] @ weight[2]])
        assert torch.allclose(found, expected, atol=1e-6)
        ours = torch.autograd.grad(found.square().sum(), (x, weight), retain_graph=True)
        theirs = torch.autograd.grad(expected.square().sum(), (x, weight))
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(ours, theirs, strict=True))


# peft takes the ranks of experts' weights, but looks for modules of their names
@pytest.mark.filterwarnings("ignore:The following (rank|alpha)_pattern keys:RuntimeWarning")
@pytest.mark.parametrize("kind", ["mixtral", "qwen2_moe", "gpt_oss", "granitemoe"])
@pytest.mark.parametrize("lora", [{}, {"rslora": True}, {"targets": ["q_proj", "down_proj"]}])
def test_peft_reads_the_adapter_of_experts_and_computes_the_same(tmp_path, kind, lora):
    peft = pytest.importorskip("peft", minversion="0.21")
    config = LoraConfig(rank=32, alpha=6.0, dropout=0.1, **lora)
    model = make_experts(kind).eval()
    add_adapters(model, config, 0, FP32)
    stir(model)
    save_adapter(model, config, tmp_path)
    theirs = peft.PeftModel.from_pretrained(make_experts(kind), tmp_path).eval()
    found, ours = probe_logits(theirs.base_model.model), probe_logits(model)
    assert relative_difference(found, ours) < 1e-5
    assert relative_difference(probe_logits(make_experts(kind)), ours) > 0.01
