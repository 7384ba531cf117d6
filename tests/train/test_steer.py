"""Losses projected to the end, and the mixture moved to meet a wish there."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tiny_models import make_rows

from hanhua.core.config import Machine
from hanhua.core.errors import RecipeError
from hanhua.core.progress import Silent
from hanhua.model.load import load_model, load_tokenizer
from hanhua.text.document import Document
from hanhua.tokens.rows import PackedRows, Row, RowsWriter
from hanhua.train.config import SteerConfig, TrainConfig, WatchConfig
from hanhua.train.loop import train
from hanhua.train.projection import Moment, heats, project
from hanhua.train.schedule import make_plan
from hanhua.train.steer import Steering
from hanhua.train.watch import HeldOut

# -- the projection -----------------------------------------------------------------------------


def curve(share, effects, scale, n=40, start=2.0, noise=0.0, lag=0):
    """Moments of a cosine run that follows the law itself; the last one is the end."""
    a, b, h = effects
    heat = heats(np.cos(np.linspace(0, 1, n) * np.pi) * 0.45 + 0.55)
    done = np.cumsum(heat[0]) / heat[0].sum()
    own, other = done * share, done * (1 - share)
    change = a * np.log1p(other / scale) - b * np.log1p(own / scale) + h * heat[lag]
    loss = start * np.exp(change + noise * np.random.default_rng(0).standard_normal(n))
    return [Moment(*one) for one in zip(own, other, map(tuple, heat.T), loss, strict=True)]


@given(
    st.floats(0.1, 0.9), st.tuples(*[st.floats(0, 0.3)] * 3), st.sampled_from([0.01, 0.1]),
)  # fmt: skip
def test_what_follows_the_law_is_projected(share, effects, scale):
    moments = curve(share, effects, scale)
    end = moments[-1]
    fit = project(2.0, moments[:24])
    ends = fit.at(np.array([end.own]), np.array([end.other]), end.heat)[:, 0] / end.loss
    naive = abs(moments[23].loss / end.loss - 1)
    assert abs(np.median(ends) - 1) < max(0.06, 0.35 * naive)
    assert ends.max() > 0.96  # the greatest is not too hopeful


def test_what_the_learning_rate_does_is_told_from_what_stays():
    moments = curve(0.3, (0.02, 0.0, 0.4), 0.1, noise=0.002)
    fit = project(2.0, moments[:20])
    last = moments[-1]
    ends = fit.at(np.array([last.own]), np.array([last.other]), last.heat)
    assert moments[19].loss / last.loss > 1.1  # it stands far above where it will end
    assert np.median(ends) == pytest.approx(last.loss, rel=0.03)


def test_a_loss_may_follow_the_learning_rate_a_little_later():
    """What a fall of the rate has done is then not yet seen whole."""
    effects, n = (0.02, 0.0, 0.3), 200  # of a run with a measurement at every step
    moments = curve(0.3, effects, 0.1, n=n, lag=1)
    last = moments[-1]
    assert moments[80].loss / last.loss > 1.15
    at_once = [replace(one, heat=(one.heat[0],) * 2) for one in moments]
    off, blind = (
        np.median(project(2.0, seen[:80]).at(
            np.array([last.own]), np.array([last.other]), seen[-1].heat
        )) / last.loss - 1
        for seen in (moments, at_once)
    )  # fmt: skip
    assert abs(off) < 0.02
    assert abs(off) < 0.5 * abs(blind)  # the case is there: it cannot be told without the lag


def test_heat_is_the_rate_and_a_mean_of_its_last():
    rates = np.concatenate([np.linspace(0.1, 2.0, 20), np.full(60, 2.0), np.zeros(20)])
    now, later = heats(rates)
    assert now.tolist() == (rates / 2.0).tolist()
    assert later[60] == pytest.approx(1.0, abs=1e-3)
    fallen = later[80:] / later[79]
    assert fallen == pytest.approx([0.8**n for n in range(1, 21)])  # five steps of a hundred
    assert heats(rates[:10])[1].tolist() == heats(rates[:10])[0].tolist()  # too few to tell


@given(st.lists(st.floats(0.5, 4.0), min_size=1, max_size=12), st.floats(0.05, 0.95))
def test_more_of_the_other_never_helps(losses, share):
    n = len(losses)
    done = np.arange(1, n + 1) / (2 * n)
    moments = [
        Moment(d * share, d * (1 - share), (1 - d, 1 - d / 2), loss)
        for d, loss in zip(done, losses, strict=True)
    ]  # fmt: skip
    fit = project(2.0, moments)
    more = np.linspace(0, 0.5, 9)
    ends = fit.at(moments[-1].own + 0.5 - more, moments[-1].other + more, (0.1, 0.2))
    assert np.all(np.isfinite(ends))
    assert np.all(np.diff(ends, axis=1) >= -1e-12)


# -- the run ------------------------------------------------------------------------------------


@pytest.fixture
def held_out(tiny_llama, sentences):
    return HeldOut(load_tokenizer(tiny_llama), {
        name: [Document(f"{name}/{i}", line, name, "made", "CC0") for i, line in enumerate(found)]
        for name, found in sentences.items()
    })  # fmt: skip


class Stop(Exception):
    """Kills a run."""


class Dies(Silent):
    """Kills it where the bar has come so many times."""

    def __init__(self, steps):
        self.left = steps

    def bar(self, *args, **values):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *args):
        pass

    def advance(self, *args, **values):
        self.left -= 1
        if not self.left:
            raise Stop


@pytest.fixture
def run(tiny_llama, tmp_path, held_out):
    rows = make_rows(tmp_path / "rows", n_rows=64)

    def begin(work, progress=None, languages=("zh", "en"), epochs=1.0, **steer):
        config = TrainConfig(
            precision="fp32", learning_rate=1e-2, batch_tokens=128, epochs=epochs,
            watch=WatchConfig(every_steps=1, docs=2, max_chars_per_doc=100),
            steer=SteerConfig(low=0.2, high=0.8, wait_share=0.3, **steer),
        )  # fmt: skip
        return train(
            load_model(tiny_llama), rows, config, work=tmp_path / work, seed=3, held_out=held_out,
            machine=Machine(device="cpu", threads=1, checkpoint_minutes=1e-9),
            progress=progress or Silent(), languages=languages,
        )  # fmt: skip

    return begin


def log(result):
    return [json.loads(line) for line in result.log.read_text().splitlines()]


class Heard(Silent):
    """What a person is told."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


