"""What can't be taken the whole way is refused with its reason; old names of weights are known."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from init_cases import save_random
from safetensors.torch import load_file, save_file
from transformers import CONFIG_MAPPING, AutoConfig, GPT2Config, GPTNeoXConfig, MixtralConfig

from hanhua.core.errors import ModelError
from hanhua.model.base import make_base
from hanhua.model.config import BaseConfig
from hanhua.model.ends import empty_model, find_ends
from hanhua.model.head import HeadForm, head_form
from hanhua.model.load import check_weights, load_model, read_config
from hanhua.model.supported import check_supported, plain_attention
from hanhua.train.objective import check_head
from hanhua.vocab.tokenizer import read_tokenizer

SMALL = {
    "vocab_size": 320, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip
PARTS = {"text_config": SMALL, "vision_config": {"hidden_size": 24, "num_hidden_layers": 1}}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "bert": (SMALL, "both sides"),
    "stablelm": (SMALL, "can't be replaced"),
    "mamba": ({"vocab_size": 320, "hidden_size": 32, "num_hidden_layers": 1}, "can't be replaced"),
    "lfm2": ({**SMALL, "layer_types": ["conv", "full_attention"]}, "kind conv"),
    "llama4_text": (
        {**SMALL, "intermediate_size_mlp": 48, "num_local_experts": 2}, "kind chunked_attention",
    ),
    "recurrent_gemma": ({**SMALL, "lru_width": 32}, "linear_attention|keeps a state"),
    "gemma3": (PARTS, "several models"),
    "gemma3n_text": (
        {**SMALL, "vocab_size_per_layer_input": 320, "hidden_size_per_layer_input": 8,
         "num_kv_shared_layers": 0, "laurel_rank": 8, "num_hidden_layers": 5},
        "second table of tokens",
    ),
    "dory": ({**SMALL, "head_dim": 8}, "Embedding and DoryLMHead"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_a_kind_that_some_stage_can_t_take_is_refused(kind: str, tmp_path: Path) -> None:
    values, reason = REFUSED[kind]
    if kind not in CONFIG_MAPPING:
        pytest.skip(f"this transformers has no {kind}")
    AutoConfig.for_model(kind, **values).save_pretrained(tmp_path)
    config = read_config(tmp_path)
    with pytest.raises(ModelError) as caught:
        check_supported(empty_model(config), config, tmp_path)
    assert re.search(reason, str(caught.value.found))
    assert caught.value.fix


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    config = AutoConfig.for_model("llama", **SMALL, quantization_config={"quant_method": "gptq"})
    with pytest.raises(ModelError, match="not supported") as caught:
        check_supported(empty_model(config), config, tmp_path)
    assert "quantised" in str(caught.value.found)


def test_a_type_without_a_causal_model_is_refused(tmp_path: Path) -> None:
    AutoConfig.for_model("t5").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="not supported"):
        read_config(tmp_path)
    with pytest.raises(ModelError, match="can't build"):
        find_ends(AutoConfig.for_model("t5"))


def model_folder(config: Any, tiny_llama: Path, folder: Path) -> Path:
    config.vocab_size = read_tokenizer(tiny_llama).backend.get_vocab_size()
    config.bos_token_id, config.eos_token_id = 1, 2
    return save_random(config, tiny_llama, folder)


def test_gpt2_s_first_release_is_understood(tiny_llama: Path, tmp_path: Path) -> None:
    """Its names lack the body's prefix, and its files hold masks."""
    config = GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=64)
    folder = model_folder(config, tiny_llama, tmp_path / "m")
    before = load_model(folder)
    tensors = load_file(folder / "model.safetensors")
    bare = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    bare["h.0.attn.bias"] = torch.ones(1, 1, 64, 64)
    save_file(bare, folder / "model.safetensors", metadata={"format": "pt"})
    assert check_weights(folder, read_config(folder))
    found = make_base(BaseConfig(model=str(folder)), tmp_path / "base", 1)
    after = load_model(tmp_path / "base")
    assert found["params"] == sum(p.numel() for p in after.parameters())
    ids = torch.arange(5, 25)[None]
    assert torch.equal(before(ids).logits, after(ids).logits)
    del bare["h.0.ln_1.weight"]
    save_file(bare, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="A weight is missing") as caught:
        load_model(folder)
    assert "h.0.ln_1.weight" in str(caught.value.where)


