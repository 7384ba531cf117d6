"""Bringing a base's tokenizer into one exact form."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2 as spm
from transformers import AutoTokenizer

from hanhua.core.errors import ModelError
from hanhua.vocab.convert import all_splits, spell
from hanhua.vocab.tokenizer import read_tokenizer

from .conftest import learnt_on

HARD = [
    "", " ", "  ", "  a", "a  b", " a b ", "a\n\n b", "\ta", "\r\n", "中文  字", "\0", "a\0b",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467", "e\u0301", "\u3000全角ＡＢ", "\ufeffx",
    "𠮷", "\ue000", "哈" * 300, "def f():\n    return 1\n", "ZWJ\u200d",
]  # fmt: skip


def plain_ids(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("text", HARD)
def test_ids_are_those_of_sentencepiece_and_decode_to_the_text(tiny_llama: Path, text: str):
    tokenizer = read_tokenizer(tiny_llama).fast()
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tiny_llama / "tokenizer.model"))
    assert plain_ids(tokenizer, text) == processor.encode(text)
    assert tokenizer.decode(plain_ids(tokenizer, text)) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_has_the_ids_of_sentencepiece(tiny_llama: Path, text: str):
    files = read_tokenizer(tiny_llama)
    if any(piece in text for piece in ("<s>", "</s>", "<unk>")):
        return
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tiny_llama / "tokenizer.model"))
    assert files.backend.encode(text, add_special_tokens=False).ids == processor.encode(text)


def test_bos_is_added_once(tiny_llama: Path, tmp_path: Path):
    read_tokenizer(tiny_llama).save(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    ids = tokenizer("Tom")["input_ids"]
    assert ids[0] == tokenizer.bos_token_id == 1
    assert ids.count(1) == 1
    assert tokenizer.eos_token == "</s>"
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["tokenizer_class"] == (
        "PreTrainedTokenizerFast"
    )


def test_a_base_that_says_no_bos_gets_none(tiny_llama: Path, tmp_path: Path):
    shutil.copy(tiny_llama / "tokenizer.model", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"add_bos_token": false}')
    files = read_tokenizer(tmp_path)
    ids = files.fast()("Tom")["input_ids"]
    assert ids[0] != 1
    files.save(tmp_path / "saved")
    assert read_tokenizer(tmp_path / "saved").fast()("Tom")["input_ids"] == ids


def test_saving_twice_gives_the_same_bytes(tiny_llama: Path, tmp_path: Path):
    read_tokenizer(tiny_llama).save(tmp_path / "a")
    read_tokenizer(tmp_path / "a").save(tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_extra_spaces_are_kept_even_where_the_base_dropped_them(tiny_llama: Path, tmp_path: Path):
    proto = spm.ModelProto()
    proto.ParseFromString((tiny_llama / "tokenizer.model").read_bytes())
    proto.normalizer_spec.remove_extra_whitespaces = True
    (tmp_path / "tokenizer.model").write_bytes(proto.SerializeToString())
    files = read_tokenizer(tmp_path)
    old = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    assert old.decode(old.encode(" a  b ")) == "a b"
    assert files.fast().decode(plain_ids(files.fast(), " a  b ")) == " a  b "
    assert plain_ids(files.fast(), "Tom likes fish.") == old.encode("Tom likes fish.")


def test_added_tokens_behind_the_vocabulary_keep_their_ids(tiny_llama: Path, tmp_path: Path):
    shutil.copy(tiny_llama / "tokenizer.model", tmp_path)
    size = read_tokenizer(tiny_llama).backend.get_vocab_size()
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<pad>": size, "<|chat|>": size + 1}))
    files = read_tokenizer(tmp_path)
    assert files.backend.token_to_id("<|chat|>") == size + 1
    assert plain_ids(files.fast(), "<|chat|>") == [size + 1]
    files.save(tmp_path / "saved")
    assert read_tokenizer(tmp_path / "saved").backend.token_to_id("<pad>") == size
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<pad>": size + 5}))
    with pytest.raises(ModelError, match="gap"):
        read_tokenizer(tmp_path)


def test_a_chat_template_is_carried(tiny_llama: Path, tmp_path: Path):
    shutil.copy(tiny_llama / "tokenizer.model", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    files = read_tokenizer(tmp_path)
    files.save(tmp_path / "saved")
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").chat_template == "{{ messages }}"


@pytest.fixture(scope="module")
def rewriting(tmp_path_factory, sentences) -> Path:
    """A base as Baichuan's: NFKC, and characters and tags that its user defined as tokens."""
    folder = tmp_path_factory.mktemp("rewriting")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*sentences["en"], *sentences["zh"][:50]]), vocab_size=700,
        model_prefix=str(folder / "tokenizer"), model_type="bpe", byte_fallback=True,
        normalization_rule_name="nmt_nfkc", remove_extra_whitespaces=False, hard_vocab_limit=False,
        user_defined_symbols=["，", "？", "\n", "7", "<br>", "---"], num_threads=1, minloglevel=2,
    )  # fmt: skip
    return folder


