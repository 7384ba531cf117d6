"""What the guard refuses, what a refused step leaves behind, and the way back."""

from __future__ import annotations

import json
from itertools import pairwise

import guarded_run
import pytest
import torch
from resumed_run import finish, kill_at
from safetensors.torch import load_file
from tiny_models import VOCAB, make_llama, make_text_rows

from hanhua.core.config import Machine
from hanhua.core.errors import TrainingError
from hanhua.core.files import read_json
from hanhua.core.progress import Silent
from hanhua.train.checkpoint import checkpoints, load_checkpoint
from hanhua.train.config import GuardConfig, TrainConfig
from hanhua.train.guard import GuardState, find_fault, gone_back, learnt, refused
from hanhua.train.loop import train
from hanhua.train.optim import Masters

GUARD = GuardConfig(window_steps=16, max_in_a_row=3, keep_every_steps=15, max_rollbacks=2)
ROWS, A_STEP = 120, 2


def run(rows, work, guard=GUARD, model=None, old_rows=None, **more):
    """A constant learning rate: then a step depends on the weights and its rows alone."""
    section = TrainConfig(
        precision="fp32", learning_rate=1e-2, batch_tokens=64, schedule="constant",
        warmup_share=0.0, guard=guard, **more,
    )  # fmt: skip
    return train(
        model or make_llama(), rows, section, work=work, seed=3, progress=Silent(),
        machine=Machine(device="cpu", threads=1), old_rows=old_rows,
    )  # fmt: skip


def log(result):
    return [json.loads(line) for line in result.log.read_text().splitlines()]


def rows_of(*steps):
    return [row for step in steps for row in range(A_STEP * (step - 1), A_STEP * step)]


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def fault(section, losses, loss):
    """Of a run in one language."""
    return find_fault(section, GuardState(losses, by_language={"en": losses}), loss, {"en": loss})


def test_the_rule_tells_a_spike_from_noise_and_from_progress():
    section = GuardConfig()
    noise = torch.randn(500, generator=torch.Generator().manual_seed(1)).tolist()
    losses = [3.0 + 0.05 * x for x in noise[:128]]
    assert not any(fault(section, losses, 3.0 + 0.05 * x) for x in noise)
    assert fault(section, losses, 4.0)
    assert fault(section, losses[:63], 4.0) is None  # too few to know the level
    assert fault(section, losses[:64], 4.0)
    assert fault(section, [9.0 - 0.05 * i for i in range(128)], 2.0) is None
    assert fault(section, losses, 0.1) is None  # only upwards
    # one spike that was learnt from doesn't hide the next, as it would in mean and deviation
    assert fault(section, [*losses[:-1], 80.0], 4.0)
    assert fault(section, [2.0] * 128, 2.1) is None  # a loss that stands still
    assert fault(section, [2.0] * 128, 2.3)


def test_a_step_without_targets_is_no_measure_of_the_next():
    state = GuardState()
    for loss in [2.0, 2.1, 1.9, 2.0] * 4:
        state = learnt(GUARD, state, loss, {"en": loss})
    after = learnt(GUARD, state, 0.0, {})
    assert after.losses == state.losses
    assert find_fault(GUARD, after, 2.1, {"en": 2.1}) is None


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), float("-inf")])
def test_no_number_is_always_a_fault(loss):
    assert fault(GuardConfig(), [], loss)
    assert fault(None, [], loss)
    assert fault(None, [1.0] * 200, 50.0) is None


def test_passed_over_steps_are_spans_and_going_back_swallows_those_behind_it():
    state = GuardState()
    for step in (3, 7, 8, 12, 13, 14):
        state = refused(state, step)
    assert state.skipped == [[3, 3], [7, 8], [12, 14]]
    assert state.n_skipped == 6
    back = gone_back(state, GuardState(losses=[2.0]), kept_step=5, step=14)
    assert back == GuardState(losses=[2.0], rollbacks=1, skipped=[[3, 3], [6, 14]])
    assert all(a[1] < b[0] for a, b in pairwise(back.skipped))


@pytest.mark.parametrize("token", [None, VOCAB - 1], ids=["spike", "nan"])
def test_a_refused_step_leaves_no_trace_in_the_model(tmp_path, token):
    """As if its rows had not been there, to the bit."""

    def model():
        made = make_llama(tied=False)
        with torch.no_grad():  # a row that makes everything it meets no number
            made.model.embed_tokens.weight[VOCAB - 1] = float("inf")
        return made

    bad = rows_of(40)
    spoilt = run(make_text_rows(tmp_path / "a", bad, token=token), tmp_path / "wa", model=model())
    without = run(make_text_rows(tmp_path / "b", left_out=bad), tmp_path / "wb", model=model())
    line = log(spoilt)[39]
    assert line["skipped"].pop("why").startswith("the loss is not" if token else "the loss stands")
    assert (line["skipped"].pop("loss") is None) == bool(token)
    assert line["skipped"] == {"epoch": 0, "row": bad[0], "rows": A_STEP}
    assert "loss" not in line
    assert line["tokens"] == log(spoilt)[38]["tokens"]
    assert same(spoilt.weights, without.weights)
    assert (spoilt.tokens, spoilt.loss) == (without.tokens, without.loss)
    assert spoilt.facts == {"skipped_steps": 1, "rollbacks": 0}
    assert without.facts == {}
    learnt = run(make_text_rows(tmp_path / "c", bad), tmp_path / "wc", guard=None)
    assert log(learnt)[39]["loss"] > 2 * log(learnt)[38]["loss"]  # there was something to refuse


