"""The arithmetic that a machine is given when the recipe leaves it open."""

from __future__ import annotations

import json

import pytest
import torch
from tiny_models import make_llama, make_rows

from hanhua.core.config import Machine
from hanhua.core.progress import Silent
from hanhua.train.checkpoint import checkpoints
from hanhua.train.config import TrainConfig
from hanhua.train.loop import train
from hanhua.train.optim import Masters
from hanhua.train.precision import choose_precision, cpu_multiplies_bf16, multiplies_bf16

CPUS = {
    "zen 3": ("flags\t\t: fpu vme avx2 sha_ni vaes\n", False),
    "zen 4": ("processor : 0\nflags\t\t: fpu avx512f avx512_bf16 vaes\n", True),
    "sapphire rapids": ("flags : amx_bf16 avx512_fp16 amx_tile\n", True),
    "graviton 3": ("Features\t: fp asimd sve i8mm bf16 svebf16\n", True),
    "graviton 2": ("Features\t: fp asimd crc32\n", False),
    "says nothing": ("model name : some\n", False),
}


@pytest.mark.parametrize("name", CPUS)
def test_a_processor_is_asked(tmp_path, name, monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Linux")
    text, expected = CPUS[name]
    (tmp_path / "cpuinfo").write_text(text)
    assert cpu_multiplies_bf16.__wrapped__(tmp_path / "cpuinfo") is expected


def test_no_file_and_other_systems_mean_no(tmp_path, monkeypatch):
    assert cpu_multiplies_bf16.__wrapped__(tmp_path / "none") is False
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    (tmp_path / "cpuinfo").write_text("flags : avx512_bf16\n")
    assert cpu_multiplies_bf16.__wrapped__(tmp_path / "cpuinfo") is False


def test_this_processor_is_seen_as_pytorch_sees_it():
    found = torch.cpu.get_capabilities()
    names = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
    assert multiplies_bf16("cpu") == any(found.get(name, False) for name in names)


def test_what_is_asked_comes_before_the_machine_and_the_checkpoint_before_both():
    assert choose_precision("bf16", "cpu") == "bf16"
    assert choose_precision("fp32", "cpu") == "fp32"
    assert choose_precision("auto", "cpu", "bf16") == "bf16"
    expected = torch.bfloat16 if multiplies_bf16("cpu") else torch.float32
    model = make_llama()
    Masters(model, TrainConfig())
    assert {p.dtype for p in model.parameters()} == {expected}


@pytest.mark.parametrize("kept", ["bf16", "fp32"])
def test_a_run_that_moved_goes_on_in_its_own_arithmetic(tmp_path, kept):
    rows = make_rows(tmp_path / "rows")
    machine = Machine(device="cpu", threads=1, checkpoint_minutes=1e-9)

    def go(steps_kept: str | None):
        if steps_kept:
            state = checkpoints(tmp_path / "work")[-1] / "state.json"
            facts = json.loads(state.read_text())
            assert facts["precision"] == choose_precision("auto", "cpu")
            state.write_text(json.dumps({**facts, "precision": steps_kept}))
        return train(
            make_llama(), rows, TrainConfig(batch_tokens=128, steps=4), work=tmp_path / "work",
            seed=3, machine=machine, progress=Silent(),
        )  # fmt: skip

    go(None)
    assert go(kept).precision == kept
