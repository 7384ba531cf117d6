"""The log's numbers in other tools: read back from what they wrote."""

from __future__ import annotations

import importlib.util
import json
import sys
import tomllib
from pathlib import Path

import pytest
from tiny_models import make_llama, make_rows

from hanhua.core.config import Machine
from hanhua.core.errors import DependencyError
from hanhua.core.progress import Silent
from hanhua.train.config import TrainConfig
from hanhua.train.loop import train
from hanhua.train.trackers import TRACKERS, Trackers, numbers


def run(tmp_path, *names, steps=5):
    rows = make_rows(tmp_path / "rows")
    section = TrainConfig(precision="fp32", learning_rate=1e-2, batch_tokens=128, steps=steps)
    machine = Machine(
        device="cpu", threads=1, trackers=names, tracker_folder=str(tmp_path / "trackers")
    )
    return train(
        make_llama(), rows, section, work=tmp_path / "work", seed=3, machine=machine,
        progress=Silent(),
    )  # fmt: skip


def test_a_line_as_flat_numbers():
    line = {"step": 2, "loss": 1.5, "lr": 0.1, "losses": {"zh": 2.0}, "held_out": {"en": 0.9}}
    assert dict(numbers(line)) == {
        "loss": 1.5, "lr": 0.1, "loss/zh": 2.0, "bits_per_byte/en": 0.9, "skipped": 0.0,
    }  # fmt: skip
    assert dict(numbers({"step": 3, "skipped": {"why": "…", "loss": None}})) == {"skipped": 1.0}


def test_tensorboard_holds_the_log(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = run(tmp_path, "tensorboard")
    lines = [json.loads(line) for line in result.log.read_text().splitlines()]
    (folder,) = (tmp_path / "trackers" / "tensorboard").iterdir()
    assert folder.name.startswith("training-")
    events = EventAccumulator(str(folder)).Reload()
    assert {"loss", "loss/en", "loss/zh", "lr", "grad_norm"} <= set(events.Tags()["scalars"])
    for name in ("loss", "lr"):
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert found == [(x["step"], pytest.approx(x[name], rel=1e-6)) for x in lines]
    assert len(lines) == 5


def test_steps_that_a_killed_run_logs_again_are_there_once(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for before, steps in ((0, range(1, 7)), (4, range(5, 9))):
        trackers = Trackers(["tensorboard"], tmp_path, "run", {"a": 1}, before)
        for step in steps:
            trackers.log({"step": step, "loss": float(before)})
        trackers.close()
    events = EventAccumulator(str(tmp_path / "tensorboard" / "run")).Reload()
    found = [(event.step, event.value) for event in events.Scalars("loss")]
    assert found == [(step, 0.0 if step < 5 else 4.0) for step in range(1, 9)]


@pytest.mark.parametrize("name", ["wandb", "swanlab", "trackio"])
def test_the_others_run_offline(tmp_path, monkeypatch, name):
    if importlib.util.find_spec(name) is None:  # not imported here: trackio then reads its folder
        pytest.skip(f"{name} is not installed (pip install hanhua[{name}])")
    monkeypatch.chdir(tmp_path)
    result = run(tmp_path, name)
    assert result.steps == 5
    assert any(path.is_file() for path in (tmp_path / "trackers").rglob("*"))


@pytest.mark.parametrize("name", TRACKERS)
def test_one_that_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch, name):
    module = "torch.utils.tensorboard" if name == "tensorboard" else name
    monkeypatch.setitem(sys.modules, module, None)  # then importing it fails
    with pytest.raises(DependencyError, match=f"tracker {name} is not installed") as error:
        Trackers([name], tmp_path, "run", {}, 0)
    assert f'pip install "hanhua[{name}]"' in error.value.message


def test_none_is_imported_unless_asked_for(tmp_path):
    run(tmp_path)
    assert not (tmp_path / "trackers").exists()


def test_each_has_an_extra():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert set(TRACKERS) <= set(tomllib.loads(text)["project"]["optional-dependencies"])
