"""New rows: their values, that old ones keep their bits, and what the model computes with them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from hanhua.core.errors import ModelError
from hanhua.model.base import make_base
from hanhua.model.config import BaseConfig, ExpandConfig, ScratchConfig
from hanhua.model.load import INDEX, load_model
from hanhua.model.rows import INPUT, OUTPUT, Plan, expand_model, mean_rows, median_length, new_rows
from hanhua.vocab.extend import _pieces
from hanhua.vocab.family import family_of
from hanhua.vocab.learn import Learnt
from hanhua.vocab.tokenizer import read_tokenizer

PIECES = ["小", "明", "小明", "学校", "，我", "市场"]


def write_vocab(base: Path, out: Path) -> Path:
    """A vocabulary of six pieces for a base."""
    family = family_of(read_tokenizer(base))
    learnt = [Learnt(c, 9) for c in "学校，我市场"] + [Learnt(piece, 5) for piece in PIECES]
    files, taken = family.extend(learnt, len(learnt))
    files.save(out / "tokenizer")
    lines = [
        json.dumps({"id": p.id, "piece": p.piece, "count": p.count, "base_ids": p.base_ids})
        for p in _pieces(family, files, taken)
    ]
    (out / "pieces.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return out


@pytest.fixture(scope="module", params=["tied", "untied", "half"])
def base(request: pytest.FixtureRequest, tiny_llama: Path, tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp(request.param) / "model"
    if request.param == "tied":
        make_base(BaseConfig(model=str(tiny_llama)), folder, 1)
        return folder
    scratch = ScratchConfig(hidden_size=32, layers=2, heads=4, kv_heads=2, intermediate_size=64,
                            tie_embeddings=False, context_tokens=64)  # fmt: skip
    make_base(BaseConfig(scratch=scratch, tokenizer=str(tiny_llama)), folder, 1)
    if request.param == "half":
        model = load_model(folder, torch.bfloat16)
        model.save_pretrained(folder, max_shard_size="30KB")
        (folder / "model.safetensors").unlink(missing_ok=True)
    return folder


@pytest.fixture
def expanded(base: Path, tmp_path: Path) -> Path:
    vocab = write_vocab(base, tmp_path / "vocab")
    expand_model(base, vocab, tmp_path / "model", ExpandConfig(), seed=3)
    return tmp_path / "model"


def read_pieces(expanded: Path) -> list[dict[str, Any]]:
    lines = (expanded.parent / "vocab" / "pieces.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= load_file(path)
    return found


def test_old_rows_and_all_other_weights_keep_their_bits(base: Path, expanded: Path):
    before, after = weights(base), weights(expanded)
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert after[name].dtype == tensor.dtype
        assert torch.equal(after[name][: len(tensor)], tensor), name
        assert (len(after[name]) > len(tensor)) == (name in (INPUT, OUTPUT))


def test_the_model_computes_what_the_base_computed_on_old_ids(base: Path, expanded: Path):
    old, new = load_model(base), load_model(expanded)
    ids = torch.randint(
        3, old.config.vocab_size, (2, 40), generator=torch.Generator().manual_seed(1)
    )
    with torch.no_grad():
        one, two = (m(ids, output_hidden_states=True) for m in (old, new))
    for a, b in zip(one.hidden_states, two.hidden_states, strict=True):
        assert torch.equal(a, b)
    assert torch.allclose(one.logits, two.logits[..., : old.config.vocab_size], atol=1e-6)


def test_input_rows_point_where_the_mean_of_their_tokens_points(base: Path, expanded: Path):
    before, after = (weights(f)[INPUT].float() for f in (base, expanded))
    pieces = read_pieces(expanded)
    median = before.norm(dim=1).median()
    for piece in pieces:
        row, mean = after[piece["id"]], before[piece["base_ids"]].mean(0)
        assert torch.cosine_similarity(row, mean, dim=0) > 0.999
        assert row.norm() == pytest.approx(median.item(), rel=0.02)


def test_untied_output_rows_are_plain_means(base: Path, expanded: Path):
    before, after = weights(base), weights(expanded)
    if OUTPUT not in before:
        assert load_model(expanded).config.tie_word_embeddings
        return
    pieces = read_pieces(expanded)
    for piece in pieces:
        mean = before[OUTPUT].float()[piece["base_ids"]].mean(0)
        assert torch.allclose(after[OUTPUT][piece["id"]].float(), mean, atol=2e-3)
    assert not torch.equal(after[OUTPUT][-70:-64], after[INPUT][-70:-64])


def test_padding_rows_are_never_sampled(expanded: Path):
    model = AutoModelForCausalLM.from_pretrained(expanded)
    known = len(read_tokenizer(expanded).fast())
    assert model.config.vocab_size % 64 == 0
    assert model.config.vocab_size > known
    assert model.generation_config.suppress_tokens == list(range(known, model.config.vocab_size))
    torch.manual_seed(0)
    out = model.generate(torch.ones(16, 1, dtype=torch.long), do_sample=True, temperature=5.0,
                         max_new_tokens=30, pad_token_id=2)  # fmt: skip
    assert out.max() < known
    assert out.max() > known - 30  # new pieces do come


def test_files_without_an_embedding_are_shared(base: Path, expanded: Path):
    shared = [p for p in expanded.glob("*.safetensors") if os.stat(p).st_nlink > 1]
    assert bool(shared) == (base / INDEX).exists()
    if shared:
        index = json.loads((expanded / INDEX).read_text())
        size = sum(t.numel() * t.element_size() for t in weights(expanded).values())
        assert index["metadata"]["total_size"] == size


def test_no_padding_where_none_is_asked_for(base: Path, tmp_path: Path):
    vocab = write_vocab(base, tmp_path / "vocab")
    found = expand_model(base, vocab, tmp_path / "m", ExpandConfig(pad_to=1, input="random"), 3)
    assert found["padded_rows"] == 0
    assert "suppress_tokens" not in json.loads(
        (tmp_path / "m" / "generation_config.json").read_text()
    )
    assert load_model(tmp_path / "m").config.vocab_size == found["old_rows"] + found["new_rows"]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), max_size=9))
def test_mean_rows_is_the_mean(base_ids: list[list[int]]):
    weight = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    rows = mean_rows(weight, base_ids)
    assert rows.shape == (len(base_ids), 4)
    for row, ids in zip(rows, base_ids, strict=True):
        assert torch.allclose(row, weight[ids].mean(0), atol=1e-6)


def test_noise_tells_apart_pieces_with_the_same_mean():
    weight = torch.randn(10, 64, generator=torch.Generator().manual_seed(0))
    plan = Plan(10, 2, 1, ())
    options = {"method": "mean", "stretch": True, "seed": 1}
    same = new_rows(weight, [[1, 2], [2, 1]], plan, noise=0.0, **options)
    apart = new_rows(weight, [[1, 2], [2, 1]], plan, noise=0.01, **options)
    assert torch.allclose(same[0], same[1])
    assert not torch.allclose(apart[0], apart[1], atol=1e-4)
    assert torch.allclose(apart[0], same[0], rtol=0.2, atol=0.1)
    assert torch.equal(apart, new_rows(weight, [[1, 2], [2, 1]], plan, noise=0.01, **options))
    assert torch.allclose(same[2], weight.mean(0))


def test_random_rows_have_the_mean_and_spread_of_the_old():
    weight = torch.randn(500, 8, generator=torch.Generator().manual_seed(0)) * 3 + 1
    plan = Plan(500, 4000, 0, ())
    rows = new_rows(weight, [], plan, method="random", noise=0.0, stretch=True, seed=1)
    assert torch.allclose(rows.mean(0), weight.mean(0), atol=0.3)
    assert torch.allclose(rows.std(0), weight.std(0), atol=0.3)


def test_the_length_is_taken_from_the_targets_rows_where_there_are_enough():
    table = torch.cat([torch.ones(50, 4), torch.zeros(10, 4), torch.full((40, 4), 3.0)])
    assert median_length(table, tuple(range(60, 100))) == pytest.approx(6.0)
    assert median_length(table, (60, 61)) == pytest.approx(2.0)


def test_a_vocabulary_of_another_base_is_refused(base: Path, tmp_path: Path):
    vocab = write_vocab(base, tmp_path / "vocab")
    lines = (vocab / "pieces.jsonl").read_text().splitlines()[1:]
    (vocab / "pieces.jsonl").write_text("\n".join(lines))
    with pytest.raises(ModelError, match="another tokenizer"):
        expand_model(base, vocab, tmp_path / "m", ExpandConfig(), 3)
