"""A run that was killed and started again is the run that was not, to the last bit."""

from __future__ import annotations

import pytest
from resumed_run import finish, kill_at
from safetensors.torch import load_file

from hanhua.train.checkpoint import checkpoints


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


def test_a_torn_log_and_a_half_written_checkpoint_do_no_harm(tmp_path, start):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    finish(start(whole, "fp32", 0.0))
    kill_at(torn, 5, start(torn, "fp32", 0.03))
    with (torn / "work" / "log.jsonl").open("a") as file:
        file.write('{"step": 99, "lo')
    half = torn / "work" / ".checkpoint-000000020.tmp"
    half.mkdir(exist_ok=True)
    (half / "masters.safetensors").write_bytes(b"half")
    finish(start(torn, "fp32", 0.0))
    assert (torn / "work" / "log.jsonl").read_bytes() == (whole / "work" / "log.jsonl").read_bytes()
