"""Wishes, recommendations, and saying so when runs cannot tell."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_study import BASE, LONGEST, SHARES, made, truth

from hanhua.core.errors import UsageError
from hanhua.core.wish import parse_wish
from hanhua.mix.design import GRID, _surest, plan_more, plan_runs
from hanhua.mix.fit import fit
from hanhua.mix.laws import LAWS, named
from hanhua.mix.recommend import recommend
from hanhua.mix.trust import rank_correlation


def fits_of(study, laws=("anchored", "settling_gain", "data_mixing")):
    laws = [named(law) for law in laws]
    return {language: fit(study, language, draws=40, laws=laws) for language in ("zh", "en")}


@pytest.fixture(scope="module")
def known():
    study = made()
    return study, fits_of(study)


def test_the_share_is_the_best_of_a_fine_grid(known):
    study, fits = known
    answer = recommend(study, fits, parse_wish("en+2%"), LONGEST)
    grid = np.linspace(SHARES[0], SHARES[-1], 2001)
    best = grid[truth(grid, LONGEST)["en"] <= BASE["en"] * 1.02].max()
    assert answer.share == pytest.approx(best, abs=0.05)
    assert answer.low <= answer.share <= answer.high
    assert answer.sure, answer.why.en
    assert answer.predicted["en"] <= BASE["en"] * 1.02
    assert answer.predicted_low["zh"] <= answer.predicted["zh"] <= answer.predicted_high["zh"]
    assert answer.cost_of_a_point > 0
    assert [tokens for tokens, *_ in answer.by_tokens] == [
        LONGEST * k for k in (0.25, 0.5, 1, 2, 4)
    ]
    assert answer.pareto[0][0] == SHARES[0]
    assert answer.pareto[-1][0] == pytest.approx(SHARES[-1])


def test_wishes_say_the_same_in_other_words(known):
    study, fits = known
    part = recommend(study, fits, parse_wish("en+2%"), LONGEST)
    rise = recommend(study, fits, parse_wish("en+0.018"), LONGEST)
    limit = recommend(study, fits, parse_wish("en<=0.918"), LONGEST)
    assert part.share == rise.share == limit.share
    least = recommend(study, fits, parse_wish(f"zh<={part.predicted['zh']:.6f}"), LONGEST)
    assert least.share == pytest.approx(part.share, abs=0.01)


def test_budgets_that_miss_the_wish_are_marked_and_no_loss_is_less_than_nothing(known):
    study, fits = known
    short, own, long = (
        recommend(study, fits, parse_wish("zh<=1"), LONGEST * part).predicted["zh"]
        for part in (0.25, 1, 4)
    )
    assert short > own > long
    answer = recommend(study, fits, parse_wish(f"zh<={own:.4f}"), LONGEST)
    met = {tokens / LONGEST: met for tokens, *_, met in answer.by_tokens}
    assert not met[0.25]
    assert met[4]
    wild = {**fits, "zh": replace(fits["zh"], spread=9.0)}
    assert recommend(study, wild, parse_wish("best"), LONGEST).predicted_low["zh"] == 0


def test_best_is_the_least_sum(known):
    study, fits = known
    answer = recommend(study, fits, parse_wish("best"), LONGEST)
    sums = [zh / BASE["zh"] + en / BASE["en"] for _, zh, en in answer.pareto]
    at = sum(answer.predicted[name] / BASE[name] for name in BASE)
    assert at <= min(sums) + 1e-9


def test_a_law_that_falls_below_nothing_foretells_no_negative_loss():
    """A power of tokens is lost from the base's loss: far beyond what was run nothing is left."""
    study = made()
    points = tuple(
        replace(p, losses={**p.losses, "zh": 2.0 * (1 - 0.4 * (p.tokens / LONGEST) ** 0.8)})
        for p in study.points
    )
    study = replace(study, points=points)
    fits = {
        name: fit(study, name, draws=40, laws=[law for law in LAWS if law.name == "anchored"])
        for name in BASE
    }
    near, far = (recommend(study, fits, parse_wish("en+2%"), n * LONGEST) for n in (2, 6))
    assert fits["zh"].form("anchored")(fits["zh"].parameters, 0.5, 6.0) < 0  # the case is there
    assert "does not reach so far" in far.why.en
    assert "does not reach so far" not in near.why.en
    assert 0 < near.predicted["zh"] < BASE["zh"]
    assert far.predicted_low["zh"] >= 0
    assert far.predicted["zh"] >= 0


