from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanhua.core.errors import InputError
from hanhua.text.quality import scorer as module
from hanhua.text.quality.features import BUCKETS, features, token_hashes
from hanhua.text.quality.scorer import MIN_TEXTS, Scorer, train_scorer
from hanhua.text.scripts import code_points

NOUNS = "小明 河边 市场 朋友 早上 山上 白菜 学校 老师 孩子 红色 房子 雨水 道路 工人 医生".split()
ADS = "代开发票 加微信 免费领取 立即注册 最低价 包邮 送彩金 返水 秒到账 正品 扫码 抢购".split()


def good(n):
    pick = random.Random(n).choice
    return "".join(
        f"{pick(NOUNS)}在{pick(NOUNS)}看见了{pick(NOUNS)}，说：“真好！”\n" for _ in range(8)
    )


def bad(n):
    pick = random.Random(n).choice
    return "".join(f"{pick(ADS)}{pick(NOUNS)}{pick(ADS)}，{pick(ADS)}！\n" for _ in range(10))


@pytest.fixture(scope="module")
def trained():
    return train_scorer(map(good, range(120)), map(bad, range(150)), 5)


def test_good_texts_score_above_bad_ones_it_never_saw(trained):
    record = trained.record
    assert record.good + record.held_out_good == 120
    assert record.bad + record.held_out_bad == 150
    assert min(record.held_out_good, record.held_out_bad) > 10
    assert record.accuracy > 0.95
    assert record.auc > 0.99
    assert 0 <= record.auc_stderr < 0.05
    lowest = min(trained.score(good(n)) for n in range(1000, 1050))
    highest = max(trained.score(bad(n)) for n in range(1000, 1050))
    assert highest < 0.5 < lowest


def test_english_is_seen_as_words():
    letters = random.Random(1)
    names = ["river", "market", "teacher", "garden", "morning", "friend"]
    fair = [
        f"The {letters.choice(names)} was near the {letters.choice(names)} {n}." * 3
        for n in range(60)
    ]
    sold = [f"Buy cheap {letters.choice(names)} online now {n}!" * 3 for n in range(60)]
    scorer = train_scorer(fair, sold, 1)
    assert (
        scorer.score("The house was near the river.") > 0.5 > scorer.score("Buy cheap tea online!")
    )


def test_the_same_texts_and_seed_give_the_same_bytes(trained, tmp_path):
    again = train_scorer(map(good, range(120)), map(bad, range(150)), 5)
    other = train_scorer(map(good, range(120)), map(bad, range(150)), 6)
    for name, scorer in (("a", trained), ("b", again), ("c", other)):
        scorer.save(tmp_path / "new" / f"{name}.npz")
    a, b, c = ((tmp_path / "new" / f"{name}.npz").read_bytes() for name in "abc")
    assert a == b != c
    assert other.record.digest == trained.record.digest
    assert [p.name for p in sorted((tmp_path / "new").iterdir())] == ["a.npz", "b.npz", "c.npz"]


def test_a_saved_scorer_reads_back(trained, tmp_path):
    trained.save(tmp_path / "scorer.npz")
    read = Scorer.load(tmp_path / "scorer.npz")
    assert read.record == trained.record
    assert read.score(bad(3)) == trained.score(bad(3))


def test_what_is_no_scorer_is_named(trained, tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    with pytest.raises(InputError, match=r"no quality scorer[\s\S]*x\.npz"):
        Scorer.load(path)
    for content in (b"", b"text", b"PK\x03\x04broken"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="no quality scorer"):
            Scorer.load(path)
    np.savez(path, weights=np.zeros(3))
    with pytest.raises(InputError, match="no quality scorer"):
        Scorer.load(path)
    monkeypatch.setattr(module, "VERSION", 99)
    trained.save(path)
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"another version[\s\S]*version 99"):
        Scorer.load(path)


def test_too_few_texts_and_texts_on_both_sides():
    with pytest.raises(InputError, match=r"Too few good texts[\s\S]*3 different texts"):
        train_scorer([good(n % 3) for n in range(90)], map(bad, range(90)), 1)
    with pytest.raises(InputError, match=r"Too few bad texts[\s\S]*0 different texts"):
        train_scorer(map(good, range(MIN_TEXTS + 9)), map(good, range(9)), 1)
    scorer = train_scorer(
        map(good, range(60)), [*map(bad, range(60)), *map(good, range(9)), "", " "], 1
    )
    assert scorer.record.good + scorer.record.held_out_good == 51
    assert scorer.record.bad + scorer.record.held_out_bad == 60


@given(st.text(max_size=200))
def test_any_text_has_features_and_a_score(trained, text):
    found = features(text)
    tokens = len(token_hashes(code_points(text)))
    assert len(found) == sum(max(tokens - n, 0) for n in range(3))
    assert len(found) == 0 or int(found.max()) < BUCKETS
    assert 0 <= trained.score(text) <= 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Hello world", "hello  WORLD", True), ("２０年", "19年", True), ("汉字", "汉 字", True),
        ("一。", "一！", False), ("a b", "ab", False), ("ab", "ba", False),
        ("一\n二", "一二", False), ("on no", "no on", False),
        ("中文word中文", "中文 Word 中文", True),
    ],
)  # fmt: skip
def test_what_counts_as_the_same(one, other, same):
    assert (features(one).tolist() == features(other).tolist()) == same


def test_order_is_seen_up_to_three_tokens():
    tokens = token_hashes(code_points("我们去上学"))
    assert len(set(tokens.tolist())) == 5
    assert len(features("我们去上学")) == 5 + 4 + 3
    assert sorted(features("我们去")[:3].tolist()) == sorted(features("去我们")[:3].tolist())
    assert sorted(features("我们去").tolist()) != sorted(features("去我们").tolist())


@given(st.lists(st.integers(-5, 5), min_size=1), st.lists(st.integers(-5, 5), min_size=1))
def test_auc_is_the_share_of_pairs_in_order(high, low):
    pairs = [(a > b) + 0.5 * (a == b) for a in high for b in low]
    found = module._auc(np.array(high, dtype=float), np.array(low, dtype=float))
    assert found == pytest.approx(sum(pairs) / len(pairs))
    assert module._auc_stderr(found, len(high), len(low)) >= 0


def test_longer_evidence_counts_more_up_to_the_training_length(trained):
    scores = [trained.score(bad(1)[:n]) for n in (10, 40, 160)]
    assert all(later < earlier for earlier, later in pairwise(scores))
    long = trained.score(bad(1) * 400)
    assert long == pytest.approx(trained.score(bad(1) * 800), abs=1e-3)


def test_of_many_texts_the_same_ones_are_learnt_from_in_any_order(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "MAX_TEXTS", 40)
    fair, sold = list(map(good, range(150))), [*map(bad, range(130)), *map(good, range(25))]
    for name in "ab":
        scorer = train_scorer(fair, sold, 3)
        scorer.save(tmp_path / name)
        random.Random(1).shuffle(fair)
        random.Random(2).shuffle(sold)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    record = scorer.record
    assert 25 < record.good + record.held_out_good < 40  # some of the 40 are on both sides
    assert 25 < record.bad + record.held_out_bad <= 40


def test_log_odds_rank_what_the_score_cannot_tell_apart():
    weights = np.full(BUCKETS, 3.0, dtype=np.float32)
    scorer = Scorer(weights, 0.0, train_scorer(map(good, range(60)), map(bad, range(60)), 1).record)
    few, many = good(1), good(1) * 3
    assert scorer.score(few) == scorer.score(many) == 1.0
    assert scorer.log_odds(few) < scorer.log_odds(many)