TRANSLATED: dict[str, tuple[Any, str]] = {
    "neox": (
        GPTNeoXConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                      intermediate_size=64),
        "gpt_neox.layers.0.input_layernorm.weight",
    ),
    "mixtral": (
        MixtralConfig(**{**SMALL, "num_hidden_layers": 1}, num_local_experts=2),
        "model.layers.0.input_layernorm.weight",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TRANSLATED)
def test_names_that_transformers_translates_are_compared_as_it_loads(
    kind: str, tiny_llama: Path, tmp_path: Path
) -> None:
    config, weight = TRANSLATED[kind]
    folder = model_folder(config, tiny_llama, tmp_path / "m")
    assert not check_weights(folder, read_config(folder))
    load_model(folder)
    tensors = load_file(folder / "model.safetensors")
    kept = tensors.pop(weight)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for load in (load_model, lambda f: make_base(BaseConfig(model=str(f)), tmp_path / "b", 1)):
        with pytest.raises(ModelError, match="A weight is missing") as caught:
            load(folder)
        assert weight in str(caught.value.where)
    tensors |= {weight: kept, "model.stranger": torch.zeros(2)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="no part of this model"):
        load_model(folder)


def test_weights_of_another_shape_are_a_message_however_they_are_named(
    tiny_llama: Path, tmp_path: Path
) -> None:
    config, weight = TRANSLATED["neox"]
    folder = model_folder(config, tiny_llama, tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    tensors[weight] = torch.ones(7)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError):
        load_model(folder)


def small(kind: str, **values: Any) -> Any:
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **SMALL, initializer_range=0.2, **values)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize(
    ("kind", "values", "form"),
    [
        ("llama", {}, HeadForm()),
        ("gemma2", {"head_dim": 8, "final_logit_softcapping": 2.0}, HeadForm(1.0, 2.0)),
        ("cohere", {"logit_scale": 0.5}, HeadForm(0.5)),
        ("granite", {"logits_scaling": 8.0}, HeadForm(0.125)),
        ("hyperclovax", {"logits_scaling": 8.0}, HeadForm(8.0)),
    ],
)
def test_the_head_s_form_is_tried_out(kind: str, values: dict[str, Any], form: HeadForm) -> None:
    model = small(kind, **values)
    assert head_form(model) == form
    ids = torch.arange(20)[None]
    with torch.no_grad():
        raw = model.get_output_embeddings()(model.base_model(ids).last_hidden_state)
        assert torch.allclose(form.apply(raw), model(ids).logits, atol=1e-5)


def test_a_setting_that_the_model_doesn_t_follow_changes_nothing() -> None:
    model = small("llama")
    model.config.logit_scale = 0.5
    assert head_form(model) == HeadForm()


def test_without_weights_nothing_is_tried_out_yet() -> None:
    """It is once they have come: see ``tests/train/test_ranks.py``."""
    config = AutoConfig.for_model("granite", **SMALL, logits_scaling=8.0)
    check_head(empty_model(config))
    assert head_form(small("granite", logits_scaling=8.0)) == HeadForm(1 / 8)


def test_evaluation_uses_pytorch_s_kernel_where_it_computes_the_scores() -> None:
    assert plain_attention(small("llama")) == "sdpa"
    assert plain_attention(small("gemma2", head_dim=8)) == "eager"
    uncapped = small("gemma2", head_dim=8, attn_logit_softcapping=None)
    assert plain_attention(uncapped) == ("sdpa" if uncapped._supports_sdpa else "eager")