@pytest.mark.parametrize(
    ("study", "wish", "tokens", "said"),
    [
        (made(shares=(0.3, 0.6)), "en+2%", LONGEST, "Only 2 mixtures"),
        (made(flat=True), "en+2%", LONGEST, "scatter|wider|steadily"),
        (made(), "en+50%", LONGEST, "greatest share that was run"),
        (made(), "en-20%", LONGEST, "No mixture that was run meets"),
        (made(), "en+2%", 40 * LONGEST, "40 times as long"),
    ],
)
def test_runs_that_cannot_tell(study, wish, tokens, said):
    answer = recommend(
        study, fits_of(study, ("anchored", "settling_gain")), parse_wish(wish), tokens
    )
    assert not answer.sure
    assert any(word in answer.why.en for word in said.split("|")), answer.why.en


def test_mixtures_that_differ_less_than_the_law_misses_are_told():
    study = made(shares=(0.3, 0.35, 0.4, 0.45))
    fits = fits_of(study, ("anchored", "settling_gain"))
    answers = [
        recommend(study, {**fits, "en": replace(fits["en"], held_out_error=error)},
                  parse_wish("en+1%"), LONGEST)
        for error in (0.0005, 0.015)
    ]  # fmt: skip
    said = "the law misses runs left out by 1.5%"
    assert [said in answer.why.en for answer in answers] == [False, True]
    assert not answers[1].sure


@given(st.text(max_size=12))
def test_any_text_is_a_wish_or_a_plain_error(text):
    with contextlib.suppress(UsageError):
        assert parse_wish(text).kind in ("best", "part", "rise", "limit")


@pytest.mark.parametrize("text", ["", "en", "en+", "+1%", "en+1%%", "zh<=0", "en-100%", "en*2"])
def test_what_is_no_wish(text):
    with pytest.raises(UsageError, match=r"en\+1%"):
        parse_wish(text)


def test_a_wish_for_another_language_and_tokens_of_nothing(known):
    study, fits = known
    with pytest.raises(UsageError, match="not measured"):
        recommend(study, fits, parse_wish("fr+1%"), LONGEST)
    with pytest.raises(UsageError, match="more than 0"):
        recommend(study, fits, parse_wish("best"), 0)


@given(st.integers(1, 8), st.lists(st.floats(0.1, 0.9), max_size=4))
def test_planned_runs_are_apart_and_within_the_range(n, done):
    planned = plan_runs(n, low=0.1, high=0.9, done=done)
    assert len(planned) == n == len(set(planned))
    assert planned == sorted(planned)
    assert 0.1 <= planned[0]
    assert planned[-1] <= 0.9


def test_planned_runs_follow_what_is_known(known):
    assert plan_runs(3, fits=known[1]) != plan_runs(3)
    with pytest.raises(UsageError, match="one run"):
        plan_runs(0)


@pytest.mark.parametrize("n", [1, 3])
def test_more_runs_lie_in_the_range_apart_and_tell_of_the_answer(known, n):
    study, fits = known
    more = plan_more(n, study, fits, parse_wish("en+2%"), LONGEST)
    assert more == sorted(more)
    assert len(set(more)) == n
    assert all(SHARES[0] <= share <= SHARES[-1] for share in more)
    assert min(abs(share - done) for share in more for done in SHARES) > 0.02
    assert more == plan_more(n, study, fits, parse_wish("en+2%"), LONGEST)
    assert more != plan_more(n, study, fits, parse_wish("zh<=1.4"), LONGEST)


def test_an_answer_at_the_edge_asks_for_shares_beyond_it():
    study = made(of_run=1e-6, of_moment=1e-6)
    fits = fits_of(study, ("anchored", "settling_gain"))
    for wish, low, high in (("en+50%", SHARES[-1], 0.975), ("en-10%", 0.15, SHARES[0])):
        more = plan_more(2, study, fits, parse_wish(wish), LONGEST)
        assert all(low <= share <= high for share in more), (wish, more)
        assert set(more) - set(SHARES)
    inner = plan_more(1, study, fits, parse_wish("en+50%"), LONGEST, most=SHARES[-1])
    assert SHARES[0] <= inner[0] <= SHARES[-1]


def test_of_places_the_one_that_tells_of_the_answer_is_taken():
    rng = np.random.default_rng(0)
    told = rng.standard_normal((400, GRID, 1)) * 3
    answers = told[:, 30, 0] + 0.5 * told[:, 60, 0]
    near = np.zeros((GRID, GRID), bool)
    assert _surest(answers, told, 2, near) == [30, 60]
    near[30, 30:33] = near[30:33, 30] = True
    told[:, 31, 0] = told[:, 30, 0]  # the same again: tells nothing that 30 has not told
    assert _surest(answers, told, 2, near)[1] == 60


def test_rank_correlation_counts_ties_at_their_mean():
    assert rank_correlation([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert rank_correlation([1, 2, 2, 3], [4, 3, 3, 1]) == pytest.approx(-1)
