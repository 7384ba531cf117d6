"""Weights drawn anew: another model of the same shape, a pure function of the seed."""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from hanhua.model.anew import draw_anew
from hanhua.model.base import make_base
from hanhua.model.config import BaseConfig
from hanhua.model.load import load_model, load_tokenizer, read_config


@pytest.fixture(scope="module")
def source(tmp_path_factory, tiny_llama):
    """A model folder as the walk has it."""
    out = tmp_path_factory.mktemp("source") / "model"
    make_base(BaseConfig(model=str(tiny_llama)), out, seed=1)
    return out


def weights(folder):
    return {name: value.detach() for name, value in load_model(folder).named_parameters()}


def test_the_same_shape_and_tokenizer_with_other_weights(source, tmp_path):
    found = draw_anew(source, tmp_path / "anew", seed=7)
    before, after = weights(source), weights(tmp_path / "anew")
    assert {name: w.shape for name, w in before.items()} == {n: w.shape for n, w in after.items()}
    drawn = [name for name in before if before[name].dim() > 1]
    assert drawn
    assert not any(torch.equal(before[name], after[name]) for name in drawn)
    assert found["parameters"] == sum(w.numel() for w in after.values())
    assert read_config(tmp_path / "anew").tie_word_embeddings is True
    model = load_model(tmp_path / "anew")
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    text = "小明 went to the market."
    assert load_tokenizer(tmp_path / "anew")(text) == load_tokenizer(source)(text)
    names = {path.name for path in (tmp_path / "anew").iterdir()}
    assert names >= {path.name for path in source.iterdir() if path.name.startswith("token")}


def test_weights_are_a_function_of_the_seed_alone(source, tmp_path):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    draw_anew(source, tmp_path / "a", seed=7)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(3)
    draw_anew(source, tmp_path / "b", seed=7)
    draw_anew(source, tmp_path / "c", seed=8)
    first, again, other = (
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b", "c")
    )
    assert first == again
    assert first != other


def test_matrices_that_write_into_the_residual_stream_start_smaller(source, tmp_path):
    draw_anew(source, tmp_path / "anew", seed=7)
    std = {name: float(w.std()) for name, w in weights(tmp_path / "anew").items() if w.dim() > 1}
    writers = [v for name, v in std.items() if name.endswith(("o_proj.weight", "down_proj.weight"))]
    others = [v for name, v in std.items() if name.endswith(("q_proj.weight", "up_proj.weight"))]
    assert len(writers) == len(others) == 4
    for value in writers:
        assert value == pytest.approx(0.02 / 2, rel=0.15)  # two layers: sqrt(4)
    for value in others:
        assert value == pytest.approx(0.02, rel=0.15)


def test_another_architecture_is_drawn_its_own_way(source, tmp_path):
    """GPT-2 has biases, which start at nothing, and norms, which start at one."""
    vocab = read_config(source).vocab_size
    config = GPT2Config(vocab_size=vocab, n_embd=32, n_layer=2, n_head=2, n_positions=64)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "gpt2" / name).write_bytes((source / name).read_bytes())
    draw_anew(tmp_path / "gpt2", tmp_path / "anew", seed=3)
    found = weights(tmp_path / "anew")
    assert all(not w.any() for name, w in found.items() if name.endswith("c_attn.bias"))
    assert all((w == 1).all() for name, w in found.items() if name.endswith("ln_1.weight"))
    assert float(found["transformer.h.0.mlp.c_proj.weight"].std()) == pytest.approx(0.01, rel=0.15)
