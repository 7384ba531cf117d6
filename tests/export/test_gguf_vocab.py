"""Tokenizers as GGUF files, read back with llama.cpp's own reader, and by llama.cpp where it is."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, processors

from hanhua.core.errors import DependencyError, ModelError
from hanhua.export.gguf_split import pre_tokenizer, unmerged_words
from hanhua.export.gguf_vocab import vocab_metadata, write_vocab
from hanhua.text.document import Document
from hanhua.vocab.config import VocabConfig
from hanhua.vocab.extend import Extended, extend
from hanhua.vocab.family import Family, family_of
from hanhua.vocab.gather import gather
from hanhua.vocab.script import script_of
from hanhua.vocab.tokenizer import TokenizerFiles, read_tokenizer
from hard_texts import BYTES, HARD_LINES, LLAMA3, QWEN2, byte_level, split

gguf = pytest.importorskip("gguf", reason='needs the extra: pip install "hanhua[gguf]"')

REPOSITORY = Path(__file__).parents[2]
QWEN35 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+"
    r"[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def extended(base: Path, sentences: dict[str, list[str]], add: int) -> tuple[Family, Extended]:
    family, script, config = family_of(read_tokenizer(base)), script_of("zh"), VocabConfig(add=add)
    documents = [
        Document(str(i), "".join(sentences["zh"][i : i + 3]), "zh", "a", "cc0")
        for i in range(0, 300, 3)
    ]
    return family, extend(family, script, config, gather(family, script, config, lambda: documents))


def read(path: Path) -> dict[str, Any]:
    fields = gguf.GGUFReader(path).fields
    return {name.removeprefix("tokenizer.ggml."): f.contents() for name, f in fields.items()}


def test_sentencepiece_reads_back(tiny_llama, sentences, tmp_path: Path):
    family, made = extended(tiny_llama, sentences, 96)
    made.files.save(tmp_path / "new")
    proto, base = made.files.proto, family.files.proto
    size = len(proto.pieces)
    found = read(write_vocab(tmp_path / "new", tmp_path / "out" / "vocab.gguf", size + 5))
    assert found["model"] == "llama"
    assert found["tokens"][:size] == [p.piece for p in proto.pieces]
    assert found["scores"][:size] == [p.score for p in proto.pieces]
    assert found["token_type"][:size] == [p.type for p in proto.pieces]
    assert {1, 2, 3, 6} <= set(found["token_type"])
    assert found["tokens"][size:] == [f"[PAD{size + i}]" for i in range(5)]
    assert found["token_type"][size:] == [5] * 5
    assert [found[f"{name}_token_id"] for name in ("unknown", "bos", "eos")] == [0, 1, 2]
    assert (found["add_bos_token"], found["add_eos_token"]) == (True, False)
    assert found["add_space_prefix"] is True
    assert found["llama.vocab_size"] == size + 5
    assert "merges" not in found
    new = found["scores"][len(base.pieces) : size]
    assert len(new) == 96
    assert new == sorted(set(new), reverse=True)
    assert max(new) < min(p.score for p in base.pieces if p.type == 1)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["vocab.gguf"]


def test_byte_level_reads_back(sentences, tmp_path: Path):
    family, made = extended(byte_level(tmp_path / "base", sentences), sentences, 64)
    made.files.save(tmp_path / "new")
    raw = json.loads((tmp_path / "new" / "tokenizer.json").read_text(encoding="utf-8"))
    found = read(write_vocab(tmp_path / "new", tmp_path / "vocab.gguf", 512))
    ids = made.files.backend.get_vocab()
    assert (found["model"], found["pre"]) == ("gpt2", "llama-bpe")
    assert len(ids) == 403 + 64
    assert {found["tokens"][i]: i for i in range(len(ids))} == ids
    assert found["tokens"][400:403] == ["<|begin|>", "<|end|>", "<tool>"]
    assert found["token_type"][400:403] == [3, 3, 4]
    assert found["token_type"][:400] + found["token_type"][403:467] == [1] * 464
    assert found["token_type"][467:] == [5] * 45
    assert found["merges"] == [" ".join(merge) for merge in raw["model"]["merges"]]
    assert len(found["merges"]) >= len(json.loads(family.files.backend.to_str())["model"]["merges"])
    assert (found["bos_token_id"], found["eos_token_id"]) == (400, 401)
    assert (found["add_bos_token"], found["add_eos_token"]) == (True, False)
    assert found["tokenizer.chat_template"] == "{{ messages }}"
    assert not {"scores", "unknown_token_id", "padding_token_id"} & found.keys()


def test_the_same_bytes_twice(sentences, tmp_path: Path):
    base = byte_level(tmp_path / "base", sentences)
    first = write_vocab(base, tmp_path / "a.gguf").read_bytes()
    assert write_vocab(base, tmp_path / "b.gguf").read_bytes() == first


GPT2 = BYTES | {"use_regex": True}
DIGITS = {"type": "Digits", "individual_digits": True}


@pytest.mark.parametrize(
    ("cut", "whole", "name"),
    [
        (split(LLAMA3), True, "llama-bpe"),
        (split(LLAMA3), False, "smaug-bpe"),
        (split(LLAMA3, "Removed", invert=True), True, "llama-bpe"),
        (split(QWEN2), False, "qwen2"),
        (split(QWEN35), False, "qwen35"),
        (GPT2, False, "gpt-2"),
        ({"type": "Sequence", "pretokenizers": [DIGITS, GPT2]}, False, "smollm"),
    ],
)
def test_splits_have_names(cut: Mapping[str, Any], whole: bool, name: str):
    model = {"type": "BPE", "ignore_merges": whole}
    raw = {"model": model, "normalizer": {"type": "NFC"}, "pre_tokenizer": cut}
    assert pre_tokenizer(raw) == name


@pytest.mark.parametrize(
    "changes",
    [
        {"pre_tokenizer": split(r"\p{Han}+|\P{Han}+")},
        {"pre_tokenizer": split(LLAMA3, "Removed")},
        {"pre_tokenizer": split(LLAMA3)["pretokenizers"][0]},
        {"pre_tokenizer": GPT2 | {"add_prefix_space": True}},
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [GPT2, DIGITS]}},
        {"normalizer": {"type": "NFKC"}},
    ],
)
def test_a_split_without_a_name_is_refused(changes, sentences, tmp_path: Path):
    base = byte_level(tmp_path / "base", sentences, **changes)
    with pytest.raises(ModelError) as caught:
        write_vocab(base, tmp_path / "vocab.gguf")
    error = caught.value
    assert "no name" in error.what
    assert error.where == str(base)
    assert "llama-bpe" in error.fix
    assert "PRE_TOKENIZERS" in error.fix
    expected = "NFKC" if "normalizer" in changes else "split ("
    assert expected in error.found
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base"]


def test_words_that_only_ignore_merges_reaches(sentences, tmp_path: Path):
    base = byte_level(tmp_path / "base", sentences, pre_tokenizer=split(QWEN2))
    raw = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    assert unmerged_words(raw) == []
    assert vocab_metadata(read_tokenizer(base)).pre == "qwen2"  # the flag changes nothing then

    vocab = raw["model"]["vocab"]
    vocab["Ġzebra"] = 403
    backend = Tokenizer.from_str(json.dumps(raw))
    assert backend.encode(" zebra", add_special_tokens=False).ids == [403]
    with pytest.raises(ModelError, match=r"ignore_merges is true, which qwen2.*' zebra'"):
        vocab_metadata(TokenizerFiles(backend, settings={"eos_token": "<|end|>"}))


def test_what_stands_around_a_text(sentences, tmp_path: Path):
    files = read_tokenizer(byte_level(tmp_path, sentences))
    backend = files.backend
    backend.post_processor = processors.TemplateProcessing(
        single="$A <|end|>", special_tokens=[("<|end|>", 401)]
    )
    found = vocab_metadata(files)
    assert (found.add_bos, found.add_eos) == (False, True)
    backend.post_processor = processors.TemplateProcessing(
        single="<|begin|> <tool> $A", special_tokens=[("<|begin|>", 400), ("<tool>", 402)]
    )
    with pytest.raises(ModelError, match="more around a text") as caught:
        vocab_metadata(files)
    assert "400, 402" in caught.value.found


def test_ids_that_llama_cpp_would_make_up(sentences, tmp_path: Path):
    files = read_tokenizer(byte_level(tmp_path, sentences, post_processor=None))
    no_bos = TokenizerFiles(files.backend, settings={"eos_token": "<|end|>"})
    assert vocab_metadata(no_bos).special == {"bos": 401, "eos": 401}
    with pytest.raises(ModelError, match="ends a text"):
        vocab_metadata(TokenizerFiles(files.backend))


@pytest.mark.parametrize("fault", ["rewrites text", "user defined"])
def test_sentencepiece_that_llama_cpp_would_read_otherwise(fault: str, tiny_llama):
    files = read_tokenizer(tiny_llama)
    if fault == "rewrites text":
        files.proto.normalizer_spec.precompiled_charsmap = b"nfkc"
    else:
        files.proto.trainer_spec.user_defined_symbols.append("<p>")
    with pytest.raises(ModelError, match=fault):
        vocab_metadata(files)


def test_too_few_rows(tiny_llama):
    files = read_tokenizer(tiny_llama)
    size = len(files.proto.pieces)
    assert len(vocab_metadata(files, size).rows) == size
    with pytest.raises(ModelError, match=f"{size - 1} rows, {size} ids"):
        vocab_metadata(files, size - 1)


def test_without_the_package(tiny_llama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(DependencyError, match=r"hanhua\[gguf\]"):
        write_vocab(tiny_llama, tmp_path / "vocab.gguf")


@pytest.mark.parametrize("kind", ["sentencepiece", "byte-level"])
def test_llama_cpp_gives_the_same_ids(kind: str, tiny_llama, sentences, tmp_path: Path):
    python = os.environ.get("HANHUA_LLAMA_PYTHON")
    if not python:
        pytest.skip("set HANHUA_LLAMA_PYTHON to an interpreter that has llama-cpp-python")
    place = importlib.util.spec_from_file_location(
        "gguf_ids", REPOSITORY / "benchmarks" / "gguf_ids.py"
    )
    benchmark = importlib.util.module_from_spec(place)
    place.loader.exec_module(benchmark)
    base = tiny_llama if kind == "sentencepiece" else byte_level(tmp_path / "base", sentences)
    _, made = extended(base, sentences, 64)
    made.files.save(tmp_path / "new")
    path = write_vocab(tmp_path / "new", tmp_path / "vocab.gguf", 1024)
    texts = [
        *sentences["zh"],
        *sentences["en"],
        *HARD_LINES,
        "",
        "我们 we’re <tool>",
    ]
    ids, _ = benchmark.llama_ids(Path(python), path, [(text, True) for text in texts])
    backend = read_tokenizer(tmp_path / "new").fast().backend_tokenizer
    assert ids == [backend.encode(text).ids for text in texts]
    new = {piece.id for piece in made.pieces}
    assert len(new & {i for line in ids for i in line}) > 30
