"""Sums of models: every weight, rows of new tokens apart, to the bit where nothing may change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from init_cases import INPUT, OUTPUT, save_random, weights, write_vocab
from tokenizers import AddedToken
from transformers import GPT2Config, LlamaConfig

from hanhua.core.errors import ModelError
from hanhua.model import merge_weights
from hanhua.model.base import make_base
from hanhua.model.config import BaseConfig, ExpandConfig, ScratchConfig
from hanhua.model.load import INDEX, load_model, load_tokenizer
from hanhua.model.merge import (
    Term,
    average,
    check_new_tokens,
    interpolated,
    merge,
    shared_tokens,
    with_chat_vector,
)
from hanhua.model.rows import expand_model

ENDS = (INPUT, OUTPUT)


def moved(source: Path, out: Path, seed: int) -> Path:
    """A model some way from another, as if it had been trained."""
    model = load_model(source, torch.float32)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.05)
    stored = json.loads((source / "config.json").read_text())["dtype"]
    shard = "30KB" if (source / INDEX).exists() else "1GB"
    model.to(getattr(torch, stored)).save_pretrained(out, max_shard_size=shard)
    load_tokenizer(source).save_pretrained(out)
    return out


class Models:
    """A base, its expanded self and what training made of it."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.base, self.start = base, folder / "start"
        expand_model(base, write_vocab(base, folder / "vocab"), self.start, ExpandConfig(), seed=3)
        self.trained = moved(self.start, folder / "trained", 1)
        self.shared = shared_tokens([self.trained, base])


@pytest.fixture(scope="module", params=["tied", "untied", "half"])
def models(request: pytest.FixtureRequest, tiny_llama: Path, tmp_path_factory) -> Models:
    folder: Path = tmp_path_factory.mktemp(request.param)
    base = folder / "base"
    if request.param == "tied":
        make_base(BaseConfig(model=str(tiny_llama)), base, 1)
        return Models(folder, base)
    scratch = ScratchConfig(hidden_size=32, layers=2, heads=4, kv_heads=2, intermediate_size=64,
                            tie_embeddings=False, context_tokens=64)  # fmt: skip
    make_base(BaseConfig(scratch=scratch, tokenizer=str(tiny_llama)), base, 1)
    if request.param == "half":
        load_model(base, torch.bfloat16).save_pretrained(base, max_shard_size="30KB")
        (base / "model.safetensors").unlink(missing_ok=True)
    return Models(folder, base)


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """But for a last bit: a product and a sum may be rounded once or twice."""
    return torch.allclose(one, other, rtol=torch.finfo(one.dtype).eps, atol=1e-12)


@settings(max_examples=8)
@given(weight=st.floats(0, 1), keep=st.booleans())
def test_every_weight_lies_between_base_and_trained(models, tmp_path_factory, weight, keep):
    out = tmp_path_factory.mktemp("merged")
    terms = interpolated(
        average([models.trained]), models.base, weight, None if keep else models.start
    )
    merge(terms, models.shared, out)
    found, trained, base, start = map(weights, (out, models.trained, models.base, models.start))
    assert found.keys() == trained.keys()
    for name, tensor in found.items():
        cut = models.shared if name in ENDS else len(tensor)
        old = weight * trained[name][:cut].double() + (1 - weight) * base[name][:cut].double()
        assert same(tensor[:cut], old.to(tensor.dtype)), name
        new = trained[name][cut:].double()
        if not keep:
            new = weight * new + (1 - weight) * start[name][cut:].double()
        assert same(tensor[cut:], new.to(tensor.dtype)), name
    assert len(found[INPUT]) > models.shared


def test_the_ends_of_the_line_are_the_models_themselves(models, tmp_path):
    for weight, expected in ((0.0, models.start), (1.0, models.trained)):
        out = tmp_path / str(weight)
        terms = interpolated(average([models.trained]), models.base, weight, models.start)
        merge(terms, models.shared, out)
        found, wanted = weights(out), weights(expected)
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_merged_folder_loads_and_is_whole(models, tmp_path):
    merge(interpolated(average([models.trained]), models.base, 0.5, None), models.shared, tmp_path)
    model = load_model(tmp_path)
    assert model.config.tie_word_embeddings == load_model(models.base).config.tie_word_embeddings
    text = "Tom 小明"
    assert (
        load_tokenizer(tmp_path)(text)["input_ids"]
        == load_tokenizer(models.trained)(text)["input_ids"]
    )
    names = {path.name for path in models.trained.iterdir()} - {"README.md"}
    assert names <= {path.name for path in tmp_path.iterdir()}
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in tmp_path.iterdir())


