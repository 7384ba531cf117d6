"""Shares of trained tokens hold on every prefix, and mixtures read the same rows of a language."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.core.progress import Silent
from hanhua.tokens.build import build_rows
from hanhua.tokens.config import TokensConfig
from hanhua.tokens.ids_file import Documents
from hanhua.tokens.mixture import interleave, take
from hanhua.tokens.pack import pack
from hanhua.tokens.row_plan import Planner
from hanhua.tokens.rows import PackedRows

ROOM = 64
LONG_PREFIX_ROWS = 1000
MOST_OFF = 0.005


def planned(lengths, share, budget, *, seed, language, folder, pack_tokens=None, max_epochs=4.0):
    """Tokens in each row of a language, in order, by the parts that the stage is made of."""
    documents = Documents(np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    planner = Planner(Path(folder) / language, ROOM, pack, pack_tokens)
    target = round(share * budget)
    epochs = take(lengths, target, language=language, max_epochs=max_epochs, seed=seed)
    for epoch, chosen in enumerate(epochs):
        planner.add(documents, chosen, seed, language, epoch)
    plan = planner.plan()
    starts = np.concatenate([[0], plan.row_ends[:-1]]).astype(np.int64)
    return np.add.reduceat(plan.lengths.astype(np.int64), starts)


@settings(max_examples=12)
@given(
    share=st.floats(0.02, 0.98), seed=st.integers(0, 2**31),
    means=st.tuples(st.floats(2.0, 6.0), st.floats(2.0, 6.0)),
    spread=st.floats(0.1, 1.5), pack_tokens=st.sampled_from([None, 64 * ROOM]),
    scarce=st.booleans(),
)  # fmt: skip
def test_no_long_prefix_is_half_a_percent_off(share, seed, means, spread, pack_tokens, scarce):
    budget = 2500 * ROOM
    draw = np.random.default_rng(seed)
    sizes = {"en": 1 - share, "zh": share}
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for (language, part), mean in zip(sizes.items(), means, strict=True):
            lengths = np.maximum(draw.lognormal(mean, spread, 20_000), 1).astype(np.int64)
            lengths = np.minimum(lengths, 20 * ROOM)  # some are cut into many rows
            wanted = part * budget * (0.4 if scarce else 1.2)  # scarce: it is repeated
            n = int(np.searchsorted(np.cumsum(lengths), wanted)) + 1
            rows[language] = planned(
                lengths[:n], part, budget, seed=seed, language=language, folder=folder,
                pack_tokens=pack_tokens,
            )  # fmt: skip
    which = np.concatenate(list(interleave({k: len(v) for k, v in rows.items()}, seed)))
    tokens = np.zeros(len(which), np.int64)
    for index, language in enumerate(sorted(rows)):
        tokens[which == index] = rows[language]
    zh = np.cumsum(np.where(which == 1, tokens, 0)) / np.cumsum(tokens)
    assert len(zh) > LONG_PREFIX_ROWS
    assert np.abs(zh[LONG_PREFIX_ROWS:] - share).max() <= MOST_OFF


@pytest.mark.parametrize("pack_tokens", [4 * ROOM, None])
def test_a_lower_share_reads_the_first_rows_of_a_higher_one(
    tokenizer, corpus, tmp_path, pack_tokens
):
    read = {}
    for share in (0.3, 0.6):
        section = TokensConfig(
            seq_len_tokens=ROOM, budget_tokens=9000, shares={"zh": share, "en": 1 - share},
            tolerance=0.05, pack_tokens=pack_tokens,
        )  # fmt: skip
        out = tmp_path / str(share)
        build_rows(tokenizer, 400, corpus, section, out, seed=5, progress=Silent())
        rows = PackedRows.open(out)
        found = [rows.row(i) for i in range(len(rows))]
        read[share] = [row.tokens.tobytes() for row in found if row.language == "zh"]
    few, many = read[0.3], read[0.6]
    assert 1.5 * len(few) < len(many)  # the case is there
    same = next((i for i, row in enumerate(few) if row != many[i]), len(few))
    if pack_tokens is None:
        assert same < len(few) - 5  # packed as one, the order depends on how many there are
    else:
        assert same >= len(few) - 6  # all but the last window


def test_rows_from_a_pool_are_a_sample_of_many_documents(tokenizer, corpus, tmp_path):
    """Of two shares and of two budgets the one reads the first rows of the other, all of them."""
    read, documents = {}, {}
    for share, budget, pool in ((0.3, 3000, 9000), (0.6, 3000, 9000), (0.6, 3000, None)):
        section = TokensConfig(
            seq_len_tokens=ROOM, budget_tokens=budget, shares={"zh": share, "en": 1 - share},
            tolerance=0.05, pool_tokens=pool,
        )  # fmt: skip
        out = tmp_path / f"{share}-{pool}"
        meta = build_rows(tokenizer, 400, corpus, section, out, seed=5, progress=Silent())
        rows = PackedRows.open(out)
        found = [rows.row(i) for i in range(len(rows))]
        read[share, pool] = [row.tokens.tobytes() for row in found if row.language == "zh"]
        documents[share, pool] = meta["documents"]["zh"]["documents"]
        counted = sum(len(row.tokens) for row in found if row.language == "zh")
        assert abs(counted - share * budget) <= ROOM
    few, many = read[0.3, 9000], read[0.6, 9000]
    assert 1.5 * len(few) < len(many)  # the case is there
    assert few == many[: len(few)]
    assert documents[0.3, 9000] == documents[0.6, 9000] > 2 * documents[0.6, None]


def test_a_pool_larger_than_the_corpus_is_all_of_it(tokenizer, corpus, tmp_path):
    section = TokensConfig(
        seq_len_tokens=ROOM, budget_tokens=3000, shares={"zh": 0.5, "en": 0.5},
        pool_tokens=10**9, max_epochs=1.0,
    )  # fmt: skip
    meta = build_rows(tokenizer, 400, corpus, section, tmp_path / "out", seed=5, progress=Silent())
    assert sum(meta["tokens_by_language"].values()) == pytest.approx(3000, abs=2 * ROOM)
    assert meta["documents"]["zh"]["epochs"] < 1


def test_windows_lose_no_token(tokenizer, corpus, tmp_path):
    counted = []
    for pack_tokens in (None, 4 * ROOM):
        section = TokensConfig(
            seq_len_tokens=ROOM, budget_tokens=9000, shares={"zh": 0.6, "en": 0.4},
            pack_tokens=pack_tokens,
        )  # fmt: skip
        out = tmp_path / str(pack_tokens)
        meta = build_rows(tokenizer, 400, corpus, section, out, seed=5, progress=Silent())
        counted.append(meta["tokens_by_language"])
        ids = np.concatenate([PackedRows.open(out).row(i).tokens for i in range(meta["n_rows"])])
        counted.append(np.bincount(ids, minlength=400).tolist())
    assert counted[:2] == counted[2:]
