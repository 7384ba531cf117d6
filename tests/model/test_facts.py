"""Shapes before anything is loaded: of known bases, of config files, of models that are built."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from hanhua.core.config import AcceleratorName
from hanhua.model.config import BaseConfig
from hanhua.model.facts import base_facts, why_unknown
from hanhua.model.known import KNOWN, known_facts
from hanhua.model.shapes import Shapes
from hanhua.train.cost.accelerators import TABLE, accelerator, this_gpu


@pytest.mark.parametrize("name", KNOWN)
def test_known_shapes_give_the_published_number_of_parameters(name):
    facts = base_facts(BaseConfig(model=f"some-mirror/{name}"))
    assert facts["n_params"] == KNOWN[name].parameters
    assert Shapes.of(facts).parameters == KNOWN[name].parameters


def test_names_are_found_as_they_are_written():
    found = known_facts("meta-llama/Llama-2-7b-hf")
    assert found["vocab_size"] == 32_000
    for reference in ("hf:meta-llama/Llama-2-7b-hf@main", "modelscope:x/llama-2-7B-hf"):
        assert known_facts(reference) == found
    assert known_facts("meta-llama/Llama-2-7b") == {}
    assert base_facts(BaseConfig(model="nobody/knows-this")) == {}


SMALL = {"vocab_size": 128, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
         "num_attention_heads": 4, "num_key_value_heads": 2}  # fmt: skip
CONFIGS = [
    LlamaConfig(**SMALL, tie_word_embeddings=False), LlamaConfig(**SMALL, tie_word_embeddings=True),
    LlamaConfig(**SMALL, head_dim=32), MistralConfig(**SMALL), Qwen2Config(**SMALL),
    Qwen3Config(**SMALL, head_dim=24),
]  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_parameters_are_those_of_the_model(tmp_path, config):
    config.save_pretrained(tmp_path)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    facts = base_facts(BaseConfig(model=str(tmp_path)))
    assert facts["n_params"] == sum(p.numel() for p in model.parameters())


def test_other_families_come_close(tmp_path):
    config = GPT2Config(vocab_size=5000, n_embd=128, n_layer=4, n_head=4)
    config.save_pretrained(tmp_path)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    found = base_facts(BaseConfig(model=str(tmp_path)))["n_params"]
    assert found == pytest.approx(sum(p.numel() for p in model.parameters()), rel=0.12)


@pytest.mark.parametrize("kind", ["gemma2", "cohere", "starcoder2"])
def test_one_matrix_for_both_ends_goes_without_saying_in_some_families(tmp_path, kind):
    config = AutoConfig.for_model(kind, **{**SMALL, "vocab_size": 5000})
    raw = {k: v for k, v in config.to_dict().items() if k != "tie_word_embeddings"}
    (tmp_path / "config.json").write_text(json.dumps(raw))  # as these are published
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tmp_path))
    found = base_facts(BaseConfig(model=str(tmp_path)))
    assert found["tied"]
    assert found["n_params"] == pytest.approx(sum(p.numel() for p in model.parameters()), rel=0.12)


COUNTED = ["mixtral", "qwen2_moe", "qwen3_moe", "gpt_oss", "olmoe", "granitemoe"]
LARGE = {
    "mixtral-8x7b-v0.1": {"num_local_experts": 8, "num_experts_per_tok": 2},
    "qwen1.5-moe-a2.7b": {
        "num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": 1408,
        "shared_expert_intermediate_size": 5632,
    },
    "qwen3-30b-a3b-base": {
        "num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768, "head_dim": 128,
    },
    "olmoe-1b-7b-0924": {"num_experts": 64, "num_experts_per_tok": 8},
}  # fmt: skip


def idle_parameters(model, config):
    """Of the experts that a token doesn't go to."""
    experts = [m for m in model.modules() if type(m).__name__.endswith("Experts")]
    held = sum(p.numel() for m in experts for p in m.parameters())
    return held - held * config.num_experts_per_tok // experts[0].num_experts