def test_after_some_in_a_row_the_run_goes_back_and_leaves_the_rows_behind(tmp_path):
    spoilt = run(make_text_rows(tmp_path / "a", rows_of(49, 50, 51)), tmp_path / "wa")
    behind = run(make_text_rows(tmp_path / "b", left_out=rows_of(*range(46, 52))), tmp_path / "wb")
    lines = log(spoilt)
    assert [line["step"] for line in lines] == list(range(1, 61))
    assert [line["step"] for line in lines if "skipped" in line] == [49, 50, 51]
    assert lines[50]["went_back_to_step"] == 45
    assert lines[50]["tokens"] == lines[44]["tokens"]
    assert spoilt.skipped == [[46, 51]]
    assert spoilt.facts == {"skipped_steps": 6, "rollbacks": 1}
    assert same(spoilt.weights, behind.weights)
    assert spoilt.tokens == behind.tokens == (ROWS - 6 * A_STEP) * 32
    assert [path.name for path in checkpoints(tmp_path / "wa")] == ["checkpoint-000000060"]


def test_on_the_way_back_old_rows_stay_where_new_ones_learn(tmp_path):
    """The kept step lies in a phase that moved them, and its momentum would move them on."""
    phases = [{"train": "all", "share": 46.5 / 60}, {"train": "new_rows"}]
    rows = make_text_rows(tmp_path / "rows", rows_of(49, 50, 51))
    old = VOCAB - 8
    found = run(rows, tmp_path / "w", phases=phases, old_rows=old)
    assert log(found)[50]["went_back_to_step"] == 45
    (kept,) = checkpoints(tmp_path / "w" / "anchor")
    masters = Masters(make_llama(), TrainConfig(precision="fp32"))
    identity = read_json(kept / "state.json")["identity"]
    load_checkpoint(kept.parent, masters, identity)
    ends = masters.embeddings
    assert ends
    assert all(torch.equal(masters.weights[n][:old], found.weights[n][:old]) for n in ends)
    assert not any(torch.equal(masters.weights[n][old:], found.weights[n][old:]) for n in ends)


def test_it_stops_when_going_back_does_not_help(tmp_path):
    rows = make_text_rows(tmp_path / "rows", rows_of(*range(49, 61)))
    with pytest.raises(TrainingError, match="gone back 2 times before, at step 57") as error:
        run(rows, tmp_path / "w")
    for words in ("lower learning_rate", "guard.threshold", "log.jsonl", "learning rate 0.01"):
        assert words in error.value.message
    assert len(checkpoints(tmp_path / "w")) == 1
    lines = [json.loads(x) for x in (tmp_path / "w" / "log.jsonl").read_text().splitlines()]
    assert [x["step"] for x in lines if "went_back_to_step" in x] == [51, 54]


def test_it_stops_where_there_is_nothing_to_go_back_to(tmp_path):
    rows = make_text_rows(tmp_path / "rows", rows_of(12, 13, 14))
    with pytest.raises(TrainingError, match="before the first step to go back to, at step 14"):
        run(rows, tmp_path / "w", guard=GUARD.model_copy(update={"threshold": 0.1}))


def test_killed_amid_and_after_it_is_the_same_to_the_bit(tmp_path, start):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(whole, 0.0, run=guarded_run.run))
    for step in (guarded_run.BAD_STEPS[1], guarded_run.BAD_STEPS[-1] + 1):
        kill_at(killed, step, start(killed, 0.03, run=guarded_run.run))
    assert len((killed / "work" / "log.jsonl").read_text().splitlines()) < guarded_run.STEPS
    finish(start(killed, 0.0, run=guarded_run.run))
    logs = [(folder / "work" / "log.jsonl").read_text() for folder in (whole, killed)]
    assert logs[0] == logs[1]
    assert '"went_back_to_step": 14' in logs[0]
    assert logs[0].count('"skipped"') == len(guarded_run.BAD_STEPS)
    assert same(*(load_file(folder / "weights.safetensors") for folder in (whole, killed)))


def test_more_of_a_harder_language_is_no_spike():
    section, state = GuardConfig(), GuardState()
    for step in range(1000):  # a tenth of the steps have nothing but Chinese, which is harder
        found = {"zh": 5.0} if step % 10 == 9 else {"en": 2.0}
        assert find_fault(section, state, *found.values(), found) is None
        state = learnt(section, state, *found.values(), found)
    assert fault(section, state.losses, 5.0)  # by the mean alone it would have been one
    assert find_fault(section, state, 5.6, {"zh": 5.6})
    assert find_fault(section, state, 5.0, {"en": 5.0})
    assert len(state.by_language["en"]) == section.window_steps
