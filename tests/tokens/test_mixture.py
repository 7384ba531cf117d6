"""Shares by tokens, whole epochs first, and honest refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hanhua.core.errors import MixtureError
from hanhua.core.progress import Silent
from hanhua.tokens.build import build_rows
from hanhua.tokens.config import TokensConfig
from hanhua.tokens.encode import encode_documents
from hanhua.tokens.mixture import LOOKAHEAD, SLACK, check_shares, fill, interleave, take
from hanhua.tokens.rows import PackedRows


def config(**values):
    return TokensConfig(**{"seq_len_tokens": 64, "shares": {"zh": 0.6, "en": 0.4}, **values})


def build(tokenizer, corpus, out, section, seed=5):
    meta = build_rows(tokenizer, 400, corpus, section, out, seed=seed, progress=Silent())
    return meta, PackedRows.open(out)


def test_fill_passes_over_what_is_too_long():
    found = fill(np.array([50, 30, 40, 20]), 100)
    assert found.chosen.tolist() == [0, 1, 3]
    assert (found.passed, found.ended) == (1, True)


def one_by_one(lengths, room):
    """The rule of ``fill``, read aloud."""
    chosen, passed, left = [], [], room
    for i, n in enumerate(lengths):
        if n <= left:
            chosen.append(i)
            left -= n
        else:
            passed.append(i)
        if left <= SLACK * room or len(passed) > LOOKAHEAD:
            break
    if passed:
        shortest = min(passed, key=lambda i: lengths[i])
        if lengths[shortest] < 2 * left:
            chosen.append(shortest)
    return chosen, len(passed)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 60), max_size=400), st.integers(1, 3000))
def test_fill_is_the_rule_one_by_one(lengths, room):
    found = fill(np.array(lengths, np.int64), room)
    assert (found.chosen.tolist(), found.passed) == one_by_one(lengths, room)


def test_fill_takes_one_too_many_when_that_is_nearer():
    found = fill(np.array([50, 60]), 100)
    assert found.chosen.tolist() == [0, 1]
    assert not found.ended  # a third document might have fitted


def test_whole_epochs_come_before_a_part():
    lengths = np.array([10, 20, 30, 40])
    epochs = list(take(lengths, 250, language="zh", max_epochs=4, seed=1))
    assert [lengths[epoch].sum() for epoch in epochs] == [100, 100, 50]
    assert all(sorted(epoch.tolist()) == [0, 1, 2, 3] for epoch in epochs[:2])


def test_too_little_text_is_an_error_with_numbers():
    with pytest.raises(MixtureError) as error:
        list(take(np.array([10, 20]), 100, language="zh", max_epochs=2, seed=1))
    assert "100 tokens asked, 30 in the corpus: 3.33 epochs" in error.value.message
    assert "tokens.max_epochs" in error.value.message
    assert "59 tokens of zh" in error.value.message


def test_a_language_without_text_is_an_error(tokenizer, corpus, tmp_path):
    with pytest.raises(MixtureError, match="no fr text"):
        build(tokenizer, corpus, tmp_path / "rows", config(budget_tokens=100, shares={"fr": 1.0}))


def test_shares_outside_the_tolerance_are_an_error():
    asked = {"zh": 0.7, "en": 0.3}
    assert check_shares(asked, {"zh": 699, "en": 301}, 0.01)["counted"]["zh"] == 0.699
    with pytest.raises(MixtureError, match=r"asked 0\.3000, counted 0\.4000 of 1,000 tokens"):
        check_shares(asked, {"zh": 600, "en": 400}, 0.01)


def test_shares_must_sum_to_one():
    with pytest.raises(ValidationError, match="sum to 1, these sum to"):
        TokensConfig(shares={"zh": 0.5, "en": 0.4})


def test_every_stretch_has_the_mixture():
    counts = {"zh": 700, "en": 300}

    def order(seed, **values):
        return np.concatenate(list(interleave(counts, seed, **values))).tolist()

    assert order(2).count(1) == 700  # zh, the second by name
    assert order(2).count(0) == 300
    for start in range(0, 1000, 50):
        assert abs(sum(order(2)[start : start + 50]) / 50 - 0.7) <= 0.06
    assert order(2) != order(3)
    assert order(2) == order(2, slice_rows=7)


def test_rows_hold_the_shares_and_every_document_once(tokenizer, corpus, tmp_path, sentences):
    meta, rows = build(tokenizer, corpus, tmp_path / "rows", config(budget_tokens=9000))
    counted = {"zh": 0, "en": 0}
    for i in range(len(rows)):
        row = rows.row(i)
        counted[row.language] += len(row.tokens)
        assert len(row.tokens) == row.lengths.sum() <= 64
    total = sum(counted.values())
    assert abs(counted["zh"] / total - 0.6) < 0.01
    assert meta["shares"]["counted"]["zh"] == counted["zh"] / total
    assert counted == meta["tokens_by_language"]
    assert abs(total - 9000) < 90


def test_one_epoch_of_everything_is_every_token_once(tokenizer, corpus, tmp_path):
    from hanhua.text.shards import read_language

    texts = [d.text for d in read_language(corpus, "en")]
    ids = list(encode_documents(tokenizer, texts))
    total = sum(map(len, ids))
    section = config(budget_tokens=2 * total, shares={"en": 1.0}, max_epochs=2.0)
    meta, rows = build(tokenizer, corpus, tmp_path / "rows", section)
    assert meta["documents"]["en"]["epochs"] == 2.0
    written = np.concatenate([rows.row(i).tokens for i in range(len(rows))])
    expected = np.bincount(np.concatenate(ids), minlength=400) * 2
    assert (np.bincount(written, minlength=400) == expected).all()
    # the first epoch is over before the second begins
    half = np.concatenate([rows.row(i).tokens for i in range(len(rows) // 2)])
    assert (np.bincount(half, minlength=400) <= expected / 2).mean() > 0.99
    assert any(len(x) > 64 for x in ids)  # the case of a cut document occurred


def test_the_same_seed_gives_the_same_bytes(tokenizer, corpus, tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        build(tokenizer, corpus, tmp_path / name, config(budget_tokens=5000), seed)

    def content(name):
        return {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()}

    assert content("a") == content("b")
    assert content("a")["tokens.bin"] != content("c")["tokens.bin"]


def test_real_corpora_pack_with_less_than_half_a_percent_of_padding(shared_data, tmp_path):
    import gzip
    import json

    from hanhua.model.load import load_tokenizer
    from hanhua.tokens.pack import pack, padding

    real = load_tokenizer(shared_data / "models" / "stories3M-hf")
    lengths = []
    for name in ("zh/zh_recipes", "en/en_web_c4", "zh/zh_news"):
        with gzip.open(shared_data / "corpora" / f"{name}.jsonl.gz", "rt") as file:
            texts = [json.loads(line)["text"] for line in file][:400]
        lengths += [len(ids) for ids in encode_documents(real, texts)]
    for seq_len_tokens in (512, 2048, 4096):
        rows = pack(np.array(lengths), seq_len_tokens)
        assert padding(rows, seq_len_tokens) < 0.005 * len(rows) * seq_len_tokens
