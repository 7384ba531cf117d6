"""A base in 4 bits beneath adapters (QLoRA)."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from lora_models import run
from test_lora_save import stage
from tiny_models import VOCAB, make_llama

from hanhua.core.errors import DependencyError
from hanhua.model.checkpoint import probe_logits
from hanhua.model.config import LoraConfig
from hanhua.model.load import load_model
from hanhua.model.lora import add_adapters, merge_adapters
from hanhua.model.nf4 import dequantise, dequantised, is_quantised
from hanhua.train.save import relative_difference

HERE = importlib.util.find_spec("bitsandbytes") is not None
needs_it = pytest.mark.skipif(not HERE, reason="bitsandbytes is not installed (pip extra gpu)")
FOUR = {"rank": 4, "base_bits": 4}


def quantised_layers(model):
    return {n: m for n, m in model.named_modules() if hasattr(m, "weight") and is_quantised(m)}


@pytest.mark.skipif(HERE, reason="bitsandbytes is installed")
def test_without_the_library_it_says_what_to_install(tmp_path, rows):
    with pytest.raises(DependencyError, match=r"hanhua\[gpu\]"):
        run(make_llama(), rows, tmp_path / "w", lora=LoraConfig(**FOUR))


@needs_it
@pytest.mark.parametrize("dora", [True, False])
def test_it_starts_as_the_rounded_base_and_stays_there(tmp_path, rows, dora):
    # widths as models have them: of others the library spoils blocks on a CPU
    sizes = {"hidden_size": 64, "intermediate_size": 128}
    model, rounded = make_llama(**sizes), make_llama(**sizes)
    before = {
        n: m.weight.detach().clone() for n, m in rounded.named_modules() if n.endswith("_proj")
    }
    add_adapters(model, LoraConfig(**FOUR, dora=dora), 1, torch.float32)
    layers = quantised_layers(model)
    assert layers.keys() == before.keys()
    with torch.no_grad():
        for name, module in rounded.named_modules():
            if name in layers:
                error = (dequantised(layers[name]) - before[name]).abs().max()
                assert 0 < error < 0.2 * before[name].abs().max()
                module.weight.copy_(dequantised(layers[name]))
    assert torch.allclose(probe_logits(model), probe_logits(rounded), atol=1e-5)
    in_bytes = sum(m.weight.numel() for m in layers.values())
    assert in_bytes == sum(w.numel() for w in before.values()) / 2


@needs_it
@pytest.mark.parametrize("embeddings", [True, False])
def test_what_is_trained_over_four_bits_is_what_is_saved(tmp_path, tiny_llama, rows, embeddings):
    result, out = stage(tmp_path, tiny_llama, rows, base_bits=4, embeddings=embeddings)
    saved, base = load_model(out / "model"), load_model(tiny_llama)
    assert not quantised_layers(saved)
    assert result.metrics["lora"]["merge_difference"] < 1e-5
    assert relative_difference(probe_logits(saved), probe_logits(base)) > 0.01


@needs_it
def test_merging_after_dequantising_changes_no_logits(tmp_path, rows):
    model = make_llama()
    run(model, rows, tmp_path / "w", lora=LoraConfig(**FOUR), steps=4)
    trained = probe_logits(model)
    dequantise(model)
    assert not quantised_layers(model)
    assert torch.allclose(probe_logits(model), trained, atol=1e-5)
    merge_adapters(model)
    assert torch.allclose(probe_logits(model), trained, atol=1e-4)


@needs_it
def test_a_measurement_on_the_way_changes_nothing(tmp_path):
    """On some CPUs the library puts weights in another order once they are used without training.

    Where it doesn't, this holds anyway.
    """
    torch.manual_seed(0)
    model = make_llama(hidden_size=64, intermediate_size=64)
    add_adapters(model, LoraConfig(**FOUR), 0, torch.float32)
    ids = torch.arange(24)[None] % VOCAB

    def learnt():
        model.zero_grad()
        model.train()(ids, labels=ids).loss.backward()
        weights = {name: dequantised(layer) for name, layer in quantised_layers(model).items()}
        return weights | {name: p.grad for name, p in model.named_parameters() if p.requires_grad}

    before = learnt()
    with torch.no_grad():
        model.eval()(ids)
    after = learnt()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