@pytest.mark.parametrize("kind", COUNTED)
def test_of_a_mixture_all_are_counted_and_those_that_a_token_meets(tmp_path, kind):
    shared = {"shared_expert_intermediate_size": 40} if kind == "qwen2_moe" else {}
    config = AutoConfig.for_model(kind, **SMALL, **shared, num_experts_per_tok=2)
    config.save_pretrained(tmp_path)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    facts = base_facts(BaseConfig(model=str(tmp_path)))
    total = sum(p.numel() for p in model.parameters())
    assert facts["n_params"] == total
    assert facts["n_active_params"] == total - idle_parameters(model, config)
    assert facts["n_active_params"] < 0.9 * total


@pytest.mark.parametrize("name", LARGE)
def test_known_mixtures_are_those_that_transformers_builds(tmp_path, name):
    known = KNOWN[name]
    config = AutoConfig.for_model(
        known.kind, hidden_size=known.hidden_size, num_hidden_layers=known.layers,
        num_attention_heads=known.heads, num_key_value_heads=known.kv_heads,
        intermediate_size=known.intermediate_size, vocab_size=known.vocab_size,
        tie_word_embeddings=False, **LARGE[name],
    )  # fmt: skip
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert sum(p.numel() for p in model.parameters()) == known.parameters
    facts = base_facts(BaseConfig(model=f"mirror/{name}"))
    assert facts["n_active_params"] == known.parameters - idle_parameters(model, config)
    config.save_pretrained(tmp_path)
    read = base_facts(BaseConfig(model=str(tmp_path)))
    assert Shapes.of(read) == Shapes.of(facts)


OTHERS = [
    {"model_type": "hunyuan", "num_experts": [1, 8, 8]},
    {"model_type": "dbrx", "ffn_config": {"moe_num_experts": 16}},
    {"model_type": "deepseek_v3", "n_routed_experts": 256},
    {"model_type": "qwen3_moe", "num_experts": 8, "mlp_only_layers": [0]},
]


@pytest.mark.parametrize("config", OTHERS, ids=lambda config: config["model_type"])
def test_a_mixture_of_another_kind_is_not_taken_for_a_dense_model(tmp_path, config):
    known = LlamaConfig(**SMALL).to_dict()
    (tmp_path / "config.json").write_text(json.dumps({**known, **config}))
    base = BaseConfig(model=str(tmp_path))
    assert base_facts(base) == {}
    assert f"a kind that plans don't count ({config['model_type']})" in why_unknown(base)
    (tmp_path / "config.json").write_text(json.dumps(known))
    assert base_facts(base)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"vocab_size": 3}', "nothing"])
def test_a_broken_config_tells_nothing(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    assert base_facts(BaseConfig(model=str(tmp_path))) == {}


def test_a_longer_context_is_told(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LlamaConfig(**SMALL).to_dict()))
    asked = {"tokens": 32_768}
    facts = base_facts(BaseConfig(model=str(tmp_path), context=asked))
    assert facts["context_tokens"] == 32_768


def test_every_accelerator_that_a_recipe_may_name_has_figures():
    names = set(AcceleratorName.__args__)
    assert names == set(TABLE) | {"cpu"}
    for name in names - {"cpu"}:
        found = accelerator(name)
        assert found.name == name
        assert found.source.startswith("https://")
        # no card computes, or holds, outside of this
        assert 5e13 < found.peak_flops < 2e15
        assert 2e10 < found.memory_bytes < 2e11


def test_this_machines_gpu_is_asked_of_the_driver(tmp_path):
    card = tmp_path / "0000:01:00.0"
    card.mkdir()
    for model, name in (
        ("NVIDIA H100 80GB HBM3", "h100-80gb"), ("NVIDIA A100-SXM4-80GB", "a100-80gb"),
        ("NVIDIA A100-SXM4-40GB", "a100-40gb"), ("NVIDIA H200", "h200-141gb"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"), ("NVIDIA GeForce RTX 3090 Ti", None),
        ("NVIDIA H100 PCIe", None), ("NVIDIA T4", None),
    ):  # fmt: skip
        (card / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 42\n")
        assert this_gpu(tmp_path) == name
    assert this_gpu(tmp_path / "none") is None
