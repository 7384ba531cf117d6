"""The loop: what a step computes, which weights move, what stops it."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from tiny_models import make_llama, make_rows
from transformers import CohereConfig, CohereForCausalLM, GPT2Config, GPT2LMHeadModel

from hanhua.core.config import Machine
from hanhua.core.errors import ModelError, TrainingError
from hanhua.core.progress import Silent
from hanhua.train.checkpoint import checkpoints
from hanhua.train.config import PhaseConfig, TrainConfig
from hanhua.train.loop import train
from hanhua.train.optim import Masters
from hanhua.train.schedule import make_plan

FP32 = {"precision": "fp32", "learning_rate": 1e-2, "batch_tokens": 128}


def run(model, rows, work, *, micro=8192, old_rows=None, seed=3, **values):
    section = TrainConfig(**{**FP32, **values})
    return train(
        model, rows, section, work=work, seed=seed, old_rows=old_rows, progress=Silent(),
        machine=Machine(device="cpu", threads=1, micro_batch_tokens=micro),
    )  # fmt: skip


def log(result):
    return [json.loads(line) for line in result.log.read_text().splitlines()]


@pytest.mark.parametrize("has_targets", [False, True])
def test_micro_batches_do_not_change_the_steps(tmp_path, has_targets):
    rows = make_rows(tmp_path / "rows", has_targets=has_targets)
    results = [
        run(make_llama(), rows, tmp_path / f"w{micro}", micro=micro) for micro in (8192, 64, 1)
    ]
    for other in results[1:]:
        for ours, theirs in zip(log(results[0]), log(other), strict=True):
            assert ours["targets"] == theirs["targets"]
            assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-5)
            assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-4)
        for name, weight in results[0].weights.items():
            assert torch.allclose(weight, other.weights[name], atol=1e-4), name
    assert len(log(results[0])) == 6


@pytest.mark.parametrize("has_targets", [False, True])
def test_the_loss_is_that_of_every_document_alone(tmp_path, has_targets):
    rows = make_rows(tmp_path / "rows", n_rows=4, has_targets=has_targets)
    model = make_llama()
    total, count, by_language = 0.0, 0, {"en": [0.0, 0], "zh": [0.0, 0]}
    for i in range(4):
        row = rows.row(i)
        at = 0
        for length in row.lengths.tolist():
            ids = torch.from_numpy(row.tokens[at : at + length].astype("int64"))
            mask = torch.ones(length, dtype=torch.bool)
            if has_targets:
                mask = torch.from_numpy(row.targets[at : at + length])
            with torch.no_grad():
                losses = F.cross_entropy(model(ids[None]).logits[0, :-1], ids[1:], reduction="none")
            total, count = total + float(losses[mask[1:]].sum()), count + int(mask[1:].sum())
            by_language[row.language][0] += float(losses[mask[1:]].sum())
            by_language[row.language][1] += int(mask[1:].sum())
            at += length
    first = log(run(model, rows, tmp_path / "work"))[0]
    assert first["loss"] == pytest.approx(total / count, abs=1e-4)
    assert first["targets"] == count == sum(n for _, n in by_language.values())
    for language, (loss, n) in by_language.items():
        assert first["losses"][language] == pytest.approx(loss / n, abs=1e-4)


def test_bf16_follows_fp32(tmp_path, rows):
    fp32 = log(run(make_llama(), rows, tmp_path / "a", steps=30))
    bf16 = log(run(make_llama(), rows, tmp_path / "b", steps=30, precision="bf16"))
    assert bf16[0]["loss"] == pytest.approx(fp32[0]["loss"], rel=0.01)
    assert fp32[-1]["loss"] < 0.5 * fp32[0]["loss"]  # it learns
    assert bf16[-1]["loss"] == pytest.approx(fp32[-1]["loss"], rel=0.15)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_new_rows_leave_every_other_weight_bit_for_bit(tmp_path, rows, tied, precision):
    model = make_llama(tied)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    result = run(
        model, rows, tmp_path / "w", old_rows=60, phases=[PhaseConfig(train="new_rows")],
        precision=precision, weight_decay=0.5,
    )  # fmt: skip
    ends = {"model.embed_tokens.weight"} | (set() if tied else {"lm_head.weight"})
    assert set(result.weights) == set(before)
    for name, weight in result.weights.items():
        if name in ends:
            assert torch.equal(weight[:60], before[name][:60])
            assert not torch.isclose(weight[60:], before[name][60:]).all()
        else:
            assert torch.equal(weight, before[name]), name


def test_new_rows_behind_a_phase_that_moved_all_rows():
    model = make_llama()
    masters = Masters(model, TrainConfig(**FP32), old_rows=60)
    table = masters.weights["model.embed_tokens.weight"]

    def step(train):
        masters.begin(PhaseConfig(train=train))
        before = table.clone()
        table.grad = torch.ones_like(table)
        masters.step(1e-2)
        return before != table

    assert step("embeddings").all()
    moved = step("new_rows")  # though Adam's averages would carry the old ones on
    assert moved[60:].all()
    assert not moved[:60].any()


def test_phases_follow_each_other(tmp_path, rows):
    model = make_llama()
    body = model.model.layers[0].mlp.up_proj.weight
    before = body.detach().clone()
    phases = [PhaseConfig(train="embeddings", share=0.5), PhaseConfig(train="all")]
    first = run(make_llama(), rows, tmp_path / "a", phases=[PhaseConfig(train="embeddings")])
    assert torch.equal(first.weights["model.layers.0.mlp.up_proj.weight"], before)
    both = run(model, rows, tmp_path / "b", phases=phases)
    assert not torch.equal(both.weights["model.layers.0.mlp.up_proj.weight"], before)
    assert both.steps == 6


def test_new_rows_without_an_expanded_model_is_an_error(tmp_path, rows):
    with pytest.raises(TrainingError, match="for new rows only") as error:
        run(make_llama(), rows, tmp_path / "w", phases=[PhaseConfig(train="new_rows")])
    assert "give the recipe a vocab section" in error.value.message
    with pytest.raises(TrainingError, match="new_rows_lr_scale"):
        run(make_llama(), rows, tmp_path / "w", new_rows_lr_scale=2.0)


def test_every_group_moves_by_its_own_learning_rate(tmp_path, rows):
    """The first step of Adam moves a weight by the learning rate, whatever its gradient."""
    model = make_llama(tied=False)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    result = run(
        model, rows, tmp_path / "w", steps=1, old_rows=60, learning_rate=1e-3, warmup_share=0.0,
        schedule="constant", weight_decay=0.0, embedding_lr_scale=0.5, new_rows_lr_scale=4.0,
        clip=0.0, eps=1e-20,
    )  # fmt: skip
    moved = {name: (result.weights[name] - before[name]).abs() for name in before}
    for name, far in moved.items():
        if "embed" in name or "lm_head" in name:
            assert far[:60].max() == pytest.approx(0.5e-3, rel=1e-3)
            assert far[60:].max() == pytest.approx(2e-3, rel=1e-3)
        else:
            assert far.median() == pytest.approx(1e-3, rel=1e-3), name


def test_decay_spares_norms_and_embeddings(tmp_path, rows):
    from hanhua.train.optim import Masters

    masters = Masters(make_llama(), TrainConfig(weight_decay=0.3))
    decay = {
        id(w): group["weight_decay"] for group in masters.optimizer.param_groups
        for w in group["params"]
    }  # fmt: skip
    for name, weight in masters.weights.items():
        matrix = weight.ndim == 2 and "embed" not in name
        assert decay[id(weight)] == (0.3 if matrix else 0.0), name


SMALL = {
    "vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "spared"),
    [
        (lambda: GPT2LMHeadModel(GPT2Config(**SMALL)), ("wte", "wpe", "ln_", "bias")),
        (
            lambda: CohereForCausalLM(CohereConfig(**SMALL, use_qk_norm=True)),
            ("embed_tokens", "norm"),
        ),
    ],
)
def test_decay_spares_what_has_two_sides_and_is_no_matrix(model, spared):
    """A table of positions, norms with a row for each head."""
    masters = Masters(model(), TrainConfig(weight_decay=0.3))
    groups = masters.optimizer.param_groups
    decaying = {id(w) for group in groups if group["weight_decay"] for w in group["params"]}
    told = {name: any(part in name for part in spared) for name in masters.weights}
    assert {name: id(w) not in decaying for name, w in masters.weights.items()} == told
    assert sum(told[name] and w.ndim == 2 for name, w in masters.weights.items()) > 1


def test_every_row_is_read_once_an_epoch(tmp_path, rows):
    result = run(make_llama(), rows, tmp_path / "w", epochs=2.0)
    assert result.tokens == 2 * rows.n_tokens
    assert result.steps == 12
    part = run(make_llama(), rows, tmp_path / "p", epochs=0.5)
    assert part.steps == 3


def test_a_loss_that_is_not_a_number_stops_with_the_weights_from_before(tmp_path, rows):
    model = make_llama()
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight[0, 0] = float("inf")
    with pytest.raises(TrainingError, match="not a number at step 1") as error:
        run(model, rows, tmp_path / "w")
    assert "lower learning_rate" in error.value.message
    assert "learning rate 0.005" in error.value.message
    assert len(checkpoints(tmp_path / "w")) == 1
    assert (tmp_path / "w" / "log.jsonl").read_text() == ""


def test_a_row_longer_than_a_step_is_an_error(tmp_path, rows):
    with pytest.raises(TrainingError, match="longer than an optimiser step") as error:
        run(make_llama(), rows, tmp_path / "w", batch_tokens=16)
    assert "multiple of 32" in error.value.message


def test_rows_that_do_not_fit_the_model_are_an_error(tmp_path, rows):
    with pytest.raises(TrainingError, match="longer than the model's context") as error:
        run(make_llama(max_position_embeddings=16), rows, tmp_path / "w")
    assert "at most 16" in error.value.message
    with pytest.raises(TrainingError, match="another vocabulary") as error:
        run(make_llama(vocab_size=64), rows, tmp_path / "w")
    assert "96 ids, the model has 64" in error.value.message


def test_a_checkpoint_of_another_run_is_an_error(tmp_path, rows):
    run(make_llama(), rows, tmp_path / "w", steps=2)
    with pytest.raises(TrainingError, match="belongs to another run"):
        run(make_llama(), rows, tmp_path / "w", steps=3)


def test_a_model_that_bends_its_logits_in_a_way_of_its_own_is_refused(tmp_path, rows):
    model = make_llama()
    forward = type(model).forward

    class Scaled(type(model)):
        def forward(self, *args, **kwargs):
            output = forward(self, *args, **kwargs)
            output.logits = output.logits * 0.5
            return output

    model.__class__ = Scaled
    with pytest.raises(ModelError, match="does not know"):
        run(model, rows, tmp_path / "w")


def test_the_plan_counts_the_short_last_step():
    plan = make_plan(TrainConfig(batch_tokens=100), n_rows=10, seq_len_tokens=32)
    assert (plan.rows_a_step, plan.steps) == (3, 4)
    assert [plan.rows_in(step) for step in range(4)] == [3, 3, 3, 1]


def test_new_masters_take_over_from_old_ones():
    model = make_llama()
    first, second = (Masters(model, TrainConfig(precision="fp32")) for _ in range(2))
    model(torch.arange(8)[None], labels=torch.arange(8)[None]).loss.backward()
    assert all(weight.grad is None for weight in first.weights.values())
    assert all(weight.grad is not None for weight in second.weights.values())
    assert all(parameter.grad is None for parameter in model.parameters())
