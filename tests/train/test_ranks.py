"""Training in two processes (gloo) that share the model: the same steps as in one."""

from __future__ import annotations

import json

import pytest
import ranks_run
import torch
from resumed_run import finish, kill_at
from safetensors.torch import load_file
from tiny_models import VOCAB
from transformers import (
    GraniteConfig,
    GraniteForCausalLM,
    NemotronConfig,
    NemotronForCausalLM,
    PhimoeConfig,
    PhimoeForCausalLM,
)

from hanhua.train.config import AverageConfig, WatchConfig


@pytest.fixture
def go(start, tmp_path):
    """Run to the end in so many processes; returns log and weights."""

    def begin(out, size, pause_s=0.0, **values):
        port = ranks_run.free_port()
        return [
            start(tmp_path, out, rank, size, port, values, pause_s, run=ranks_run.run)
            for rank in range(size)
        ]

    def run(out, size, **values):
        for process in begin(out, size, **values):
            finish(process)
        return read(tmp_path / out)

    run.begin = begin
    return run


def read(folder):
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return log, load_file(folder / "weights.safetensors")


def facts(folder):
    return json.loads((folder / "facts.json").read_text())


def alike(one, other, loss=1e-5, weight=2e-4):
    """Whether two runs took the same steps, but for the order of sums."""
    assert len(one[0]) == len(other[0])
    for a, b in zip(one[0], other[0], strict=True):
        assert (a["step"], a["targets"], a["tokens"]) == (b["step"], b["targets"], b["tokens"])
        assert a["loss"] == pytest.approx(b["loss"], abs=loss)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-3)
        assert a["losses"] == pytest.approx(b["losses"], abs=loss)
    assert one[1].keys() == other[1].keys()
    for name in one[1]:
        assert torch.allclose(one[1][name], other[1][name], atol=weight), name


SIZES = {
    "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
    "initializer_range": 0.2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
UNEVEN = {"tied": False, "vocab_size": 97, "intermediate_size": 49}


HELD = {"pull_to_base": 5.0, "average": AverageConfig(half_life_steps=3.0), "watch": WatchConfig()}


@pytest.mark.parametrize(("shapes", "values"), [({}, {}), (UNEVEN, HELD)])
def test_two_processes_take_the_steps_of_one(go, tmp_path, shapes, values):
    ranks_run.make_base(tmp_path, **shapes)
    one, two = go("one", 1, **values), go("two", 2, **values)
    alike(one, two)
    assert len(one[0]) == 14
    assert one[0][-1]["loss"] < one[0][0]["loss"] - 1  # it learnt
    if values:  # and what is saved, a mean, is what is measured at the end
        ends, others = (facts(tmp_path / out)["held_out"] for out in ("one", "two"))
        for when in ("start", "end", "last_step"):
            assert ends[when] == pytest.approx(others[when], abs=1e-3), when
        assert all(abs(ends["end"][x] - ends["last_step"][x]) > 0.01 for x in ("en", "zh"))


@pytest.mark.parametrize("lora", [{"rank": 4, "embeddings": True}, {"rank": 4, "dora": True}])
def test_adapters_in_two_processes(go, tmp_path, lora):
    ranks_run.make_base(tmp_path)
    phases = [ranks_run.PhaseConfig()]
    values = {"lora": lora, "phases": phases, "new_rows_lr_scale": 1.0}
    one, two = (go(f"r{size}", size, **values) for size in (1, 2))
    alike(one, two)
    assert one[0][-1]["loss"] < one[0][0]["loss"]


def test_what_one_process_tries_out_two_do_too(go, tmp_path):
    """Blocks that hand on no lengths, and logits of which the config doesn't tell all."""
    for name, kind, values in (
        ("nemotron", NemotronForCausalLM, NemotronConfig(**SIZES, head_dim=8)),
        ("granite", GraniteForCausalLM, GraniteConfig(**SIZES, logits_scaling=3.0)),
    ):
        torch.manual_seed(0)
        ranks_run.make_base(tmp_path, kind(values))
        one, two = (go(f"{name}-{size}", size, epochs=0.5) for size in (1, 2))
        alike(one, two)


def test_what_one_process_refuses_two_refuse_too(go, tmp_path):
    experts = {"num_local_experts": 2, "num_experts_per_tok": 1}
    ranks_run.make_base(
        tmp_path, PhimoeForCausalLM(PhimoeConfig(**SIZES, **experts, sliding_window=20))
    )
    for process in go.begin("two", 2):
        process.join(240)
        assert process.exitcode == 1
    for rank in range(2):
        assert "in masks alone" in (tmp_path / "two" / f"error-{rank}.txt").read_text()


@pytest.mark.parametrize("lora", [None, {"rank": 8, "embeddings": True}], ids=["all", "lora"])
def test_experts_in_two_processes(go, tmp_path, lora):
    ranks_run.make_base(tmp_path, kind="qwen3_moe", num_hidden_layers=1)
    values = {"router_aux_loss_coef": 0.1} | ({"lora": lora} if lora else {})
    one, two = (go(f"r{size}", size, **values) for size in (1, 2))
    alike(one, two, loss=1e-4, weight=1e-3)
    assert any("experts" in name for name in two[1])
    for a, b in zip(one[0], two[0], strict=True):
        assert a["router_loss"] == pytest.approx(b["router_loss"], abs=1e-3)
    assert one[0][-1]["loss"] < one[0][0]["loss"] - 1


def test_a_routers_corrections_reach_both_processes(go, tmp_path):
    ranks_run.make_base(tmp_path, kind="deepseek_v3")
    alike(go("one", 1), go("two", 2), loss=1e-4, weight=1e-3)


def test_bf16_in_two_processes_follows_one(go, tmp_path):
    ranks_run.make_base(tmp_path)
    one, two = (go(f"r{size}", size, precision="bf16") for size in (1, 2))
    for a, b in zip(one[0], two[0], strict=True):
        assert a["targets"] == b["targets"]
        assert a["loss"] == pytest.approx(b["loss"], rel=0.02)


def test_killed_on_two_goes_on_on_two_to_the_bit_and_on_one(go, tmp_path):
    ranks_run.make_base(tmp_path)
    whole = go("whole", 2)
    first, second = go.begin("killed", 2, pause_s=0.05)
    kill_at(tmp_path / "killed", 5, first, work=".")
    second.kill()
    second.join()
    assert 5 <= len((tmp_path / "killed" / "log.jsonl").read_text().splitlines()) < 14
    import shutil

    shutil.copytree(tmp_path / "killed", tmp_path / "alone")
    killed, alone = go("killed", 2), go("alone", 1)
    assert killed[0] == whole[0]
    assert all(torch.equal(killed[1][name], whole[1][name]) for name in whole[1])
    alike(whole, alone)
