"""A run that was killed and started again is the run that was not, to the last bit."""

from __future__ import annotations

import json
import os
import resource
import signal
from inspect import stack
from pathlib import Path

import pytest
import torch
from resumed_run import finish, kill_at
from safetensors.torch import load_file
from tiny_models import make_llama

from hanhua.core.errors import StorageError, TrainingError
from hanhua.train.checkpoint import checkpoints, kept_precision, load_checkpoint
from hanhua.train.config import TrainConfig
from hanhua.train.keep import Keeper, State, run_identity
from hanhua.train.log import TrainLog
from hanhua.train.optim import Masters


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_killed_twice_is_the_same_to_the_bit(tmp_path, precision, start):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(whole, precision, 0.0))
    for step in (4, 14):  # in the first phase, and in the second epoch
        kill_at(killed, step, start(killed, precision, 0.03))
    lines = (killed / "work" / "log.jsonl").read_text().splitlines()
    assert 14 <= len(lines) < 25  # it was killed on the way
    finish(start(killed, precision, 0.0))
    logs = [(folder / "work" / "log.jsonl").read_bytes() for folder in (whole, killed)]
    assert logs[0] == logs[1]
    assert logs[0].count(b"\n") == 25
    one, other = (load_file(folder / "weights.safetensors") for folder in (whole, killed))
    assert one.keys() == other.keys()
    assert all((one[name] == other[name]).all() for name in one)
    assert len(checkpoints(killed / "work")) == 1


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_what_is_written_in_the_background_is_what_it_was(tmp_path, rows):
    masters = Masters(make_llama(), TrainConfig(precision="fp32"))
    keeper = Keeper(tmp_path, masters, "a run", background=True)
    for weight in masters.weights.values():
        weight.grad = torch.ones_like(weight)
    masters.step(1e-2)
    before = {name: weight.clone() for name, weight in masters.weights.items()}
    keeper.save(State(step=7, tokens=70), "anchor")
    for weight in masters.weights.values():  # training goes on meanwhile
        weight.zero_()
        weight.grad = torch.ones_like(weight)
    masters.step(1e-2)
    keeper.finish()
    for place in (tmp_path, tmp_path / "anchor"):
        assert [path.name for path in checkpoints(place)] == ["checkpoint-000000007"]
        other = Masters(make_llama(seed=1), TrainConfig(precision="fp32"))
        found = load_checkpoint(place, other, "a run")
        assert found is not None
        assert found["step"] == 7
        assert all(torch.equal(before[name], other.weights[name]) for name in before)
        state = next(iter(other.optimizer.state.values()))
        assert float(state["step"]) == 1


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize("name", ["state.json", "tensors/.metadata", "tensors/__0_0.distcp"])
@pytest.mark.parametrize("kept", [0, 100, None])
def test_a_damaged_checkpoint_is_said_to_be_one(tmp_path, name, kept):
    masters = Masters(make_llama(), TrainConfig(precision="fp32"))
    Keeper(tmp_path, masters, "a run", background=False).save(State(step=1))
    file = checkpoints(tmp_path)[0] / name
    assert file.stat().st_size > 100
    if kept is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(TrainingError, match="This checkpoint can't be read"):
        load_checkpoint(tmp_path, masters, "a run")
    if name == "state.json":  # the first that is read of it
        with pytest.raises(TrainingError, match="This checkpoint can't be read"):
            kept_precision(tmp_path)


@pytest.mark.parametrize("lines", [None, 3])
def test_a_log_that_lacks_steps_of_the_checkpoint_is_refused(tmp_path, lines):
    path = tmp_path / "log.jsonl"
    if lines is not None:
        path.write_text('{"step": 0}\n' * lines)
    with pytest.raises(TrainingError, match="lacks steps") as error:
        TrainLog(path, 5, None, None, None, None)
    assert f"{lines or 0} lines" in str(error.value.found)
    assert path.exists() == (lines is not None)


