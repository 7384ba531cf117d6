"""The walk by several processes, as torchrun starts them, and its early end by the gate."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import environment


def start(project, *more):
    """Two processes at one run."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",
        "-m", "hanhua", "run", "recipe.yaml", *more,
    ]  # fmt: skip
    with (project.folder / "out.txt").open("w") as out:
        return subprocess.Popen(
            command, cwd=project.folder, env=environment(), stdout=out, stderr=out
        )


def kill(running):
    """Kill -9 of torchrun and of what it started, which does not end with it."""
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    for pid in (running.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    running.wait()


def stages(project):
    return json.loads((project.folder / "runs/small/ledger.json").read_text())["stages"]


@pytest.mark.slow
def test_two_processes_walk_as_one_and_one_goes_on_for_two(finished, project):
    running = start(project, "--set", "machine.checkpoint_minutes=0.0001")
    work = project.folder / "runs/small/.building"
    try:
        while not list(work.glob("pretrain-*/work/checkpoint-*")):
            assert running.poll() is None, (project.folder / "out.txt").read_text()
            time.sleep(0.05)
    finally:
        kill(running)
    assert "pretrain" not in stages(project)  # it was killed on the way
    two = start(project, "--until", "pretrain")
    assert two.wait(300) == 0, (project.folder / "out.txt").read_text()
    assert "going on behind step" in (project.folder / "out.txt").read_text()
    ours, theirs = stages(project), stages(finished)
    for name in ("base", "corpus", "vocab", "expand", "tokens"):
        assert ours[name]["content_sha256"] == theirs[name]["content_sha256"], name
    assert ours["pretrain"]["counts"] == theirs["pretrain"]["counts"]
    losses = [run["pretrain"]["metrics"]["losses"] for run in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
    done = project.call("run", "recipe.yaml", "--quiet", "--until", "finetune")
    assert done.code == 0, done.err
    assert stages(project)["finetune"]["metrics"]["loss"] == pytest.approx(
        theirs["finetune"]["metrics"]["loss"], abs=1e-2
    )


@pytest.mark.slow
def test_what_two_processes_finetune_is_saved_once(finished, project):
    running = start(project)
    assert running.wait(300) == 0, (project.folder / "out.txt").read_text()
    ours, theirs = stages(project), stages(finished)
    assert list(ours) == list(theirs)
    assert ours["finetune"]["counts"] == theirs["finetune"]["counts"]
    assert ours["finetune"]["metrics"]["reload_max_difference"] == 0.0
    text = (project.folder / "out.txt").read_text()
    assert text.count("[8/13] finetune") == 1  # the others say nothing


def test_a_mistake_is_told_by_the_first_alone(project):
    running = start(project, "--set", "pretrain.lerning_rate=1")
    assert running.wait(120) != 0
    text = (project.folder / "out.txt").read_text()
    assert text.count("did you mean 'learning_rate'") == 1
    assert "error: Unknown key." in text
    assert "rank 1: Unknown key." not in text


def test_a_process_behind_the_first_tells_a_mistake_that_is_its_own(project):
    rank = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "hanhua", "run", "recipe.yaml", "--set", "pretrain.lerning_rate=1"],
        cwd=project.folder, env=environment() | rank, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    assert "rank 1: Unknown key." in done.stderr
    assert "did you mean 'learning_rate'" in done.stderr


def test_the_gate_stops_a_run_and_the_model_before_goes_on(project):
    done = project.call(
        "run", "recipe.yaml", "--quiet", "--until", "pretrain", "--json",
        "--set", "pretrain.stop={language: en, max_rise_bits: 0.01, patience: 2}",
        "--set", "pretrain.watch={every_steps: 1, docs: 4}",
        "--set", "pretrain.learning_rate=2.0", "--set", "pretrain.guard=null",
    )  # fmt: skip
    assert done.code == 0, done.err
    found = done.json["stages"]["pretrain"]
    stopped = found["metrics"]["stopped"]
    assert stopped["language"] == "en"
    assert stopped["rise_bits"] > 0.01
    assert found["counts"]["steps"] == stopped["kept_step"] < 6
    log = (project.folder / "runs/small" / found["path"] / "log.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in log]
    start_bits = lines[0]["held_out_start"]["en"]
    assert lines[-1]["held_out"]["en"] > start_bits + 0.01
    assert (project.folder / "runs/small/report.html").exists()
