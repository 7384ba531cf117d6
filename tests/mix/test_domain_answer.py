"""Several sources: which mixtures are run, what is recommended, and when nothing can be told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.core.errors import StorageError, UsageError
from hanhua.core.wish import parse_wish
from hanhua.mix import domain_answer
from hanhua.mix.domain_answer import recommend_shares
from hanhua.mix.domain_result import domain_result, domain_text
from hanhua.mix.domain_study import REACH, DomainRun, DomainStudy, plan_mixtures
from hanhua.mix.domain_trust import check_law

OWN = {"zh/news": 0.3, "zh/web": 0.3, "en/web": 0.2, "en/books": 0.2}
KEYS = tuple(OWN)
RATES = {"zh": [-0.6, -0.2, 0.3, 0.3], "en": [0.3, 0.3, -0.2, -0.5]}
BASE = {"zh": 1.9, "en": 1.6}


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(domain_answer, "DRAWS", 40)


def true_losses(language, shares):
    return 1.0 + 0.6 * np.exp(np.asarray(shares) @ np.array(RATES[language]))


def made(runs=10, scatter=0.002, seed=0, flat=False):
    rng = np.random.default_rng(seed)
    shares = np.array([list(one.values()) for one in plan_mixtures(OWN, runs, seed=seed)])
    losses = {
        name: (np.full(runs, 1.6) if flat else true_losses(name, shares))
        * (1 + scatter * rng.standard_normal(runs))
        for name in BASE
    }
    found = tuple(
        DomainRun(dict(zip(KEYS, row, strict=True)), 1e6, {n: float(losses[n][i]) for n in BASE})
        for i, row in enumerate(shares)
    )
    return DomainStudy("zh", "en", KEYS, OWN, BASE, found)


def total(shares):
    return sum(true_losses(name, shares) / BASE[name] for name in BASE)


SHARES = st.lists(st.floats(0.02, 1), min_size=2, max_size=6).map(
    lambda parts: {f"zh/d{i}": p / sum(parts) for i, p in enumerate(parts)}
)


@given(SHARES, st.integers(3, 16), st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_mixtures_are_whole_within_reach_and_begin_alike(shares, runs, seed):
    found = plan_mixtures(shares, runs, seed=seed)
    assert found[0] == shares
    assert len(found) == runs
    assert found[: runs - 1] == plan_mixtures(shares, runs - 1, seed=seed)
    for one in found:
        assert list(one) == list(shares)
        assert sum(one.values()) == pytest.approx(1, abs=2e-3)
        for key, share in one.items():
            assert 0 <= share <= shares[key] + REACH * (1 - shares[key]) + 3e-3
    assert len({tuple(one.values()) for one in found}) == runs


def test_mixtures_ask_no_more_than_the_corpus_holds_and_keep_what_is_left_out():
    most = {"zh/news": 0.35, "zh/web": 0.32}
    found = plan_mixtures(OWN | {"ja": 0.0}, 12, seed=3, most=most)
    assert len(found) == 12
    assert max(one["zh/news"] for one in found) <= 0.352
    assert max(one["zh/web"] for one in found) <= 0.322
    assert {one["ja"] for one in found} == {0.0}
    spread = [one["en/web"] for one in found]
    assert max(spread) - min(spread) > 0.3  # they are apart


def test_what_the_sources_do_is_found():
    study = made()
    answer = recommend_shares(study, parse_wish("best"))
    assert answer.sure, answer.why
    shares = list(answer.shares.values())
    assert sum(shares) == pytest.approx(1, abs=2e-3)
    better = total(study.own_shares[0]) - total(shares)
    assert answer.gain[1] - 0.005 <= better / 2 <= answer.gain[2] + 0.005
    assert better > 0.9 * (total(study.own_shares[0]) - min(map(total, study.shares)))
    for key in KEYS:
        assert answer.low[key] - 1e-3 <= answer.shares[key] <= answer.high[key] + 1e-3
        assert study.shares.min() <= answer.low[key]
        assert answer.high[key] <= study.shares.max() + 1e-9


def test_a_limit_is_kept_and_the_other_language_gains():
    study = made(scatter=0.0005)
    limit = float(true_losses("en", study.own_shares[0])) + 0.005
    answer = recommend_shares(study, parse_wish(f"en<={limit:.4f}"))
    shares = list(answer.shares.values())
    assert true_losses("en", shares) <= limit + 0.01
    assert true_losses("zh", shares) < true_losses("zh", study.own_shares[0])
    nearest = recommend_shares(study, parse_wish("en<=0.9"))
    assert not nearest.sure
    assert "No blend of the mixtures run meets en<=0.9" in nearest.why
    assert true_losses("en", list(nearest.shares.values())) < limit


@pytest.mark.parametrize("seed", range(4))
def test_where_shares_change_nothing_the_runs_cannot_tell(seed):
    answer = recommend_shares(made(seed=seed, flat=True), parse_wish("best"))
    assert not answer.sure
    assert "tells no more than the mean" in answer.why or "may be chance" in answer.why
    check = check_law(made(seed=seed).shares, made(seed=seed).losses("zh"))
    assert check.tells  # where they do, they can
    assert check.error < check.mean_error


def test_few_runs_and_a_lucky_start_are_told():
    few = recommend_shares(made(runs=6), parse_wish("best"))
    assert "6 runs are few for 4 sources; 8 may do" in few.why
    noisy = recommend_shares(made(scatter=0.2), parse_wish("best"))
    assert not noisy.sure
    assert "may be none" in noisy.why


def test_the_answer_in_words_says_so():
    study = made(runs=6)
    answer = recommend_shares(study, parse_wish("best"))
    result = domain_result(
        study, answer, wish="best", tokens=10**9, level=0.9,
        compute={"runs": 6, "tokens": 6 * 10**6, "of_large_run": 0.006},
    )  # fmt: skip
    words = domain_text(result)
    assert "THE RUNS CANNOT TELL: 6 runs are few" in words
    assert "the order of mixtures is what may carry over" in words
    assert result["interval"].keys() == result["shares"].keys() == set(KEYS)
    assert result["law"]["zh"]["rates"]["zh/news"] < result["law"]["zh"]["rates"]["en/books"]


def test_a_study_comes_back_from_its_file(tmp_path):
    study = made()
    study.write(tmp_path / "domains.json")
    assert DomainStudy.read(tmp_path / "domains.json") == study
    (tmp_path / "domains.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StorageError, match="no study of domains"):
        DomainStudy.read(tmp_path / "domains.json")
    with pytest.raises(UsageError, match="name zh or en"):
        recommend_shares(study, parse_wish("fr+1%"))
