"""Phases and learning rates."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hanhua.train.config import PhaseConfig, TrainConfig
from hanhua.train.schedule import lay_out, learning_rate, phase_at


def rates(config, steps):
    phases = lay_out(config, steps)
    return [learning_rate(config, phase_at(phases, step), step) for step in range(steps)]


def test_cosine_warms_up_and_ends_at_its_lowest():
    found = rates(TrainConfig(learning_rate=1.0, warmup_share=0.1, min_lr_share=0.1), 100)
    assert found[:9] == sorted(found[:9])
    assert 0 < found[0] < 0.2
    assert max(found) <= 1.0
    assert found[10:] == sorted(found[10:], reverse=True)
    assert found[-1] == pytest.approx(0.1)


def test_wsd_stays_then_falls():
    section = TrainConfig(learning_rate=1.0, warmup_share=0.1, schedule="wsd", decay_share=0.5)
    found = rates(section, 100)
    assert set(found[10:54]) == {1.0}
    assert found[-1] == pytest.approx(0.1)


def test_each_phase_warms_up_and_only_the_last_decays():
    phases = (PhaseConfig(train="new_rows", share=0.2, learning_rate=5.0), PhaseConfig())
    section = TrainConfig(learning_rate=1.0, warmup_share=0.1, phases=phases)
    found = rates(section, 100)
    assert found[2:20] == [5.0] * 18
    assert found[20] < found[27] <= 1.0
    assert found[-1] == pytest.approx(0.1)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100])
def test_phases_cover_every_step(steps):
    section = TrainConfig(phases=[PhaseConfig(train="embeddings", share=0.1), PhaseConfig()])
    phases = lay_out(section, steps)
    assert phases[0].start == 0
    assert phases[0].stop == phases[1].start
    assert phases[1].stop == steps
    assert all(0 < rate <= section.learning_rate for rate in rates(section, steps))


@pytest.mark.parametrize(
    "phases",
    [
        [PhaseConfig(share=0.5)],
        [PhaseConfig(share=0.7), PhaseConfig(share=0.7)],
        [PhaseConfig(share=1.0), PhaseConfig()],
    ],
)
def test_shares_that_do_not_make_one_are_refused(phases):
    with pytest.raises(ValidationError, match="shares"):
        TrainConfig(phases=phases)