REWRITTEN = [
    "你好，世界？１２３", "a，b\n c", "---", " --- x---", "x<br> y<br>", "7年7月", "ＡＢＣ①㎡ﬁ…",
    "  two  spaces", "e\u0301", "哈，" * 50, "<b>r", "， ，",
]  # fmt: skip


def test_a_base_that_rewrites_text_has_the_ids_of_sentencepiece(rewriting: Path, sentences):
    files = read_tokenizer(rewriting)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(rewriting / "tokenizer.model"))
    lines = [*REWRITTEN, *sentences["zh"][:200], *sentences["en"][:200]]
    ids = [files.backend.encode(line, add_special_tokens=False).ids for line in lines]
    assert ids == processor.encode(lines)
    assert processor.piece_to_id("---") in ids[3]


def test_such_a_base_takes_pieces_and_dead_ones_are_seen(rewriting: Path, documents):
    _, found = learnt_on(rewriting, documents, 64)
    assert found.files.backend.model.ignore_merges
    processor = sentencepiece.SentencePieceProcessor(
        model_proto=found.files.proto.SerializeToString()
    )
    texts = [d.text for d in documents] + REWRITTEN
    ids = [found.files.backend.encode(text, add_special_tokens=False).ids for text in texts]
    assert ids == processor.encode(texts)
    used = {i for row in ids for i in row}
    assert len(used & {piece.id for piece in found.pieces}) > 20
    name = found.pieces[-1].piece
    assert [t.value for t in spell(found.files.backend, name)] == [name]
    split = "".join(p.piece for p in found.pieces[:2])  # is no piece
    assert len(spell(found.files.backend, split)) > 1


def test_merges_are_all_splits_best_first():
    ids = {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5}
    merges = all_splits([("ab", -1.0), ("bc", -2.0), ("abc", -3.0)], ids)
    assert merges == [("a", "b"), ("b", "c"), ("a", "bc"), ("ab", "c")]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"model_type": "unigram", "byte_fallback": True}, "not BPE"),
        ({"model_type": "bpe", "vocab_size": 100}, "no byte fallback"),
        (
            {"model_type": "bpe", "byte_fallback": True, "treat_whitespace_as_suffix": True},
            "behind words",
        ),
    ],
)
def test_kinds_that_cannot_be_exact_are_refused(tmp_path: Path, sentences, options, found: str):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences["en"]), model_prefix=str(tmp_path / "tokenizer"),
        hard_vocab_limit=False, minloglevel=2, num_threads=1, **{"vocab_size": 300} | options,
    )  # fmt: skip
    with pytest.raises(ModelError, match="exactly") as caught:
        read_tokenizer(tmp_path)
    assert found in str(caught.value.found)
    assert "choose a base" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.model", b"version https://git-lfs.github.com/spec/v1\n", "not a SentencePiece"),
        ("tokenizer.model", b"", "not a SentencePiece"),
        ("tokenizer.json", b"{", "does not load"),
        ("tokenizer_config.json", b"{", "not JSON"),
        ("readme.txt", b"", "No tokenizer"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        read_tokenizer(tmp_path)
    assert str(tmp_path) in str(caught.value.where)
    assert caught.value.fix


def test_a_tokenizer_json_is_used_as_it_is(byte_level: Path, tmp_path: Path):
    files = read_tokenizer(byte_level)
    assert files.proto is None
    files.save(tmp_path)
    before, after = (json.loads((p / "tokenizer.json").read_text()) for p in (byte_level, tmp_path))
    assert before == after
    assert files.fast().eos_token == "<|end|>"
    assert files.fast()("Tom  likes 小明")["input_ids"]
    assert read_tokenizer(byte_level / "tokenizer.json").backend.to_str() == files.backend.to_str()
