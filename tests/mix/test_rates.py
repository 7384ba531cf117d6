"""Learning rates: what is run, and the answer that follows from three runs of each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_study import LONGEST, SHARES, made, truth

from hanhua.core.wish import parse_wish
from hanhua.mix.config import MixConfig
from hanhua.mix.fit import fit
from hanhua.mix.laws import named
from hanhua.mix.proxy import small_runs
from hanhua.mix.rates import at_rate, by_learning_rate, three_of
from hanhua.tokens.config import TokensConfig
from hanhua.train.config import PhaseConfig, TrainConfig

TOKENS = TokensConfig(seq_len_tokens=64, budget_tokens=1_000_000)
TRAINING = TrainConfig(
    batch_tokens=1024, learning_rate=1e-3,
    phases=(PhaseConfig(train="new_rows", share=0.2, learning_rate=5e-3), PhaseConfig()),
)  # fmt: skip
WISH = parse_wish("en+2%")


@pytest.fixture(scope="module")
def known():
    study = made(of_run=1e-4, of_moment=1e-4)
    laws = {"en": named("anchored"), "zh": named("settling_gain")}
    return study, {name: fit(study, name, draws=10, laws=[law]) for name, law in laws.items()}


def runs_at(study, times):
    """The ends of three runs, their English loss changed by a factor of the share."""
    ends = [p for p in study.points if p.tokens == LONGEST and p.share in three_of(SHARES)]
    return [
        replace(p, losses={"zh": p.losses["zh"], "en": p.losses["en"] * times(p.share)})
        for p in ends
    ]


def test_a_run_at_another_rate_is_the_longest_on_the_same_rows():
    mixed, section = {"zh": 0.3, "en": 0.7}, MixConfig(tokens=400_000)
    one = at_rate(TOKENS, TRAINING, section, mixed, "zh", 2e-3)
    longest = small_runs(TOKENS, TRAINING, section, mixed, "zh")[-1]
    assert one.tokens == longest.tokens
    assert one.budget == longest.budget == 400_000
    assert one.training.learning_rate == 2e-3
    assert [phase.learning_rate for phase in one.training.phases] == [1e-2, None]
    assert "learning rate 0.002" in one.title("zh")
    assert three_of((0.8, 0.2, 0.3, 0.5, 0.9)) == (0.2, 0.5, 0.9)


def test_the_answer_at_a_rate_follows_the_runs_made_with_it(known):
    study, fits = known

    def times(share):
        return np.exp(0.02 * share - 0.005)  # worse for English, the more Chinese there is

    rows = by_learning_rate(study, fits, WISH, 1e-3, {4e-3: runs_at(study, times)})[1]
    grid = np.linspace(SHARES[0], SHARES[-1], 2001)
    true = [
        grid[truth(grid, LONGEST)["en"] * factor <= 0.9 * 1.02].max()
        for factor in (1, times(grid))
    ]  # fmt: skip
    assert [row.learning_rate for row in rows] == [1e-3, 4e-3]
    assert [row.share for row in rows] == pytest.approx(true, abs=0.02)
    assert true[0] - true[1] > 0.05  # so it did move
    assert all(row.met for row in rows)


def test_runs_that_are_the_same_leave_the_answer_and_none_leave_nothing(known):
    study, fits = known
    own, other = by_learning_rate(study, fits, WISH, 1e-3, {5e-4: runs_at(study, lambda _: 1)})[1]
    assert own.share == other.share
    hopeless = by_learning_rate(study, fits, WISH, 1e-3, {1e-1: runs_at(study, lambda _: 1.5)})[1]
    assert not hopeless[1].met
    assert by_learning_rate(study, fits, WISH, 1e-3, {}) == (0.0, [])
