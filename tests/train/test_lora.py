"""LoRA: what learns, what is computed, what is left behind."""

from __future__ import annotations

import json

import lora_run
import pytest
import torch
import torch.nn.functional as F
from lora_models import FAMILIES, make_model, run, stir
from pydantic import ValidationError
from resumed_run import finish, kill_at
from safetensors.torch import load_file
from tiny_models import make_llama
from torch.distributed.checkpoint import FileSystemReader

from hanhua.core.errors import TrainingError
from hanhua.model.checkpoint import probe_logits
from hanhua.model.config import LoraConfig
from hanhua.model.fuse import fuse
from hanhua.model.lora import (
    Adapter,
    adapters,
    add_adapters,
    matrix,
    merge_adapters,
)
from hanhua.tokens.loader import LoaderState, read_batch
from hanhua.train.checkpoint import checkpoints
from hanhua.train.config import PhaseConfig, TrainConfig
from hanhua.train.objective import flatten, next_token_loss
from hanhua.train.optim import Masters
from hanhua.train.packed import enable
from hanhua.train.save import relative_difference


def losses(result):
    return [json.loads(line)["loss"] for line in result.log.read_text().splitlines()]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("embeddings", [True, False])
def test_only_what_is_asked_for_learns(tmp_path, rows, tied, embeddings):
    model = make_llama(tied)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    result = run(model, rows, tmp_path / "w", lora=LoraConfig(rank=4, embeddings=embeddings))
    ends = {"model.embed_tokens.weight"} | (set() if tied else {"lm_head.weight"})
    inside = {name for name in result.weights if ".lora." in name}
    assert len(inside) == 2 * 2 * 7
    assert set(result.weights) == inside | (ends if embeddings else set())
    after = dict(model.named_parameters())
    assert set(after) == set(before) | inside
    for name in before:
        assert torch.equal(before[name], after[name]) != (embeddings and name in ends), name
    assert all(result.weights[name].abs().sum() > 0 for name in inside)
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied
    assert losses(result)[-1] < losses(result)[0]


def test_a_rate_for_new_rows_needs_embeddings_that_learn():
    with pytest.raises(ValidationError, match="new_rows_lr_scale is set"):
        TrainConfig(lora=LoraConfig(), new_rows_lr_scale=2.0)
    TrainConfig(lora=LoraConfig(embeddings=True), new_rows_lr_scale=2.0)


def test_frozen_weights_have_no_masters_gradients_or_optimiser_states(tmp_path, rows):
    model = make_llama(tied=False)
    result = run(model, rows, tmp_path / "w", precision="bf16")
    frozen = [p for name, p in model.named_parameters() if ".lora." not in name]
    assert frozen
    assert all(p.dtype == torch.bfloat16 and p.grad is None for p in frozen)
    kept = FileSystemReader(checkpoints(tmp_path / "w")[-1] / "tensors").read_metadata()
    sizes = {name: entry.size.numel() for name, entry in kept.state_dict_metadata.items()}
    masters = {name.removeprefix("weights.") for name in sizes if name.startswith("weights.")}
    assert masters == set(result.weights)
    numbers = sum(size for name, size in sizes.items() if name.startswith("exp_avg."))
    assert numbers == sum(w.numel() for w in result.weights.values())
    assert numbers == sum(4 * sum(matrix(layer).shape) for _, layer, _ in adapters(model))