def test_what_is_the_same_everywhere_keeps_its_bits(models, tmp_path):
    """Whatever the weights, and with rows of a chat model's own tokens behind the shared ones."""
    chat = tmp_path / "chat"
    model, tokenizer = load_model(models.base), load_tokenizer(models.base)
    tokenizer.add_tokens([AddedToken("<|im_start|>", special=True, normalized=False)])
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.save_pretrained(chat)
    tokenizer.save_pretrained(chat)
    shared = shared_tokens([models.trained, models.base, chat])
    assert shared == len(load_tokenizer(models.base))
    terms = with_chat_vector(average([models.trained]), models.base, chat, 0.7)
    merge(terms, shared, tmp_path / "out")
    found, wanted = weights(tmp_path / "out"), weights(models.trained)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_chat_vector_moves_shared_rows_only(models, tmp_path):
    chat = moved(models.base, tmp_path / "chat", 2)
    shared = shared_tokens([models.trained, models.base, chat])
    merge(
        with_chat_vector(average([models.trained]), models.base, chat, 0.5), shared,
        tmp_path / "out",
    )  # fmt: skip
    found, trained, base, tuned = map(
        weights, (tmp_path / "out", models.trained, models.base, chat)
    )
    for name, tensor in found.items():
        cut = shared if name in ENDS else len(tensor)
        added = tuned[name][:cut].double() - base[name][:cut].double()
        wanted = (trained[name][:cut].double() + 0.5 * added).to(tensor.dtype)
        assert torch.allclose(tensor[:cut], wanted, rtol=1e-2, atol=1e-6)
        assert torch.equal(tensor[cut:], trained[name][cut:])
    assert not torch.equal(found[INPUT][:shared], trained[INPUT][:shared])


def test_an_average_is_the_mean_whatever_the_chunk(models, tmp_path, monkeypatch):
    folders = [models.trained, *(moved(models.trained, tmp_path / str(i), i) for i in (5, 6))]
    merge(average(folders), models.shared, tmp_path / "whole")
    found = weights(tmp_path / "whole")
    for name, tensor in found.items():
        mean = torch.stack([weights(folder)[name].double() for folder in folders]).mean(0)
        assert torch.allclose(tensor.double(), mean, rtol=1e-2, atol=1e-6)
    monkeypatch.setattr(merge_weights, "CHUNK", 101)
    merge(average(folders), models.shared, tmp_path / "chunks")
    again = weights(tmp_path / "chunks")
    assert all(torch.equal(again[name], found[name]) for name in found)
    assert max(tensor.numel() for tensor in found.values()) > 101


def test_names_without_the_bodys_prefix_are_the_same_names(tiny_llama, tmp_path):
    config = GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=64)
    one = save_random(config, tiny_llama, tmp_path / "one")
    from safetensors.torch import load_file, save_file

    two = moved(one, tmp_path / "two", 4)
    bare = {
        name.removeprefix("transformer."): tensor
        for name, tensor in load_file(one / "model.safetensors").items()
    }
    save_file(bare, one / "model.safetensors", {"format": "pt"})
    shared = shared_tokens([two, one])
    merge([Term(two, 0.5, 0.5), Term(one, 0.5, 0.5)], shared, tmp_path / "out")
    found, trained = weights(tmp_path / "out"), weights(two)
    name = "transformer.h.0.mlp.c_fc.weight"
    assert torch.allclose(found[name], (trained[name] + bare["h.0.mlp.c_fc.weight"]) / 2)
    load_model(tmp_path / "out")


def test_models_that_do_not_belong_together_are_refused(models, tiny_llama, tmp_path):
    other = save_random(
        LlamaConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                    num_key_value_heads=2, intermediate_size=32,
                    tie_word_embeddings=load_model(models.base).config.tie_word_embeddings),
        tiny_llama, tmp_path / "other",
    )  # fmt: skip
    with pytest.raises(ModelError, match="other weights"):
        merge(interpolated(average([models.trained]), other, 0.5, None), 300, tmp_path / "o")
    gpt2 = save_random(GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=64), tiny_llama,
                       tmp_path / "gpt2")  # fmt: skip
    with pytest.raises(ModelError, match="different kinds"):
        merge(interpolated(average([models.trained]), gpt2, 0.5, None), 300, tmp_path / "o")


def test_other_tokens_under_the_same_ids_are_refused(models, tmp_path):
    raw = json.loads((models.trained / "tokenizer.json").read_text())
    vocab = raw["model"]["vocab"]
    names = sorted(vocab, key=lambda piece: vocab[piece])
    swapped = {name: i for i, name in enumerate([*names[:50], *reversed(names[50:])])}
    raw["model"]["vocab"] = swapped
    other = tmp_path / "other"
    other.mkdir()
    for path in models.trained.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    (other / "tokenizer.json").write_text(json.dumps(raw))
    (other / "tokenizer.model").unlink(missing_ok=True)
    with pytest.raises(ModelError, match="different ids"):
        shared_tokens([models.trained, other])


def test_as_many_new_rows_of_other_tokens_are_refused(models, tmp_path):
    """Two runs with vocabularies of their own: one shape, and rows of other tokens."""
    raw = json.loads((models.trained / "tokenizer.json").read_text())
    vocab = raw["model"]["vocab"]
    names = sorted(vocab, key=lambda piece: vocab[piece])
    names[-2:] = reversed(names[-2:])  # as another corpus would order them
    raw["model"]["vocab"] = {name: i for i, name in enumerate(names)}
    other = tmp_path / "other"
    shutil.copytree(models.trained, other)
    (other / "tokenizer.json").write_text(json.dumps(raw))
    (other / "tokenizer.model").unlink(missing_ok=True)
    assert shared_tokens([models.trained, other, models.base]) == models.shared
    check_new_tokens([models.trained, models.start])
    with pytest.raises(ModelError, match="other new tokens") as error:
        check_new_tokens([models.trained, other])
    assert f"id {len(names) - 2} is {names[-2]!r}" in error.value.found
