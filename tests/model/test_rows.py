"""New rows: their values, that old ones keep their bits, and what the model computes with them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from init_cases import INPUT, OUTPUT, read_pieces, save_random, weights, write_vocab
from transformers import AutoModelForCausalLM, GPT2Config, GPTJConfig, GPTNeoXConfig

from hanhua.core.errors import ModelError
from hanhua.model.base import make_base
from hanhua.model.config import BaseConfig, ExpandConfig, ScratchConfig
from hanhua.model.load import INDEX, load_model
from hanhua.model.rows import expand_model
from hanhua.vocab.tokenizer import read_tokenizer


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
    assert torch.equal(one.logits, two.logits[..., : old.config.vocab_size])


def test_input_rows_point_where_the_mean_of_their_tokens_points(base: Path, expanded: Path):
    before, after = (weights(f)[INPUT].float() for f in (base, expanded))
    pieces = read_pieces(expanded.parent / "vocab")
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
    pieces = read_pieces(expanded.parent / "vocab")
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


def test_a_vocabulary_of_another_base_is_refused(base: Path, tmp_path: Path):
    vocab = write_vocab(base, tmp_path / "vocab")
    lines = (vocab / "pieces.jsonl").read_text().splitlines()[1:]
    (vocab / "pieces.jsonl").write_text("\n".join(lines))
    with pytest.raises(ModelError, match="another tokenizer"):
        expand_model(base, vocab, tmp_path / "m", ExpandConfig(), 3)


OTHERS = {
    "gpt2": GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=64),
    "gpt2-untied": GPT2Config(
        n_embd=32, n_layer=1, n_head=2, n_positions=64, tie_word_embeddings=False
    ),
    "gptj": GPTJConfig(n_embd=32, n_layer=1, n_head=2, rotary_dim=8, n_positions=64),
    "neox": GPTNeoXConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_models_with_other_names_and_a_head_bias_grow_as_well(
    kind: str, tiny_llama: Path, tmp_path: Path
):
    config = OTHERS[kind]
    config.vocab_size = read_tokenizer(tiny_llama).backend.get_vocab_size()
    config.bos_token_id, config.eos_token_id = 1, 2
    base = save_random(config, tiny_llama, tmp_path / "base", max_shard_size="20KB")
    vocab = write_vocab(base, tmp_path / "vocab")
    found = expand_model(base, vocab, tmp_path / "out", ExpandConfig(), 3)
    old = AutoModelForCausalLM.from_pretrained(base).eval()
    new = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    assert not [p for p in new.parameters() if not torch.isfinite(p).all()]
    ids = torch.arange(5, 45)[None]
    with torch.no_grad():
        before, after = old(ids).logits, new(ids).logits
    assert torch.equal(before, after[..., : found["old_rows"]])
    assert after.shape[-1] == found["old_rows"] + found["new_rows"] + found["padded_rows"]
    pieces = read_pieces(vocab)
    head, bias = new.get_output_embeddings(), new.get_output_embeddings().bias
    assert (bias is not None) == (kind == "gptj")
    if bias is not None:
        old_bias = old.get_output_embeddings().bias.detach()
        for piece in pieces:
            assert float(bias.detach()[piece["id"]]) == pytest.approx(
                float(old_bias[list(piece["base_ids"])].mean()), abs=1e-6
            )
        never = after.softmax(-1)[..., len(pieces) + found["old_rows"] :]
        assert found["padded_rows"]
        assert float(never.max()) == 0.0
    if not found["tied"]:
        row = old.get_output_embeddings().weight[list(pieces[0]["base_ids"])].mean(0)
        assert torch.allclose(head.weight[pieces[0]["id"]], row, atol=2e-3)


def test_a_file_of_the_bare_body_is_understood(tiny_llama: Path, tmp_path: Path):
    """GPT-2's own release leaves out the prefix of its body."""
    from safetensors.torch import save_file

    config = OTHERS["gpt2"]
    config.vocab_size = read_tokenizer(tiny_llama).backend.get_vocab_size()
    base = save_random(config, tiny_llama, tmp_path / "base")
    bare = {name.removeprefix("transformer."): t for name, t in weights(base).items()}
    save_file(bare, base / "model.safetensors", metadata={"format": "pt"})
    vocab = write_vocab(base, tmp_path / "vocab")
    found = expand_model(base, vocab, tmp_path / "out", ExpandConfig(), 3)
    grown = weights(tmp_path / "out")
    assert len(grown["wte.weight"]) == sum(
        found[n] for n in ("old_rows", "new_rows", "padded_rows")
    )
    assert len(AutoModelForCausalLM.from_pretrained(tmp_path / "out").lm_head.weight) == len(
        grown["wte.weight"]
    )


def test_a_quantised_embedding_is_refused(base: Path, tmp_path: Path):
    from safetensors.torch import save_file

    vocab = write_vocab(base, tmp_path / "vocab")
    for path in base.iterdir():
        if path.suffix != ".safetensors" and path.name != INDEX:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = weights(base)
    tensors[INPUT] = tensors[INPUT].to(torch.int8)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="unquantised embedding"):
        expand_model(tmp_path, vocab, tmp_path / "m", ExpandConfig(), 3)
    assert not list((tmp_path / "m").glob("*.safetensors"))
    assert not (tmp_path / "m" / "config.json").exists()
