"""Rank files: the ids are tiktoken's, whatever the text."""

from __future__ import annotations

import base64
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.core.errors import ModelError
from hanhua.vocab.tiktoken import from_ranks, read_ranks
from hanhua.vocab.tokenizer import read_tokenizer


def joined(ranks: dict[bytes, int], word: bytes) -> list[int]:
    """tiktoken's rule, as slow as it is plain: join the neighbours of the lowest rank, leftmost."""
    if word in ranks:
        return [ranks[word]]
    parts = [word[i : i + 1] for i in range(len(word))]
    while True:
        pairs = [(ranks[a + b], i) for i, (a, b) in enumerate(itertools.pairwise(parts))
                 if a + b in ranks]  # fmt: skip
        if not pairs:
            return [ranks[part] for part in parts]
        _, i = min(pairs)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]


@pytest.fixture(scope="module", params=["llama3/tokenizer.model", "qwen/qwen.tiktoken"])
def real(request, shared_data):
    path = shared_data / "tokenizers" / request.param
    tokenizer, _ = from_ranks(path)
    return tokenizer, {token: i for i, token in enumerate(read_ranks(path))}


TEXT = st.text(st.one_of(
    st.sampled_from("我想在中国人民的大学校里学习，。！的 a b the ing\n\t 0123456789 é"),
    st.characters(exclude_categories=["Cs"]),
), max_size=40)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(text=TEXT)
def test_ids_are_those_of_the_ranks(real, text):
    tokenizer, ranks = real
    if any(token.content in text for token in tokenizer.get_added_tokens_decoder().values()):
        return
    normal = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
    words = tokenizer.pre_tokenizer.pre_tokenize_str(normal)
    expected = (
        [i for _, (start, end) in words for i in joined(ranks, normal[start:end].encode())]
        if all(start != end for _, (start, end) in words)
        else None
    )
    found = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(found, skip_special_tokens=False) == normal
    if expected is not None and len(set(words)) == len(words):
        assert found == expected


def test_special_tokens_follow_the_ranks(shared_data):
    folder = shared_data / "tokenizers" / "llama3"
    tokenizer = read_tokenizer(folder).fast()
    assert tokenizer.convert_tokens_to_ids(["<|begin_of_text|>", "<|eot_id|>"]) == [128000, 128009]
    assert len(tokenizer) == 128256
    assert tokenizer("hi")["input_ids"][0] == 128000


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["YQ== 0", "Yg== 2"], "Ranks are missing"),
        (["YQ== 0", "Yg=="], "not a token and its rank"),
        (["YQ== 0", "%%% 1"], "not a token and its rank"),
        ([f"{base64.b64encode(bytes([i])).decode()} {i}" for i in range(256)], "Nobody has said"),
    ],
)
def test_broken_rank_files(tmp_path, lines, message):
    path = tmp_path / "x.tiktoken"
    path.write_text("\n".join(lines))
    with pytest.raises(ModelError, match=message):
        read_tokenizer(path)