@pytest.mark.parametrize(("wish", "end"), [("en<=0.01", 0.2), ("en<=99", 0.8), ("zh<=0.01", 0.8)])
def test_it_goes_to_the_bound_where_a_wish_asks_for_it(run, wish, end):
    heard = Heard()
    result = run("a", heard, wish=wish)
    shares = [line["steer"]["shares"]["zh"] for line in log(result)]
    assert shares[0] == pytest.approx(0.5, abs=0.02)
    assert shares[-1] == pytest.approx(end, abs=1e-6)
    assert max(abs(np.diff(shares))) <= 0.1 + 1e-6  # a step at a time
    found = result.facts["steer"]
    assert found["last"]["zh"] == pytest.approx(end, abs=1e-6)
    assert (found["counted"]["zh"] - 0.5) * (end - 0.5) > 0.01
    assert sum(found["counted"].values()) == pytest.approx(1.0, abs=1e-5)
    told = [
        line["steer"]["out_of_reach"] for line in log(result) if "out_of_reach" in line["steer"]
    ]
    said = [text for text in heard.said if "no share within the bounds" in text]
    assert found["kept"] == (wish == "en<=99")
    assert len(said) == (not found["kept"])  # it is said once
    assert bool(told) == (not found["kept"])
    if told:
        assert told[0]["since_step"] == told[-1]["since_step"] < 8  # of 16
        assert told[-1]["limit"] == 0.01 < told[-1]["least"]
        assert f"keep {wish[:2]} under 0.01" in said[0]
        assert 0.2 <= told[-1]["share"] <= 0.8


def test_a_limit_that_is_only_missed_on_the_way_is_not_called_out_of_reach(run):
    end = log(run("plain", wish="en<=99"))[-1]["held_out"]["en"]
    lines = log(run("a", wish=f"en<={end * 1.003:.4f}"))
    assert not any("out_of_reach" in line["steer"] for line in lines)
    assert lines[0]["held_out"]["en"] > end * 1.003  # the case


def test_killed_and_taken_up_it_is_the_same_to_the_bit(run):
    whole = run("whole", wish="en<=0.01")
    with pytest.raises(Stop):
        run("killed", Dies(9), wish="en<=0.01")
    again = run("killed", wish="en<=0.01")
    assert log(again) == log(whole)
    assert len(log(whole)) == 16
    assert all((weight == again.weights[name]).all() for name, weight in whole.weights.items())
    assert again.facts == whole.facts


@pytest.fixture
def steering(tmp_path):
    """Of rows in which a third language has a fifth."""
    writer = RowsWriter(tmp_path / "three", 32, 96, ["en", "fr", "zh"])
    for i in range(40):
        row = np.full(32, i), None, np.array([32], np.int32)
        writer.add(Row(*row, ("fr", "en", "en", "zh", "zh")[i % 5]))
    writer.close()
    rows = PackedRows.open(tmp_path / "three")

    def begin(low, high=0.9):
        steer = SteerConfig(wish="en+1%", low=low, high=high, wait_share=0.0)
        config = TrainConfig(batch_tokens=128, steer=steer)
        return Steering(
            steer, config, rows, None, make_plan(config, len(rows), 32), 3, ("zh", "en")
        )

    return begin


def test_other_languages_keep_their_share(steering):
    one = steering(0.1)
    state = one.begin()
    for step in range(10):
        _, state = one.batch(state, step)
        state = one.see(state, step + 1, {"zh": 3.0, "en": 1.0}, {"zh": 2.0, "en": 0.9})
    assert state.shares["fr"] == pytest.approx(0.2)
    assert state.shares["zh"] == pytest.approx(0.8)  # the greatest that fr leaves
    assert min(state.shares.values()) >= 0
    with pytest.raises(RecipeError, match="leave less than the least share"):
        steering(0.85)


def test_a_loss_that_is_no_number_decides_nothing(steering):
    one = steering(0.1)
    _, state = one.batch(one.begin(), 0)
    assert one.see(state, 1, {"zh": 3.0, "en": 1.0}, {"zh": float("nan"), "en": 0.9}) == state


def test_what_cannot_be_steered_is_told(run):
    with pytest.raises(RecipeError, match="limit on one of its languages"):
        run("a", wish="ja+1%")
    with pytest.raises(RecipeError, match="rows of both languages"):
        run("b", languages=("fr", "en"), wish="en+1%")
    with pytest.raises(RecipeError, match="more rows than steering may read") as error:
        run("c", wish="en+1%", epochs=3.0)
    assert "2 passes are 128 rows, the run reads 192" in error.value.message
    with pytest.raises(ValidationError, match="must be below high"):
        SteerConfig(wish="en+1%", low=0.5, high=0.5)
    with pytest.raises(ValidationError, match="must be a limit"):
        SteerConfig(wish="best", low=0.2, high=0.5)
    with pytest.raises(ValidationError, match="cannot be read"):
        SteerConfig(wish="more", low=0.2, high=0.5)
