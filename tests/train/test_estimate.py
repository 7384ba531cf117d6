"""What a plan is told before anything runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.core.config import Machine
from hanhua.model.config import LoraConfig
from hanhua.model.shapes import Shapes
from hanhua.tokens.config import TokensConfig
from hanhua.tokens.estimate import estimate as estimate_tokens
from hanhua.train.config import TrainConfig
from hanhua.train.cost.accelerators import TABLE
from hanhua.train.cost.fit import fits, propose
from hanhua.train.cost.job import Job
from hanhua.train.cost.memory import peak
from hanhua.train.estimate import CHAT_TARGETS, estimate
from hanhua.train.finetune_config import FinetuneConfig
from hanhua.train.prefer_config import PreferConfig

FACTS = {
    "vocab_size": 32_000, "hidden_size": 288, "intermediate_size": 768, "layers": 6, "heads": 6,
    "tied": True, "seq_len_tokens": 512, "tokens": 20_000_000, "machine": Machine(device="cpu"),
}  # fmt: skip
SEVEN = {
    "vocab_size": 55_296, "hidden_size": 4096, "intermediate_size": 11_008, "layers": 32,
    "heads": 32, "tied": False, "seq_len_tokens": 4096, "tokens": 10**9,
}  # fmt: skip
LARGE = TrainConfig(batch_tokens=2**21)


def on(**machine):
    return {**SEVEN, "machine": Machine(accelerator="h100-80gb", **machine)}


def test_flops_of_the_measured_shape():
    # 36 MFLOP for the body, 55 for the head, some for attention (facts of 2026-11)
    assert estimate(TrainConfig(), FACTS)["flops"] / 20e6 == pytest.approx(96e6, rel=0.02)


def test_an_untied_input_embedding_only_looks_up():
    untied = {**FACTS, "tied": False}
    found, tied = estimate(TrainConfig(), untied), estimate(TrainConfig(), FACTS)
    assert found["flops"] == tied["flops"]
    assert found["parameters"] == tied["parameters"] + 32_000 * 288


def test_parts_sum_up_and_the_lasting_ones_are_those_of_mixed_precision():
    for precision, weights in (("bf16", 6), ("fp32", 4)):
        found = estimate(TrainConfig(precision=precision), FACTS)
        memory, n = found["memory"], found["parameters"]
        assert memory["weights_bytes"] == weights * n
        assert memory["optimizer_bytes"] == 8 * n
        names = ("weights", "gradients", "optimizer", "activations", "loss", "other")
        assert sum(memory[f"{name}_bytes"] for name in names) == memory["total_bytes"]
        assert found["memory_bytes"] == memory["total_bytes"]
        assert found["disk"]["checkpoints_bytes"] == 3 * 12 * n  # one is being written


def test_unknown_facts_leave_out_what_depends_on_them():
    assert estimate(TrainConfig(), {}) == {}
    assert estimate(TrainConfig(steps=10), {}) == {"tokens": 81_920, "steps": 10}
    assert set(estimate(TrainConfig(), FACTS)) > {"flops", "seconds", "bytes"}
    unknown = {key: value for key, value in FACTS.items() if key != "tokens"}
    assert set(estimate(TrainConfig(), unknown)) >= {"memory", "fits", "proposals"}
    assert "seconds" not in estimate(TrainConfig(), unknown)
    assert estimate_tokens(TokensConfig(), {})["tokens"] == 8_000_000


def test_conversations_count_by_their_answers_and_rehearse_text():
    config = FinetuneConfig(rehearsal_share=0.5)
    alone = estimate(config, {**FACTS, "tokens": None, "chat_tokens": 1_000_000})
    both = estimate(config, {**FACTS, "chat_tokens": 1_000_000})
    assert alone["tokens"] == 1_000_000
    assert both["tokens"] == 1_000_000 * (1 + CHAT_TARGETS)  # as much text as is predicted
    assert alone["flops"] / alone["tokens"] < both["flops"] / both["tokens"]


def test_the_start_is_run_over_the_pairs_once_for_dpo_alone():
    sources = [{"path": "pairs.jsonl"}]
    dpo, simpo, twice = (
        estimate(PreferConfig(sources=sources, **more), FACTS)
        for more in ({}, {"method": "simpo"}, {"epochs": 2.0})
    )
    assert dpo["reference_flops"] == pytest.approx(simpo["flops"] / 3, rel=0.01)
    for key in ("flops", "computed_flops"):
        assert dpo[key] == pytest.approx(simpo[key] + dpo["reference_flops"])
        assert twice[key] == pytest.approx(2 * simpo[key] + dpo["reference_flops"])
    rate = simpo["computed_flops"] / simpo["seconds"]
    assert dpo["seconds"] == pytest.approx(dpo["computed_flops"] / rate)
    assert "reference_flops" not in simpo
    head = 2 * 32_000 * 288 * FACTS["tokens"]  # for the losses alone, before the gradients
    assert simpo["computed_flops"] == pytest.approx(simpo["flops"] + head)


def test_an_accelerator_gives_time_money_and_share_of_peak():
    config = LARGE
    one = estimate(config, on(price_per_device_hour=2.0, currency="CNY"))
    two = estimate(config, on(price_per_device_hour=2.0, currency="CNY", devices=2))
    assert one["seconds"] == pytest.approx(2 * two["seconds"])
    assert one["money"]["amount"] == pytest.approx(two["money"]["amount"])
    assert one["money"] == {"amount": pytest.approx(one["seconds"] / 1800), "currency": "CNY"}
    assert one["flops"] / one["seconds"] == pytest.approx(0.4 * 989e12)
    again = estimate(config, on(activation_checkpointing="full"))
    assert again["flops"] == one["flops"] < again["computed_flops"]
    assert again["mfu"] < one["mfu"] == 0.4
    assert again["memory_bytes"] < one["memory_bytes"]
    assert "money" not in estimate(config, on())


def test_what_does_not_fit_comes_with_what_would():
    found = estimate(LARGE, on())
    assert not found["fits"]
    kinds = {proposal["what"]: proposal for proposal in found["proposals"]}
    assert set(kinds) == {"fewest devices", "lora"}
    few, lora = kinds["fewest devices"], kinds["lora"]
    assert few["set"]["machine.devices"] == few["devices"] > 1
    assert lora["set"]["pretrain.lora.rank"] == 64
    assert lora["devices"] == 1
    for proposal in (few, lora):
        wanted = {key.removeprefix("machine."): value for key, value in proposal["set"].items()
                    if key.startswith("machine.")}  # fmt: skip
        config = LARGE.model_copy(update={"lora": None})
        if proposal is lora:
            config = TrainConfig(batch_tokens=2**21, lora={"rank": 64})
        taken = estimate(config, on(**wanted))
        assert taken["fits"], proposal
        assert taken["memory_bytes"] == proposal["memory_bytes"]


def test_what_fits_nowhere_is_said():
    tiny = {**on(), "hidden_size": 65_536, "layers": 200, "heads": 64, "intermediate_size": 200_000}
    found = estimate(TrainConfig(batch_tokens=4096), tiny)
    assert not found["fits"]
    assert found["proposals"] == []


@pytest.mark.parametrize("devices", [1, 2, 8, 64])
def test_more_devices_never_need_more_of_one(devices):
    few, many = (estimate(LARGE, on(devices=n))["memory"] for n in (devices, 2 * devices))
    assert many["total_bytes"] < few["total_bytes"]
    assert many["optimizer_bytes"] * 2 == pytest.approx(few["optimizer_bytes"])


def test_four_bits_are_for_one_gpu():
    config = TrainConfig(batch_tokens=2**21, lora={"base_bits": 4})
    plain = TrainConfig(batch_tokens=2**21, lora={})
    small, wide = (estimate(c, on())["memory"]["weights_bytes"] for c in (config, plain))
    assert small < 0.5 * wide


@given(
    hidden=st.sampled_from([512, 2048, 4096]), layers=st.integers(2, 80),
    kv_heads=st.sampled_from([2, 8]), vocab=st.integers(1000, 200_000), tied=st.booleans(),
    devices=st.sampled_from([1, 2, 8]), micro=st.sampled_from([2048, 8192]),
    lora=st.sampled_from([None, LoraConfig(), LoraConfig(embeddings=True)]),
    compiled=st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_whatever_is_proposed_fits(
    hidden, layers, kv_heads, vocab, tied, devices, micro, lora, compiled
):
    shapes = Shapes(
        hidden_size=hidden, layers=layers, heads=8, kv_heads=kv_heads, head_dim=hidden // 8,
        intermediate_size=3 * hidden, vocab_size=vocab, tied=tied,
    )  # fmt: skip
    job = Job(
        shapes=shapes, section=TrainConfig(batch_tokens=2**20, lora=lora), precision="bf16",
        row_tokens=2048, micro_batch_tokens=micro, devices=devices, cuda=True, compiled=compiled,
    )  # fmt: skip
    card = TABLE["a100-40gb"]
    for proposal in propose(job, card, "pretrain"):
        assert fits(proposal.job, card)
        assert proposal.settings
        assert proposal.job.micro_batch_tokens <= micro
        assert not (compiled and proposal.job.again == "selective")  # training refuses that
    assert peak(replace(job, compiled=True)).total <= peak(replace(job, compiled=False)).total
    wider = replace(job, micro_batch_tokens=2 * micro)
    assert peak(job).total <= peak(wider).total
    if devices * 2 <= job.rows_a_step:
        assert peak(replace(job, devices=2 * devices)).total < peak(job).total or devices == 1
