"""Shares of domains: counted from the rows, and a row is of a language only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hanhua.core.errors import MixtureError
from hanhua.core.progress import Silent
from hanhua.text.document import Document
from hanhua.text.domains import has_domains, language_of
from hanhua.text.shards import write_documents
from hanhua.tokens.build import build_rows
from hanhua.tokens.config import TokensConfig
from hanhua.tokens.mixture import by_language
from hanhua.tokens.rows import PackedRows

KEYS = ("zh", "zh/news", "zh/books", "en")
SHARES = st.dictionaries(
    st.sampled_from(["zh", "zh/news", "zh/books", "en", "en/web", "ja"]), st.floats(0, 1),
    min_size=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory, sentences):
    """A corpus of four keys, 120 documents each; each says which it is of."""
    found = tmp_path_factory.mktemp("domains")
    for number, key in enumerate(KEYS):
        language = language_of(key)
        lines = sentences[language]
        documents = [
            Document(f"{key}/{i}", " ".join([f"{number}{number}{number}", *lines[i : i + 3]]),
                     language, key, "CC0")
            for i in range(120)
        ]  # fmt: skip
        write_documents(found / "train" / f"{key}-00000.parquet", documents)
    return found


def build(tokenizer, corpus, out, shares, **values):
    values = {"seq_len_tokens": 64, "budget_tokens": 12_000, "tolerance": 0.02} | values
    section = TokensConfig(shares=shares, **values)
    meta = build_rows(tokenizer, 400, corpus, section, out, seed=5, progress=Silent())
    return meta, PackedRows.open(out)


def marks(tokenizer, rows):
    """Language of each row -> which keys its documents are of."""
    found = {}
    for i in range(len(rows)):
        row = rows.row(i)
        text = tokenizer.decode(row.tokens)
        seen = {key for number, key in enumerate(KEYS) if f"{number}{number}{number}" in text}
        found.setdefault(row.language, set()).update(seen)
    return found


def test_shares_of_domains_are_counted_and_rows_are_of_languages(tokenizer, folder, tmp_path):
    shares = {"zh/news": 0.2, "zh/books": 0.3, "en": 0.5}
    meta, rows = build(tokenizer, folder, tmp_path / "rows", shares)
    for key, share in shares.items():
        assert meta["domains"]["asked"][key] == share
        assert meta["domains"]["counted"][key] == pytest.approx(share, abs=0.02)
    assert sum(meta["domains"]["counted"].values()) == pytest.approx(1)
    assert meta["shares"]["asked"] == {"en": 0.5, "zh": 0.5}
    assert rows.languages == ["en", "zh"]
    tokens = meta["tokens_by_language"]
    assert meta["shares"]["counted"]["zh"] == pytest.approx(tokens["zh"] / sum(tokens.values()))
    assert marks(tokenizer, rows) == {"zh": {"zh/news", "zh/books"}, "en": {"en"}}
    assert meta["documents"].keys() == shares.keys()


@pytest.mark.parametrize(
    ("shares", "found"),
    [
        ({"zh": 0.5, "en": 0.5}, {"zh", "zh/news", "zh/books"}),
        ({"zh": 0.3, "zh/news": 0.2, "en": 0.5}, {"zh", "zh/news", "zh/books"}),
        ({"zh": 0.5, "zh/news": 0.0, "en": 0.5}, {"zh", "zh/books"}),
    ],
)
def test_a_language_alone_is_all_that_no_named_domain_takes(
    tokenizer, folder, tmp_path, shares, found
):
    meta, rows = build(tokenizer, folder, tmp_path / "rows", shares)
    assert marks(tokenizer, rows)["zh"] == found
    assert ("domains" in meta) == has_domains(shares)
    if shares.get("zh/news"):
        own = {key: facts["documents"] for key, facts in meta["documents"].items()}
        assert own["zh"] > 0
        assert own["zh/news"] <= 120  # a key repeats its own documents only


def test_a_domain_that_is_missing_or_too_small_is_told(tokenizer, folder, tmp_path):
    with pytest.raises(MixtureError, match="the corpus has en, zh, zh/books, zh/news"):
        build(tokenizer, folder, tmp_path / "a", {"zh/poems": 0.5, "en": 0.5})
    (tmp_path / "train" / "zh").mkdir(parents=True)
    news = folder / "train" / "zh" / "news-00000.parquet"
    (tmp_path / "train" / "zh" / news.name).write_bytes(news.read_bytes())
    with pytest.raises(MixtureError, match="no zh text beside zh/news"):
        build(tokenizer, tmp_path, tmp_path / "b", {"zh/news": 0.5, "zh": 0.5})
    with pytest.raises(MixtureError, match=r"tokens\.shares\.zh/news"):
        build(tokenizer, folder, tmp_path / "c", {"zh/news": 0.9, "en": 0.1},
              budget_tokens=200_000)  # fmt: skip


@given(SHARES)
def test_shares_of_languages_are_sums_of_their_domains(shares):
    found = by_language({"asked": shares})["asked"]
    assert sum(found.values()) == pytest.approx(sum(shares.values()))
    assert found.keys() == {language_of(key) for key in shares}
    if not has_domains(shares):
        assert found == dict(sorted(shares.items()))
        assert list(found) == sorted(found)


@pytest.mark.parametrize("key", ["zh/", "zh/News", "/news", "zh/a/b"])
def test_a_key_that_is_no_domain_is_refused(key):
    with pytest.raises(ValidationError, match="zh/news"):
        TokensConfig(shares={key: 0.5, "en": 0.5})