def written(keeper, step):
    keeper.save(State(step=step))
    keeper.finish()


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_log_that_is_taken_up_on_a_full_disk_keeps_its_lines(tmp_path):
    """Lines behind the checkpoint go; those before it are never written again."""
    path = tmp_path / "log.jsonl"
    lines = [json.dumps({"step": step, "loss": 1.0}) + "\n" for step in range(1, 201)]
    path.write_text("".join(lines))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        log = TrainLog(path, 150, None, None, None, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    with log:
        assert log.text() == "".join(lines[:150])
    with TrainLog(path, 0, None, None, None, None) as log:
        assert log.text() == ""


@pytest.mark.parametrize("background", [False, True])
def test_no_room_for_a_checkpoint_is_said_and_leaves_the_one_before(tmp_path, background):
    masters = Masters(make_llama(), TrainConfig(precision="fp32"))
    keeper = Keeper(tmp_path, masters, "a run", background)
    written(keeper, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # as a disk that is full on the way
    try:
        with pytest.raises(StorageError, match="The disk is full") as error:
            written(keeper, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "File too large" in str(error.value.found)
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-000000001"]
    again = Keeper(tmp_path, masters, "a run", background)
    assert again.resume().step == 1
    written(again, 2)
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-000000002"]


def test_of_a_step_that_is_written_again_one_is_always_there(tmp_path, monkeypatch):
    masters = Masters(make_llama(), TrainConfig(precision="fp32"))
    keeper = Keeper(tmp_path, masters, "a run", background=False)
    there = []

    def seen(kept):
        """What a kill just before or behind a renaming leaves."""

        def rename(old, new):
            for done in (False, True):
                if done:
                    kept(old, new)
                if Path(new).name.startswith("checkpoint-"):
                    there.append([path.name for path in checkpoints(Path(new).parent)])

        return rename

    keeper.save(State(step=7, tokens=1), "good")
    monkeypatch.setattr(os, "replace", seen(os.replace))
    for tokens in (2, 3, 4):
        keeper.save(State(step=7, tokens=tokens), "good")
        assert (len(checkpoints(tmp_path)), keeper.resume().tokens) == (1, tokens)
        assert (len(checkpoints(tmp_path / "good")), keeper.go_back("good").tokens) == (1, tokens)
    first = "checkpoint-000000007"
    assert there[:2] == [[first], [first, f"{first}-2"]]
    assert all(there)
    monkeypatch.undo()
    keeper.save(State(step=8))
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-000000008"]


def test_a_damaged_checkpoint_is_named(tmp_path):
    masters = Masters(make_llama(), TrainConfig(precision="fp32"))
    Keeper(tmp_path, masters, "a run", background=False).save(State(step=1))
    (file,) = tmp_path.glob("checkpoint-000000001/tensors/*.distcp")
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(TrainingError, match="can't be read") as error:
        load_checkpoint(tmp_path, masters, "a run")
    assert "checkpoint-000000001" in error.value.message


def test_a_torn_log_and_a_half_written_checkpoint_do_no_harm(tmp_path, start):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    finish(start(whole, "fp32", 0.0))
    kill_at(torn, 5, start(torn, "fp32", 0.03))
    with (torn / "work" / "log.jsonl").open("a") as file:
        file.write('{"step": 99, "lo')
    half = torn / "work" / ".checkpoint-000000020.tmp"
    half.mkdir(exist_ok=True)
    (half / "tensors").write_bytes(b"half")
    finish(start(torn, "fp32", 0.0))
    assert (torn / "work" / "log.jsonl").read_bytes() == (whole / "work" / "log.jsonl").read_bytes()


def test_a_checkpoint_of_a_run_is_not_another_run_s_for_a_key_that_was_added(rows):
    section = TrainConfig(precision="fp32")
    told = section.model_copy(update={"new_rows_lr_scale": 1.0})
    set_ = section.model_copy(update={"new_rows_lr_scale": 2.0})
    found = [run_identity(config, rows, 3) for config in (section, told, set_)]
    assert found[0] == found[1] != found[2]
    assert run_identity(section.model_copy(update={"clip": 2.0}), rows, 3) != found[0]


def test_ctrl_c_while_a_checkpoint_is_written_is_ctrl_c(tmp_path, monkeypatch):
    """PyTorch takes it for a failure of the write, which was then told as one of the disk."""
    keeper = Keeper(tmp_path, Masters(make_llama(), TrainConfig(precision="fp32")), "a run", False)
    written(keeper, 1)
    synced, caught = os.fsync, []

    def interrupted(file: int) -> None:
        if not caught and any("distributed/checkpoint" in at.filename for at in stack()):
            caught.append(file)
            signal.raise_signal(signal.SIGINT)
        synced(file)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            written(keeper, 2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert caught
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-000000001"]
