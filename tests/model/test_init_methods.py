"""The ways to start rows: weights that add up, pursuit that explains, distillation that learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from init_cases import INPUT, OUTPUT, read_pieces, weights, write_corpus, write_vocab
from transformers import AutoConfig, AutoModelForCausalLM

from hanhua.core.errors import InputError, RecipeError
from hanhua.model.auxiliary import Speller, Texts, encode, learn_auxiliary
from hanhua.model.base import make_base
from hanhua.model.config import BaseConfig, ExpandConfig, ScratchConfig
from hanhua.model.init_combine import (
    Combination,
    combine,
    combined_rows,
    mean_of,
    random_rows,
    replaced,
    statistics,
    weighted_mean_of,
)
from hanhua.model.init_distill import distill
from hanhua.model.init_similar import combination, pursue, sparsemax
from hanhua.model.load import load_model
from hanhua.model.rows import expand_model
from hanhua.model.tensor_rows import MemoryRows
from hanhua.tokens.encode import text_encoder
from hanhua.vocab.tokenizer import read_tokenizer

BASE_IDS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), max_size=9)


def table(rows: int = 10, width: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(BASE_IDS)
def test_mean_is_the_mean(base_ids: list[list[int]]):
    old = table()
    found = combine(mean_of(base_ids), MemoryRows(old), old.mean(0))
    assert found.shape == (len(base_ids), 4)
    for row, ids in zip(found, base_ids, strict=True):
        assert torch.allclose(row, old[ids].mean(0), atol=1e-6)


@settings(deadline=None)
@given(BASE_IDS, st.floats(0.1, 1.0), st.sampled_from(["input", "output", "tied"]))
def test_weighted_sums_to_one_and_prefers_the_end_that_matters(base_ids, decay, end):
    found = weighted_mean_of(base_ids, [[1] * len(x) for x in base_ids], decay, end)
    assert torch.allclose(found.rest(), torch.zeros(len(base_ids)), atol=1e-5)
    for i in range(len(base_ids)):
        weight = found.part(i, i + 1).weights
        if end == "tied" or decay == 1.0:
            assert torch.allclose(weight, weight[:1].expand_as(weight))
        else:
            ordered = weight if end == "input" else weight.flip(0)
            assert bool((ordered.diff() >= 0).all())


def test_weighted_follows_its_formula():
    found = weighted_mean_of([[4, 7, 2]], [[3, 0, 2]], 0.5, "input")
    assert found.weights.tolist() == pytest.approx([0.75 / 3.25, 0.5 / 3.25, 2 / 3.25])


@settings(deadline=None)
@given(BASE_IDS, st.lists(st.booleans(), min_size=9, max_size=9))
def test_pieces_are_replaced_one_by_one(base_ids, mask):
    first, other = mean_of(base_ids), mean_of([[9]] * len(base_ids))
    where = torch.tensor(mask[: len(base_ids)], dtype=torch.bool)
    found = replaced(first, other, where)
    assert len(found) == len(base_ids)
    for i, ids in enumerate(base_ids):
        assert found.part(i, i + 1).ids.tolist() == ([9] if mask[i] else ids)


def test_what_weights_lack_goes_to_the_centre():
    old = table() + 5
    found = combine(Combination.of([[1], []], [[0.25], []]), MemoryRows(old), old.mean(0))
    assert torch.allclose(found[0], 0.25 * old[1] + 0.75 * old.mean(0), atol=1e-6)
    assert torch.allclose(found[1], old.mean(0), atol=1e-6)


def test_noise_tells_apart_pieces_with_the_same_mean():
    old = MemoryRows(table(10, 64))
    pieces, known = mean_of([[1, 2], [2, 1]]), statistics(old)

    def rows(noise: float) -> torch.Tensor:
        return torch.cat(list(combined_rows(pieces, old, known, noise=noise, seed=1, length=3.0)))

    same, apart = rows(0.0), rows(0.01)
    assert torch.allclose(same[0], same[1])
    assert same.norm(dim=1).tolist() == pytest.approx([3.0, 3.0], rel=1e-4)
    assert not torch.allclose(apart[0], apart[1], atol=1e-4)
    assert torch.allclose(apart[0], same[0], rtol=0.2, atol=0.1)
    assert torch.equal(apart, rows(0.01))


def test_random_rows_have_the_mean_and_spread_of_the_old():
    old = table(500, 8) * 3 + 1
    known = statistics(MemoryRows(old))
    assert torch.allclose(known.centre, old.mean(0), atol=1e-5)
    assert torch.allclose(known.spread, old.std(0), atol=1e-4)
    rows = torch.cat(list(random_rows(4000, known, seed=1)))
    assert torch.allclose(rows.mean(0), old.mean(0), atol=0.3)
    assert torch.allclose(rows.std(0), old.std(0), atol=0.3)


def test_the_length_is_taken_from_the_targets_rows_where_there_are_enough():
    old = torch.cat([torch.ones(50, 4), torch.zeros(10, 4), torch.full((40, 4), 3.0)])
    known = statistics(MemoryRows(old))
    assert known.typical_length(tuple(range(60, 100))) == pytest.approx(6.0)
    assert known.typical_length((60, 61)) == pytest.approx(2.0)


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(-9, 9), min_size=4, max_size=4), min_size=1, max_size=5))
def test_sparsemax_is_on_the_simplex_and_keeps_the_order(scores: list[list[float]]):
    given_ = torch.tensor(scores)
    found = sparsemax(given_)
    assert bool((found >= 0).all())
    assert torch.allclose(found.sum(1), torch.ones(len(found)), atol=1e-5)
    for row, weight in zip(given_, found, strict=True):
        order = row.argsort()
        assert bool((weight[order].diff() >= -1e-6).all())


def test_sparsemax_of_far_scores_is_one_of_them():
    assert sparsemax(torch.tensor([[0.0, 5.0, 1.0]])).tolist() == [[0.0, 1.0, 0.0]]
    assert sparsemax(torch.tensor([[2.0, 2.0]])).tolist() == [[0.5, 0.5]]


def unit(rows: int, width: int, seed: int) -> torch.Tensor:
    return torch.nn.functional.normalize(table(rows, width, seed), dim=1)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(2, 12), st.integers(1, 20), st.integers(0, 99))
def test_pursuit_explains_more_with_every_atom(width: int, atoms: int, count: int, seed: int):
    targets, dictionary = unit(5, width, seed), unit(atoms, width, seed + 1)
    found = pursue(targets, dictionary, count)
    assert bool((found.residuals.diff(dim=1) <= 0).all())
    rebuilt = torch.einsum("bk,bke->be", found.weights, dictionary[found.places])
    assert torch.allclose((targets - rebuilt).norm(dim=1), found.residuals[:, -1], atol=2e-3)
    for places in found.places.tolist():
        assert len(set(places)) == len(places)


def test_pursuit_finds_a_row_of_the_dictionary_and_a_sparse_mixture():
    dictionary = unit(200, 64, 1)
    mixed = 0.7 * dictionary[3] - 0.5 * dictionary[90]
    found = pursue(torch.stack([dictionary[42], mixed]), dictionary, 4)
    assert found.places[0, 0] == 42
    assert found.weights[0].tolist() == pytest.approx([1, 0, 0, 0], abs=1e-4)
    assert set(found.places[1, :2].tolist()) == {3, 90}
    assert float(found.residuals[1, 2]) < 1e-4
    whole = combination(dictionary[[42]], dictionary, torch.arange(1000, 1200), "omp", 4)
    assert whole.ids[0] == 1042


@pytest.fixture(scope="module", params=["tied", "untied"])
def base(request: pytest.FixtureRequest, tiny_llama: Path, tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp(request.param) / "model"
    if request.param == "tied":
        make_base(BaseConfig(model=str(tiny_llama)), folder, 1)
    else:
        scratch = ScratchConfig(hidden_size=32, layers=2, heads=4, kv_heads=2,
                                intermediate_size=64, tie_embeddings=False,
                                context_tokens=128)  # fmt: skip
        make_base(BaseConfig(scratch=scratch, tokenizer=str(tiny_llama)), folder, 1)
    return folder


@pytest.fixture(scope="module")
def vocab(base: Path, tmp_path_factory) -> Path:
    return write_vocab(base, tmp_path_factory.mktemp("vocab"))


@pytest.fixture(scope="module")
def texts(sentences: dict[str, list[str]], tmp_path_factory) -> Texts:
    return Texts(write_corpus(tmp_path_factory.mktemp("corpus"), sentences), "zh", "en", 50_000)


def speller(vocab: Path) -> Speller:
    pieces = read_pieces(vocab)
    return Speller(pieces[0]["id"], [p["base_ids"] for p in pieces])


def test_the_old_spelling_is_the_bases_own(base: Path, vocab: Path, texts: Texts):
    """What distillation rests on: taking the new pieces apart gives what the base would read."""
    new = text_encoder(read_tokenizer(vocab / "tokenizer").fast())
    old = text_encoder(read_tokenizer(base).fast())
    spell, seen = speller(vocab), 0
    for language in ("zh", "en"):
        written = list(texts.read(language))
        for ids, text in zip(encode(new, written), written, strict=True):
            spelt, ends = spell.spell(ids)
            assert spelt.tolist() == old.encode(text, add_special_tokens=False).ids
            assert ends.tolist() == (np.cumsum(spell.lengths[ids]) - 1).tolist()
            seen += int((ids >= spell.old).sum())
            none, _ = spell.spell(ids, np.zeros(len(ids), bool))
            assert none.tolist() == ids.tolist()
    assert seen > 1000


def test_auxiliary_vectors_know_who_stands_in_like_places(vocab: Path, texts: Texts):
    core = text_encoder(read_tokenizer(vocab / "tokenizer").fast())
    found = learn_auxiliary(core, speller(vocab), texts, 16, seed=1)
    again = learn_auxiliary(core, speller(vocab), texts, 16, seed=1)
    assert torch.equal(found.vectors, again.vectors)
    lengths = found.vectors.norm(dim=1)
    assert torch.allclose(lengths[found.seen], torch.ones(int(found.seen.sum())), atol=1e-4)

    def like(a: str, b: str) -> float:
        return float(found.vectors[core.token_to_id(a)] @ found.vectors[core.token_to_id(b)])

    assert like("看书", "买鱼") > like("看书", "老师")  # what one does, who does it
    assert like("学校", "市场") > like("学校", "朋友")  # where, with whom


@pytest.mark.parametrize("method", ["weighted", "similar", "omp", "random", "distill"])
def test_every_method_gives_new_rows_and_leaves_the_rest(
    method: str, base: Path, vocab: Path, texts: Texts, tmp_path: Path
):
    output = "mean" if method == "distill" else method
    config = ExpandConfig(input=method, output=output, vector_dims=16, distill_steps=8)
    done = expand_model(base, vocab, tmp_path / "a", config, 3, texts=texts)
    expand_model(base, vocab, tmp_path / "b", config, 3, texts=texts)
    plain = expand_model(base, vocab, tmp_path / "mean", ExpandConfig(), 3)
    one, two, before = weights(tmp_path / "a"), weights(tmp_path / "b"), weights(base)
    mean = weights(tmp_path / "mean")
    old, new = done["old_rows"], slice(done["old_rows"], done["old_rows"] + done["new_rows"])
    for name, tensor in before.items():
        assert torch.equal(one[name][: len(tensor)], tensor)
        assert torch.equal(one[name], two[name])
    assert torch.isfinite(one[INPUT]).all()
    if method != "weighted" or OUTPUT in before:  # without length or place it is the mean
        assert not torch.allclose(one[INPUT][new], mean[INPUT][new], atol=1e-3)
    length = before[INPUT][:old].norm(dim=1).median()
    if method in ("similar", "omp", "weighted"):
        assert torch.allclose(one[INPUT][new].norm(dim=1), length, rtol=0.05)
    if method == "distill" and OUTPUT in before:
        assert torch.equal(one[OUTPUT], mean[OUTPUT])
    assert plain["notes"] == {}
    assert bool(done["notes"]) == (method in ("similar", "omp", "distill"))


def test_distilling_brings_the_states_closer_than_the_mean_does(
    base: Path, vocab: Path, texts: Texts
):
    core = text_encoder(read_tokenizer(vocab / "tokenizer").fast())
    documents = list(encode(core, texts.read("zh")))
    model, spell = load_model(base), speller(vocab)
    rows = MemoryRows(model.get_input_embeddings().weight.detach()[: spell.old])
    known = statistics(rows)
    start = torch.cat(list(combined_rows(
        mean_of([p["base_ids"] for p in read_pieces(vocab)]), rows, known, noise=0.01, seed=1,
        length=known.typical_length(()),
    )))  # fmt: skip
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    found = distill(model, start, documents, spell, steps=40, seed=1, bos=1)
    assert found.after < 0.9 * found.before
    assert found.stretches >= 5
    assert found.learnt > 10
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])
    seen = np.unique(np.concatenate(documents))
    for i, row in enumerate(found.rows):
        if spell.old + i not in seen:
            assert torch.equal(row, start[i])


@pytest.mark.parametrize("kind", ["llama", "gemma"])
def test_a_row_that_stands_for_one_old_token_leaves_nothing_to_distill(kind: str) -> None:
    """Whatever the model multiplies its rows with: Gemma does, with the root of the width."""
    values = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "head_dim": 8,
              "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 50}  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **values)).eval()
    rng = np.random.default_rng(0)
    documents = [rng.integers(3, 52, 64) for _ in range(6)]
    start = model.get_input_embeddings().weight[[7, 9]].detach()
    spell = Speller(50, [[7], [9]])
    found = distill(model, start, documents, spell, steps=1, seed=1, bos=1)
    assert found.before < 1e-9
    assert found.stretches > 1
    assert distill(model, -start, documents, spell, steps=1, seed=1, bos=1).before > 1e-3


@pytest.mark.parametrize("method", ["similar", "omp", "distill"])
def test_a_method_that_needs_text_says_so(method: str, base: Path, vocab: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"learns from text") as error:
        expand_model(base, vocab, tmp_path, ExpandConfig(input=method), 3)
    assert error.value.where == "expand.input"
    assert not (tmp_path / "config.json").exists()


def test_text_of_another_language_is_not_enough(base: Path, vocab: Path, texts: Texts, tmp_path):
    other = Texts(texts.corpus, "ja", "en", 1000)
    with pytest.raises(InputError, match="likeness"):
        expand_model(base, vocab, tmp_path, ExpandConfig(input="omp"), 3, texts=other)
    with pytest.raises(InputError, match="too short"):
        expand_model(base, vocab, tmp_path, ExpandConfig(input="distill"), 3, texts=other)


def test_auto_is_settled_before_rows_are_made(base: Path, vocab: Path, tmp_path: Path):
    with pytest.raises(RecipeError, match="still to be picked"):
        expand_model(base, vocab, tmp_path, ExpandConfig(input="auto"), 3)


def test_the_text_is_drawn_from_the_whole_corpus(texts: Texts):
    part = Texts(texts.corpus, "zh", "en", 2000)
    found = list(part.read("zh"))
    everything = list(texts.read("zh"))
    assert 1500 < sum(map(len, found)) <= 2000
    places = [everything.index(text) for text in found[:-1]]
    assert max(places) > len(everything) / 2
    assert list(part.read("ja")) == []
