"""Encoding by remembered parts: the core's ids, whatever the text."""

from __future__ import annotations

import gzip
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from hanhua.tokens import part_encoder, part_table
from hanhua.tokens.encode import DocumentEncoder, text_encoder
from hanhua.tokens.part_encoder import PartEncoder

ALPHABET = "ab Tom▁小明。，\n\t é😀<s>/0x\x00Ａ"


def ids_of(core, texts):
    return [code.ids for code in core.encode_batch(texts, add_special_tokens=False)]


def by_parts(encoder, texts):
    ids, lengths = encoder.encode(texts)
    assert len(lengths) == len(texts)
    assert lengths.sum() == len(ids)
    return [part.tolist() for part in np.split(ids, np.cumsum(lengths)[:-1])]


@pytest.fixture(scope="module")
def encoder(tokenizer):
    return PartEncoder.of(text_encoder(tokenizer))


@settings(max_examples=150)
@given(texts=st.lists(st.text(st.sampled_from(ALPHABET), max_size=40), min_size=1, max_size=6))
def test_any_text_has_the_cores_ids(tokenizer, encoder, texts):
    assert by_parts(encoder, texts) == ids_of(text_encoder(tokenizer), texts)


@settings(max_examples=60)
@given(texts=st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_any_unicode_has_the_cores_ids(tokenizer, encoder, texts):
    assert by_parts(encoder, texts) == ids_of(text_encoder(tokenizer), texts)


def test_real_tokenizers_on_real_text(shared_data, tmp_path):
    from hanhua.vocab.tokenizer import read_tokenizer

    texts = []
    for name in ("zh/zh_recipes", "zh/zh_luxun", "en/en_web_c4", "zh/zh_pydocs"):
        with gzip.open(shared_data / "corpora" / f"{name}.jsonl.gz", "rt") as file:
            texts += [json.loads(next(file))["text"][:3000] for _ in range(12)]
    for name in ("llama2", "chinese-llama-2"):
        backend = read_tokenizer(shared_data / "tokenizers" / name).backend
        core = Tokenizer.from_str(backend.to_str())
        core.encode_special_tokens = True
        encoder = PartEncoder.of(core)
        assert encoder is not None
        for _ in range(2):  # new, then remembered
            assert by_parts(encoder, texts) == ids_of(core, texts)
        assert encoder.table.hashes.n > 1000


def test_forgetting_changes_nothing(tokenizer, sentences, monkeypatch):
    monkeypatch.setattr(part_table, "MAX_PARTS", 20)
    encoder = PartEncoder.of(text_encoder(tokenizer))
    texts = sentences["en"][:40]
    expected = ids_of(text_encoder(tokenizer), texts)
    tables = set()
    for text, ids in zip(texts, expected, strict=True):
        assert by_parts(encoder, [text]) == [ids]
        tables.add(id(encoder.table))
    assert len(tables) > 1


def made(normalizer=None, pre_tokenizer=None, **values):
    """A BPE of a and b with byte fallback."""
    pieces = ["a", "b", "▁", "aa", "ab", "ba", "bb", "abb", *(f"<0x{i:02X}>" for i in range(256))]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    merges = [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b"), ("ab", "b")]
    core = Tokenizer(models.BPE(vocab, merges, byte_fallback=True, **values))
    core.normalizer = normalizer or normalizers.Replace(" ", "▁")
    if pre_tokenizer:
        core.pre_tokenizer = pre_tokenizer
    return core


def test_two_parts_with_one_hash_are_told_apart():
    """A polynomial modulo 2^64 is the same for a long Thue-Morse word and its opposite."""
    word = np.array([bin(i).count("1") % 2 for i in range(1 << 11)])
    texts = ["".join("ab"[i] for i in word), "".join("ba"[i] for i in word)]
    encoder = PartEncoder.of(made())
    assert encoder.encode(texts[:1]) is not None
    assert encoder.encode(texts[1:]) is None  # taken for the first, and seen not to be it
    whole = DocumentEncoder(made(), [], [])
    whole._parts = encoder
    ids, lengths = whole.encode(texts)
    assert np.split(ids, [lengths[0]])[1].tolist() == ids_of(made(), texts)[1]


def test_a_separator_that_is_a_part_itself():
    encoder = PartEncoder.of(made())
    assert encoder.separator == "\n"
    texts = ["a\nb\n\nab", "\n", "b"]
    assert by_parts(encoder, texts) == ids_of(made(), texts)


@pytest.mark.parametrize(
    "core",
    [
        made(normalizers.NFKC()),
        made(pre_tokenizer=pre_tokenizers.Whitespace()),
        made(ignore_merges=True),
        made(dropout=0.5),
        Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")])),
        Tokenizer(models.Unigram([("a", 0.0), ("b", -1.0)], unk_id=0)),
    ],
)
def test_tokenizers_of_another_kind_are_left_to_the_core(core):
    assert PartEncoder.of(core) is None


def test_added_tokens_that_are_not_special_are_left_to_the_core():
    core = made()
    core.add_tokens([AddedToken("ab", special=False)])
    assert PartEncoder.of(core) is None


def test_documents_are_the_same_by_parts_and_by_the_core(tokenizer, sentences, monkeypatch):
    texts = [*sentences["zh"][:60], "", *sentences["en"][:60], "</s> <s>"]
    slow, fast = DocumentEncoder.of(tokenizer), DocumentEncoder.of(tokenizer)
    expected = slow.encode(texts)
    assert slow._parts is None  # so little text isn't worth it
    monkeypatch.setattr("hanhua.tokens.encode.PARTS_FROM_CHARS", 0)
    found = fast.encode(texts)
    assert isinstance(fast._parts, PartEncoder)
    copied = pickle.loads(pickle.dumps(slow)).encode(texts)
    for ids, lengths in (found, copied):
        assert ids.tolist() == expected[0].tolist()
        assert lengths.tolist() == expected[1].tolist()
    assert part_encoder.TOGETHER > 1
