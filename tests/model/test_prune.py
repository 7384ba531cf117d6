"""Fewer rows: the ones that stay keep their bits, and the model computes the same logits."""

from __future__ import annotations

import gzip
import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import linear
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from hanhua.core.errors import InputError, ModelError, UsageError
from hanhua.core.files import read_json, write_json
from hanhua.model.base import make_base
from hanhua.model.config import BaseConfig, ScratchConfig
from hanhua.model.load import INDEX, load_model
from hanhua.model.prune import prune
from hanhua.model.prune_rows import named_ids
from hanhua.text.document import Document
from hanhua.vocab.prune import Keep
from hanhua.vocab.tokenizer import read_tokenizer

MATRICES = ("model.embed_tokens.weight", "lm_head.weight")
TEXT = ["Tom bought a fish at the market\n  when it was warm.", "the fish was good"]


def as_documents(texts: list[str], source: str = "kept") -> list[Document]:
    return [Document(str(i), text, "en", source, "cc0") for i, text in enumerate(texts)]


@pytest.fixture(scope="module", params=["tied", "untied", "half"])
def base(request: pytest.FixtureRequest, tiny_llama: Path, tmp_path_factory) -> Path:
    """Tied; untied with padding rows behind the tokenizer; bfloat16 in several files."""
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


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory, sentences: dict[str, list[str]]) -> Path:
    """A byte-level tokenizer with an end token behind its vocabulary."""
    folder: Path = tmp_path_factory.mktemp("byte-level")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=360, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(sentences["en"], trainer)
    tokenizer.add_special_tokens(["<|end|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<|end|>"}', encoding="utf-8")
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= load_file(path)
    return found


def test_kept_rows_and_all_other_weights_keep_their_bits(base: Path, tmp_path: Path):
    report = prune(base, as_documents(TEXT), tmp_path / "out", keep=Keep(characters=False))
    ids = read_json(tmp_path / "out" / "ids.json")
    kept = [old for old, new in enumerate(ids) if new is not None]
    assert [ids[old] for old in kept] == list(range(len(kept)))
    assert len(kept) == report["pieces"]["after"] <= len(ids) - 20
    before, after = weights(base), weights(tmp_path / "out")
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        expected = tensor[kept] if name in MATRICES else tensor
        assert after[name].dtype == tensor.dtype
        assert torch.equal(after[name], expected), name
    if (base / INDEX).exists():
        index = read_json(tmp_path / "out" / INDEX)
        size = sum(t.numel() * t.element_size() for t in after.values())
        assert index["metadata"]["total_size"] == size
        assert len(set(index["weight_map"].values())) > 1


def test_logits_of_kept_tokens_on_kept_text_are_the_same_bits(base: Path, tmp_path: Path):
    prune(base, as_documents(TEXT), tmp_path / "out")
    ids = read_json(tmp_path / "out" / "ids.json")
    kept = torch.tensor([old for old, new in enumerate(ids) if new is not None])
    assert 0 < len(kept) < len(ids)
    old_model, new_model = load_model(base), load_model(tmp_path / "out")
    assert old_model.config.tie_word_embeddings == new_model.config.tie_word_embeddings
    old, new = (AutoTokenizer.from_pretrained(f) for f in (base, tmp_path / "out"))
    for text in TEXT:
        one, two = old(text)["input_ids"], new(text)["input_ids"]
        assert [ids[i] for i in one] == two
        assert two[0] == new.bos_token_id
        with torch.no_grad():
            hidden = [
                model(torch.tensor([tokens]), output_hidden_states=True)
                for model, tokens in ((old_model, one), (new_model, two))
            ]
        for a, b in zip(hidden[0].hidden_states, hidden[1].hidden_states, strict=True):
            assert torch.equal(a, b)
        # The same bits, asked of a product of the same shape: how wide ones add up is up to BLAS.
        head = old_model.get_output_embeddings().weight[kept]
        assert torch.equal(linear(hidden[0].hidden_states[-1], head), hidden[1].logits)
        difference = (hidden[0].logits[..., kept] - hidden[1].logits).abs().max()
        assert difference < 1e-6


def test_ids_in_the_configs_are_renumbered(tiny_llama: Path, tmp_path: Path):
    base = tmp_path / "base"
    make_base(BaseConfig(model=str(tiny_llama)), base, 1)
    tokenizer = read_tokenizer(base).backend
    size = tokenizer.get_vocab_size()
    last, rare = size - 1, next(i for i in range(259, size) if "k" in tokenizer.id_to_token(i))
    for name in ("config.json", "generation_config.json"):
        found = read_json(base / name)
        found |= {"eos_token_id": [2, last], "pad_token_id": -1 if name[0] == "c" else None}
        write_json(base / name, found)
    found = read_json(base / "generation_config.json")
    listed = {"suppress_tokens": [1, rare, last], "bad_words_ids": [[2, last], [rare, last]]}
    write_json(base / "generation_config.json", found | listed)
    assert named_ids(base) == {1, 2, last}
    prune(base, as_documents(["the"]), tmp_path / "out", keep=Keep(characters=False))
    ids = read_json(tmp_path / "out" / "ids.json")
    assert ids[rare] is None
    assert ids[last] is not None
    assert ids[last] < last
    config = read_json(tmp_path / "out" / "config.json")
    assert config["vocab_size"] == max(i for i in ids if i is not None) + 1
    assert (config["eos_token_id"], config["pad_token_id"]) == ([2, ids[last]], -1)
    generation = read_json(tmp_path / "out" / "generation_config.json")
    assert generation["eos_token_id"] == [2, ids[last]]
    assert generation["suppress_tokens"] == [1, ids[last]]
    assert generation["bad_words_ids"] == [[2, ids[last]]]


def test_rows_can_be_padded_and_padding_is_never_sampled(base: Path, tmp_path: Path):
    report = prune(base, as_documents(TEXT), tmp_path / "out", pad_to=64)
    pieces, rows = report["pieces"]["after"], report["saved"]["rows"]["after"]
    assert rows % 64 == 0
    assert rows > pieces
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    matrix = weights(tmp_path / "out")[MATRICES[0]].float()
    assert len(matrix) == rows == model.config.vocab_size
    mean = matrix[:pieces].double().mean(0).float()
    assert torch.allclose(matrix[pieces:], mean.expand(rows - pieces, -1), atol=1e-2, rtol=1e-2)
    assert model.generation_config.suppress_tokens == list(range(pieces, rows))
    drawn = model.generate(torch.tensor([[1, 5]]), do_sample=True, max_new_tokens=20)
    assert drawn.max() < pieces


def test_the_report_says_what_is_saved_and_lost(base: Path, tmp_path: Path):
    others = as_documents(["a child planted corn", "小明\n\nTom sang"], "others")
    given = iter(as_documents(TEXT))  # an iterator: it is read once
    report = prune(base, given, tmp_path / "out", others=others)
    assert report == read_json(tmp_path / "out" / "report.json")
    kept, lost = report["kept_text"], report["other_text"]
    assert (kept["changed_lines"], kept["changed_documents"]) == (0, 0)
    assert kept["lines_checked"] == 3
    assert kept["sentencepiece"]["changed"] == 0
    assert (
        kept["sources"]["kept"]["tokens_per_char"]["before"]
        == (kept["sources"]["kept"]["tokens_per_char"]["after"])
    )
    assert lost["sources"]["others"]["lines_checked"] == 3
    assert 0 < lost["changed_lines"] <= 3
    assert lost["tokens_per_char"]["after"] > lost["tokens_per_char"]["before"]
    assert report["dropped"]["latin"]["dropped"] == report["pieces"]["dropped"]
    assert report["dropped"]["latin"]["examples"]
    saved = report["saved"]
    gone = saved["rows"]["saved"]
    width = 2 if weights(base)[MATRICES[0]].dtype == torch.bfloat16 else 4
    assert saved["parameters"] == {"tied": gone * 32, "untied": gone * 64}
    assert saved["bytes"] == {"tied": gone * 32 * width, "untied": gone * 64 * width}
    sizes = [sum(t.numel() for t in weights(f).values()) for f in (base, tmp_path / "out")]
    assert sizes[0] - sizes[1] == saved["parameters"]["tied" if saved["tied"] else "untied"]


def test_a_tokenizer_alone_and_an_architecture_with_other_names(byte_level: Path, tmp_path: Path):
    text = as_documents(["Tom bought a fish", "小明"])
    report = prune(byte_level, text, tmp_path / "alone")
    assert report["saved"]["rows"]["saved"] == report["pieces"]["dropped"] > 50
    assert not list((tmp_path / "alone").glob("*.safetensors"))
    base = tmp_path / "gpt2"
    size = read_tokenizer(byte_level).backend.get_vocab_size()
    end = size - 1
    config = GPT2Config(vocab_size=size, n_embd=16, n_layer=1, n_head=2, n_positions=32,
                        bos_token_id=end, eos_token_id=end)  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(base)
    for path in byte_level.iterdir():
        shutil.copy(path, base)
    report = prune(base, text, tmp_path / "out")
    ids = read_json(tmp_path / "out" / "ids.json")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert model.config.eos_token_id == tokenizer.eos_token_id == ids[end] < end
    assert len(model.transformer.wte.weight) == len(tokenizer) == report["pieces"]["after"]


def test_rare_pieces_are_dropped_and_the_report_counts_the_lines(base: Path, tmp_path: Path):
    texts = [f"Tom bought {what} fish" for what in ("a", "the", "his")]
    report = prune(base, as_documents(texts), tmp_path / "out", min_count=3)
    kept = report["kept_text"]
    assert 0 < kept["changed_lines"] <= kept["lines_checked"] == 3
    assert kept["changed_line_rate"] == pytest.approx(kept["changed_lines"] / 3, abs=1e-6)
    assert kept["tokens_after"] > kept["tokens_before"]


def test_twice_gives_the_same_bytes(base: Path, tmp_path: Path):
    for name in ("a", "b"):
        prune(base, as_documents(TEXT), tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert {"ids.json", "report.json", "tokenizer.model", "tokenizer.json"} <= set(names)
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_nothing_is_left_behind_when_it_fails(base: Path, tmp_path: Path):
    with pytest.raises(InputError, match="no text"):
        prune(base, [], tmp_path / "out")

    class Vanishes:
        """Text that is gone when it is read for the last time."""

        reads = 0

        def __iter__(self) -> Iterator[Document]:
            self.reads += 1
            if self.reads > 2:
                raise KeyboardInterrupt
            return iter(as_documents(TEXT))

    with pytest.raises(KeyboardInterrupt):
        prune(base, Vanishes(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds files") as caught:
        prune(base, as_documents(TEXT), tmp_path / "out")
    assert caught.value.fix


def test_what_does_not_fit_is_refused(tiny_llama: Path, tmp_path: Path):
    base = tmp_path / "base"
    shutil.copytree(tiny_llama, base)
    size = read_tokenizer(base).backend.get_vocab_size()
    (base / "added_tokens.json").write_text(json.dumps({"<|chat|>": size}))
    with pytest.raises(ModelError, match="more tokens than") as caught:
        prune(base, as_documents(TEXT), tmp_path / "out")
    assert f"{size + 1} tokens" in str(caught.value.found)
    (base / "added_tokens.json").unlink()
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    with pytest.raises(ModelError, match="weights are missing") as caught:
        prune(base, as_documents(TEXT), tmp_path / "out")
    assert "safetensors" in str(caught.value.fix)


def test_a_real_model_keeps_its_bits_per_byte(shared_data: Path, tmp_path: Path):
    """On kept text only the softmax changes, and every kept token gains by that."""
    base = shared_data / "models" / "stories3M-hf"
    with gzip.open(shared_data / "corpora/en/en_books.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"][:3000] for line in itertools.islice(file, 8)]
    report = prune(base, as_documents(texts), tmp_path / "out")
    assert report["kept_text"]["changed_lines"] == 0
    assert report["pieces"]["dropped"] > 500
    losses = []
    for folder in (base, tmp_path / "out"):
        model, tokenizer = load_model(folder), read_tokenizer(folder).fast()
        ids = torch.tensor([tokenizer(texts[0])["input_ids"][:256]])
        with torch.no_grad():
            losses.append(model(ids, labels=ids).loss.item())
    assert losses[0] - 1.0 < losses[1] <= losses[0]
