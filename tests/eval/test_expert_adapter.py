"""Adapters of experts are read from their files as they were trained."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from hanhua.core.errors import ModelError
from hanhua.eval.adapter import load_adapted
from hanhua.model.config import LoraConfig
from hanhua.model.load import load_model
from hanhua.model.lora import adapters, add_adapters
from hanhua.model.lora_files import save_adapter

SIZES = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "num_local_experts": 4,
    "num_experts_per_tok": 2, "initializer_range": 0.2,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["mixtral", "gpt_oss"])
@pytest.mark.parametrize("lora", [{}, {"rslora": True}, {"targets": ["v_proj", "gate_up_proj"]}])
def test_an_adapter_of_experts_is_read_as_it_was_trained(tmp_path, tiny_llama, kind, lora):
    torch.manual_seed(0)
    rows = json.loads((tiny_llama / "config.json").read_text())["vocab_size"]
    config = AutoConfig.for_model(kind, vocab_size=rows, **SIZES)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "base")
    shutil.copy(tiny_llama / "tokenizer.model", tmp_path / "base")
    model, section = load_model(tmp_path / "base"), LoraConfig(rank=16, alpha=6.0, **lora)
    ids = torch.arange(20)[None]
    with torch.no_grad():
        before = model(ids).logits
        add_adapters(model, section, 0, torch.float32)
        for _, _, adapter in adapters(model):
            adapter.B.normal_(0, 0.05)
        expected = model(ids).logits
        save_adapter(model, section, tmp_path / "adapter")
        found = load_adapted(tmp_path / "adapter", tmp_path / "base").model(ids).logits
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(before, expected, atol=1e-2)
    path = tmp_path / "adapter" / "adapter_config.json"
    other = json.loads(path.read_text()) | {"rank_pattern": {"q_proj": 4}}
    path.write_text(json.dumps(other))
    with pytest.raises(ModelError, match="kind of adapter is not read"):
        load_adapted(tmp_path / "adapter", tmp_path / "base")
