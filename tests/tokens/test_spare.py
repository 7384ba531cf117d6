"""Rows packed beyond the shares, for a mixture that moves while it trains."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hanhua.core.progress import Silent
from hanhua.recipe import load_recipe
from hanhua.tokens.build import build_rows
from hanhua.tokens.config import TokensConfig
from hanhua.tokens.mixed import MixedRows, MixedState
from hanhua.tokens.rows import PackedRows, Row, RowsWriter
from hanhua.train.config import SteerConfig

ROOM = 64
BUDGET = 3000


def build(tokenizer, corpus, out, **values):
    section = TokensConfig(
        **({"seq_len_tokens": ROOM, "budget_tokens": BUDGET, "shares": {"zh": 0.5, "en": 0.5}}
           | values)
    )  # fmt: skip
    meta = build_rows(tokenizer, 400, corpus, section, out, seed=5, progress=Silent())
    return meta, PackedRows.open(out), PackedRows.open_spare(out)


def texts(rows):
    """Rows as bytes, by language."""
    found = {name: [] for name in rows.languages}
    for i in range(len(rows)):
        row = rows.row(i)
        found[row.language].append(row.tokens.tobytes())
    return found


@pytest.mark.parametrize("pool_tokens", [None, 6000])
def test_they_are_other_rows_and_the_shares_stay(tokenizer, corpus, tmp_path, pool_tokens):
    spare = {"en": 0.6, "zh": 0.2}
    meta, rows, more = build(
        tokenizer, corpus, tmp_path / "rows", spare=spare, pool_tokens=pool_tokens
    )
    assert sum(meta["tokens_by_language"].values()) == pytest.approx(BUDGET, abs=2 * ROOM)
    assert meta["shares"]["counted"]["en"] == pytest.approx(0.5, abs=0.02)
    for name, part in spare.items():
        assert meta["spare_tokens"][name] == pytest.approx(part * BUDGET, abs=ROOM)
        assert more.meta["tokens_by_language"][name] == meta["spare_tokens"][name]
    written, beyond = texts(rows), texts(more)
    for name in spare:
        both = Counter(written[name]) + Counter(beyond[name])
        assert max(both.values()) == 1  # nothing stands in both


def test_without_text_to_spare_there_is_none(tokenizer, corpus, tmp_path):
    """What the corpus has is spared once; a corpus that is repeated has nothing to spare."""
    meta, _, more = build(tokenizer, corpus, tmp_path / "some" / "rows", spare={"en": 100.0})
    assert meta["spare_tokens"]["zh"] == 0
    one, _, none = build(
        tokenizer, corpus, tmp_path / "none" / "rows", spare={"en": 0.5}, budget_tokens=60_000
    )
    held = one["documents"]["en"]["document_tokens"]
    assert one["documents"]["en"]["epochs"] > 1  # the case is there
    assert meta["spare_tokens"]["en"] == pytest.approx(held - 0.5 * BUDGET, abs=2 * ROOM)
    assert len(more) > 0
    assert none is None
    assert "spare_tokens" not in one


def test_domains_spare_by_their_shares():
    section = TokensConfig(
        shares={"zh": 0.4, "en/books": 0.4, "en/news": 0.2}, spare={"en": 0.3}, budget_tokens=1000
    )
    assert [section.spare_tokens(key) for key in section.shares] == [0, 200, 100]


def test_a_language_without_a_share_spares_nothing():
    with pytest.raises(ValidationError, match="spare names fr, but the shares are of en, zh"):
        TokensConfig(spare={"fr": 0.1})


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30), st.floats(0.2, 0.8), st.integers(1, 12))
def test_they_are_read_before_any_row_is_read_again(tmp_path_factory, n_spare, zh, steps):
    folder = tmp_path_factory.mktemp("rows")
    kept = []
    for name, first, n in (("rows", 0, 40), ("spare", 40, n_spare)):
        writer = RowsWriter(folder / name, 16, 200, ["en", "zh"])
        for i in range(first, first + n):
            writer.add(Row(np.full(16, i), None, np.array([16], np.int32), ("zh", "en")[i % 2]))
        writer.close()
        kept.append(PackedRows.open(folder / name))
    mixed, state, found = MixedRows(kept[0], 3, 2.0, kept[1]), MixedState(), []
    for _ in range(steps):
        batch, state = mixed.read(state, 5, {"zh": zh, "en": 1 - zh})
        found += batch.rows
    for name, odd in (("zh", 0), ("en", 1)):
        own = [int(row.tokens[0]) for row in found if row.language == name]
        once = [i for i in range(40 + n_spare) if i % 2 == odd]
        assert own[: len(once)] == once[: len(own)]
        assert len(set(own[len(once) :])) == len(own[len(once) :])  # and then each once again


def test_steering_has_as_much_packed_as_its_bounds_can_ask_for(tmp_path):
    def asked(*settings):
        recipe = load_recipe(tmp_path / "recipe.yaml", settings)
        nodes = {node.stage.name: node.config for node in recipe.walk(tmp_path).nodes}
        return nodes["tokens"].spare

    (tmp_path / "recipe.yaml").write_text(
        "name: one\nbase: {model: nothing}\ncorpus: {sources: [{path: a.txt, language: zh}]}\n"
        "tokens: {shares: {zh: 0.5, en: 0.4, fr: 0.1}}\npretrain: {}\n"
    )
    steer = "pretrain.steer={wish: en+1%, low: 0.2, high: 0.95, wait_share: 0.25}"
    assert asked() is None
    # zh up to the 0.9 that fr leaves, en up to 0.9 - 0.2, in the three quarters where they move
    assert asked(steer) == {"zh": 0.3, "en": 0.225}
    assert asked(steer, "tokens.spare={}") == {}
    assert SteerConfig(wish="en+1%", low=0.2, high=0.4).spare(
        {"zh": 0.5, "en": 0.5}, "zh", "en"
    ) == {"en": 0.3}  # it begins at a bound, so it moves all along
