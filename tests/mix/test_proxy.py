"""Small runs: their sections, and what is read from what they leave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanhua.core.errors import UsageError
from hanhua.mix.collect import one_count, one_share
from hanhua.mix.config import MixConfig
from hanhua.mix.points import Point
from hanhua.mix.proxy import (
    further,
    mean_height,
    proxy_tokens,
    run_ahead,
    shares_at,
    small_runs,
)
from hanhua.tokens.config import TokensConfig
from hanhua.train.config import PhaseConfig, TrainConfig
from hanhua.train.schedule import learning_rate, make_plan, phase_at

TOKENS = TokensConfig(seq_len_tokens=64, budget_tokens=1_000_000)
MIXED = {"zh": 0.3, "en": 0.7}
TRAINING = TrainConfig(
    batch_tokens=1024, learning_rate=1e-3, min_lr_share=0.0, steps=7,
    phases=(PhaseConfig(train="new_rows", share=0.2, learning_rate=5e-3), PhaseConfig()),
)  # fmt: skip


def rates(training, n_rows):
    plan = make_plan(training, n_rows, 64)
    return [learning_rate(training, phase_at(plan.phases, i), i) for i in range(plan.steps)]


def test_own_runs_are_short_walks_with_the_recipe_s_schedule():
    small = small_runs(TOKENS, TRAINING, MixConfig(tokens=400_000), MIXED, "zh")
    assert [one.budget for one in small] == [100_000, 200_000, 400_000]
    assert len({one.tokens.model_dump_json() for one in small}) == 1  # the same rows for all
    for one in small:
        found = rates(one.training, 400_000 // 64)
        assert len(found) == -(-one.budget // 1024)
        assert found[-1] < 0.01 * max(found)  # each falls to its end
        assert max(found) == pytest.approx(5e-3, rel=0.01)  # and has the recipe's phases


def test_one_run_goes_further_on_the_same_rows_and_no_further_than_the_large_one():
    def ahead(**section):
        return run_ahead(TOKENS, TRAINING, MixConfig(**section), MIXED, "zh")

    longest = small_runs(TOKENS, TRAINING, MixConfig(tokens=400_000), MIXED, "zh")[-1]
    found = ahead(tokens=400_000)
    assert found.budget == 800_000
    assert found.training == longest.training  # all rows once, on its own schedule to its end
    more = {"budget_tokens": 800_000}
    assert found.tokens == longest.tokens.model_copy(update=more)  # of the same documents
    assert ahead(tokens=400_000, ahead=4).budget == 1_000_000
    assert ahead(tokens=700_000) is None
    assert ahead(tokens=400_000, ahead=1) is None
    assert ahead(tokens=400_000, schedule="steady") is None


def test_those_that_go_further_leave_as_many_outside():
    shares = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert further(shares[:5], 1) == [0.3]
    assert [further(shares[:n], 2) for n in (3, 5, 7)] == [[0.1, 0.3], [0.2, 0.4], [0.2, 0.6]]


def test_a_seed_changes_the_order_alone():
    section = MixConfig(tokens=400_000, seeds=2)
    own, other = (small_runs(TOKENS, TRAINING, section, MIXED, "zh", seed) for seed in (0, 1))
    assert [one.training for one in own] == [one.training for one in other]
    assert {one.tokens.order for one in own} == {0}
    for one in other:
        assert one.tokens == own[0].tokens.model_copy(update={"order": 1})
        assert "seed +1" in one.title("zh")


def test_seeds_of_one_share_stand_at_their_mean():
    points = [Point(run, share, 1e3, {"zh": 1.0}) for run, share in
              (("a", 0.5), ("a", 0.5), ("b", 0.502))]  # fmt: skip
    assert {point.share for point in one_share(points)} == {0.501}
    assert one_share(points[:2]) == points[:2]


def test_a_steady_run_stays_at_the_mean_learning_rate():
    section = MixConfig(tokens=400_000, schedule="steady")
    (one,) = small_runs(TOKENS, TRAINING, section, MIXED, "zh")
    found = rates(one.training, 400_000 // 64)
    late = found[len(found) // 3 :]
    assert max(late) == min(late)
    assert late[0] == pytest.approx(0.5e-3, rel=0.02)  # of a cosine from 1e-3 to 0
    assert one.training.watch is not None
    assert one.training.watch.every_steps == 39


@given(st.sampled_from(["cosine", "wsd", "constant"]), st.floats(0, 1), st.floats(0, 1))
def test_the_mean_height_lies_between_the_ends(schedule, low, decay):
    section = TrainConfig(schedule=schedule, min_lr_share=low, decay_share=decay)
    assert low - 1e-3 <= mean_height(section) <= 1 + 1e-6
    if schedule == "constant":
        assert mean_height(section) == 1.0


def test_length_of_a_small_run():
    assert proxy_tokens(TOKENS, TRAINING, MixConfig()) == 256 * 1024
    large = TOKENS.model_copy(update={"budget_tokens": 10**9})
    assert proxy_tokens(large, TRAINING, MixConfig()) == 10**8
    for wrong in (4 * 10 * 1024 - 1, 1_000_001):
        with pytest.raises(UsageError, match="no small run"):
            proxy_tokens(TOKENS, TRAINING, MixConfig(tokens=wrong))


@given(st.floats(0, 1), st.floats(0, 0.5))
def test_other_languages_keep_their_share(part, code):
    asked = {"zh": 0.5 * (1 - code), "en": 0.5 * (1 - code), "code": code}
    share = part * (1 - code)
    found = shares_at(asked, "zh", "en", min(share, round(1 - code, 12)))
    assert found["code"] == code
    assert sum(found.values()) == pytest.approx(1)
    assert TokensConfig(shares=found).shares == found
    with pytest.raises(UsageError, match="share of zh"):
        shares_at(asked, "zh", "en", 1 - code + 0.001)


def test_a_law_needs_three_shares():
    with pytest.raises(ValueError, match="three different shares"):
        MixConfig(shares=(0.3, 0.3, 0.5))
    assert MixConfig(shares=(0.3, 0.4, 0.5)).shares == (0.3, 0.4, 0.5)


def test_counts_that_differ_by_a_row_are_one():
    def point(run, tokens):
        return Point(run, float(run), tokens, {"zh": 1.0})

    found = one_count([point("0.1", 1000.0), point("0.2", 1012.0), point("0.1", 2000.0)], 1.05)
    assert [p.tokens for p in found] == [1006.0, 2000.0, 1006.0]