@pytest.mark.parametrize("dora", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_adapters_start_as_the_base_to_the_bit(dora, dtype):
    ids = torch.arange(40)[None] % 96
    for family in FAMILIES:
        plain, model = make_model(family), make_model(family)
        for parameter in plain.parameters():  # not plain.to, which casts the rotary angles too
            parameter.data = parameter.data.to(dtype)
        section = TrainConfig(lora=LoraConfig(dora=dora), precision={
            torch.float32: "fp32", torch.bfloat16: "bf16"
        }[dtype])  # fmt: skip
        add_adapters(model, section.lora, 0, dtype)
        Masters(model, section)
        assert sum(1 for _ in adapters(model)) >= 8
        with torch.no_grad():
            assert torch.equal(plain(ids).logits, model(ids).logits), family
            stir(model)
            assert not torch.equal(plain(ids).logits, model(ids).logits), family


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_and_merges(tmp_path, rows, family):
    model = make_model(family)
    names = [name for name, _ in model.named_parameters()]
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    lora = LoraConfig(rank=4, dora=family in ("gpt2", "phi", "qwen3"), embeddings=True)
    result = run(model, rows, tmp_path / "w", steps=10, lora=lora)
    assert losses(result)[-1] < losses(result)[0] - 0.5
    before = probe_logits(model)
    merge_adapters(model)
    assert [name for name, _ in model.named_parameters()] == names
    assert not [m for m in model.modules() if isinstance(m, Adapter) or m._forward_hooks]
    assert relative_difference(probe_logits(model), before) < 1e-5
    assert relative_difference(probe_logits(make_model(family)), before) > 0.1
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == tied
    model.save_pretrained(tmp_path / "saved")
    again = type(model).from_pretrained(tmp_path / "saved")
    fuse(again)  # as what was trained is, so that no bit differs
    assert torch.equal(probe_logits(again), probe_logits(model))


def reference_loss(model, section, parameters, flat):
    """The loss with ``W + scale B A`` written out as weights, one document at a time."""
    weights = dict(parameters)
    for name, layer, adapter in adapters(model):
        a, b = (parameters[f"{name}.lora.{letter}"] for letter in "AB")
        whole = matrix(layer) + section.alpha / section.rank ** (0.5 if section.rslora else 1) * (
            b @ a
        )
        if section.dora:
            lengths = whole.detach().norm(dim=1, keepdim=True)
            whole = parameters[f"{name}.lora.magnitude"][:, None] * whole / lengths
        transposed = not isinstance(layer, torch.nn.Linear)
        weights[f"{name}.weight"] = whole.t() if transposed else whole
        adapter._hook.remove()
    ids, labels = flat.ids[0].split(flat.lengths), flat.labels.split(flat.lengths)
    model.set_attn_implementation("eager")
    total = torch.zeros(())
    for part, wanted in zip(ids, labels, strict=True):
        logits = torch.func.functional_call(model, weights, (part[None],)).logits[0]
        total = total + F.cross_entropy(logits, wanted, ignore_index=-100, reduction="sum")
    return total


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi"])
@pytest.mark.parametrize("kind", [{}, {"rslora": True}, {"dora": True}])
def test_gradients_are_those_of_weights_written_out(rows, family, kind):
    model = make_model(family)
    section = TrainConfig(
        lora=LoraConfig(rank=4, alpha=6.0, embeddings=True, **kind), precision="fp32"
    )
    enable(model)
    add_adapters(model, section.lora, 0, torch.float32)
    stir(model)
    masters = Masters(model, section)
    masters.begin(PhaseConfig())
    flat = flatten(read_batch(rows, LoaderState(), 4, 1)[0], rows.languages)
    loss, _ = next_token_loss(model, flat, 1.0)
    torch.autograd.backward(loss)
    masters.collect()
    ours = {name: weight.grad for name, weight in masters.weights.items()}
    parameters = {
        name: p.detach().clone().requires_grad_(name in ours)
        for name, p in model.named_parameters()
    }  # fmt: skip
    expected = reference_loss(model, section.lora, parameters, flat)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    torch.autograd.backward(expected)
    for name, found in ours.items():
        assert relative_difference(found, parameters[name].grad) < 1e-4, name
    assert len(ours) > 16


@pytest.mark.parametrize("tied", [True, False])
def test_new_rows_then_everything(tmp_path, rows, tied):
    lora = LoraConfig(rank=4, embeddings=True)
    model = make_llama(tied)
    before = model.model.embed_tokens.weight.detach().clone()
    rows_only = run(
        model, rows, tmp_path / "a", old_rows=60, lora=lora, weight_decay=0.5,
        phases=[PhaseConfig(train="new_rows")],
    )  # fmt: skip
    after = rows_only.weights["model.embed_tokens.weight"]
    assert torch.equal(after[:60], before[:60])
    assert not torch.isclose(after[60:], before[60:]).all()
    assert not any(w.any() for name, w in rows_only.weights.items() if name.endswith("lora.B"))
    phases = [PhaseConfig(train="new_rows", share=0.5), PhaseConfig(train="all")]
    both = run(make_llama(tied), rows, tmp_path / "b", old_rows=60, lora=lora, phases=phases)
    assert not torch.equal(both.weights["model.embed_tokens.weight"][:60], before[:60])
    assert all(w.any() for name, w in both.weights.items() if name.endswith("lora.B"))


def test_targets_choose_layers_by_whole_parts_of_their_names():
    model = make_llama()
    add_adapters(model, LoraConfig(targets=["q_proj", "mlp.down_proj"]), 0, torch.float32)
    assert {name.split("layers.")[1] for name, _, _ in adapters(model)} == {
        f"{i}.{name}" for i in range(2) for name in ("self_attn.q_proj", "mlp.down_proj")
    }


@pytest.mark.parametrize("target", ["query", "proj", "lm_head", "embed_tokens"])
def test_a_target_that_is_no_layer_is_an_error(target):
    with pytest.raises(TrainingError, match="no linear layer") as error:
        add_adapters(make_llama(), LoraConfig(targets=[target]), 0, torch.float32)
    assert f"{target}; there are down_proj, gate_proj, k_proj" in error.value.message


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rank": 0}, "lora.rank"), ({"dropout": 1.0}, "lora.dropout"), ({"r": 8}, "lora.r"),
        ({"targets": []}, "lora.targets"), ({"targets": "q_proj"}, "lora.targets"),
        ({"alpha": 0}, "lora.alpha"),
    ],
)  # fmt: skip
def test_a_wrong_section_is_an_error(values, said):
    with pytest.raises(ValidationError) as error:
        TrainConfig(lora=values)
    assert any(".".join(map(str, e["loc"])).startswith(said) for e in error.value.errors())


def test_a_phase_that_would_train_nothing_is_an_error():
    with pytest.raises(ValidationError, match=r"set lora\.embeddings: true"):
        TrainConfig(lora={}, phases=[{"train": "new_rows", "share": 0.1}, {}])


def test_the_factor_by_rank_and_alpha():
    assert LoraConfig().scale == LoraConfig(rslora=True).scale == 2.0
    assert LoraConfig(rank=16, alpha=8).scale == 0.5
    assert LoraConfig(rank=16, alpha=8, rslora=True).scale == 2.0


def test_killed_and_started_again_is_the_same_to_the_bit(tmp_path, start):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(whole, "bf16", 0.0, run=lora_run.run))
    kill_at(killed, 11, start(killed, "bf16", 0.03, run=lora_run.run))  # in the second phase
    assert 11 <= len((killed / "work" / "log.jsonl").read_text().splitlines()) < 20
    finish(start(killed, "bf16", 0.0, run=lora_run.run))
    logs = [(folder / "work" / "log.jsonl").read_bytes() for folder in (whole, killed)]
    assert logs[0] == logs[1]
    assert logs[0].count(b"\n") == 20
    one, other = (load_file(folder / "weights.safetensors") for folder in (whole, killed))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
