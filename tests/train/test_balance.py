"""The loss that spreads tokens over experts: its value, its gradient, what must not change it."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pairs_run
import pytest
import torch
from tiny_models import make_experts, make_llama, make_rows, make_text_rows

from hanhua.core.config import Machine
from hanhua.core.errors import TrainingError
from hanhua.core.progress import Silent
from hanhua.model.config import LoraConfig
from hanhua.tokens.loader import Batch
from hanhua.train.balance import Balance, balance_of, coefficient_of
from hanhua.train.blocks import prepare_blocks
from hanhua.train.checkpoint import checkpoints
from hanhua.train.config import TrainConfig
from hanhua.train.loop import train
from hanhua.train.objective import filled, flatten, run_body
from hanhua.train.packed import enable
from hanhua.train.preference import Preference
from hanhua.train.step import nothing

BEFORE = [[1, 2, 3, 4], [4, 3, 2, 1]]
"""Where tokens went, of two layers."""
WITH_LOSS = ["mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "granitemoe", "gpt_oss"]


def run(model, rows, work, micro=8192, **values):
    section = TrainConfig(
        **{"precision": "fp32", "learning_rate": 1e-2, "batch_tokens": 128, **values}
    )
    return train(
        model, rows, section, work=work, seed=3, progress=Silent(),
        machine=Machine(device="cpu", threads=1, micro_batch_tokens=micro),
    )  # fmt: skip


def log(result):
    return [json.loads(line) for line in result.log.read_text().splitlines()]


def row_batch(tmp_path, n=4):
    rows = make_rows(tmp_path / "rows", n_rows=n)
    return rows, flatten(Batch(tuple(rows.row(i) for i in range(n))), rows.languages)


def gradients(model):
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", WITH_LOSS)
def test_of_one_layer_it_is_transformers_own(kind):
    values = {"num_hidden_layers": 1} | ({"mlp_only_layers": []} if "qwen2" in kind else {})
    theirs, ours = (make_experts(kind, **values) for _ in range(2))
    ids = torch.arange(40)[None] * 7 % 96
    expected = theirs(ids, output_router_logits=True).aux_loss
    if isinstance(expected, int):  # transformers 5.17 doesn't record Granite-MoE's routers
        assert coefficient_of(theirs, None) == 0
        return
    assert coefficient_of(theirs, None) > 0
    expected.backward()
    enable(ours)
    first = Balance(1.0, 4, 2, 40)
    out = ours.base_model(
        ids, position_ids=torch.arange(40)[None], document_lengths=[40], use_cache=False,
        output_router_logits=True,
    )  # fmt: skip
    assert first.loss(out.router_logits, 40).item() == 0
    balance = Balance(1.0, 4, 2, 40, first.end()[1])
    found = balance.loss(out.router_logits, 40)
    found.backward()
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    told, counts = balance.end()
    assert told["router_loss"] == pytest.approx(expected.item(), abs=1e-5)
    assert told["busiest_expert"] > 1
    assert [sum(layer) for layer in counts] == [80]
    before, after = gradients(theirs), gradients(ours)
    assert before.keys() == after.keys()
    assert any("gate" in name or "router" in name for name in after)
    for name in before:
        assert torch.allclose(before[name], after[name], atol=1e-5), name


def test_layers_do_not_make_up_for_each_other():
    """Each of two layers sends all tokens to one expert, the two to different ones."""
    one, other = torch.tensor([[9.0, 0.0]] * 8), torch.tensor([[0.0, 9.0]] * 8)

    def of(*layers):
        balance = Balance(1.0, 2, 1, 8)
        balance.loss(layers, 8)
        return balance.end()[0]

    assert of(one, other) == of(one)
    assert of(one, other)["busiest_expert"] == 2
    mixed = torch.cat([one[:4], other[:4]])
    assert of(mixed, mixed)["router_loss"] == pytest.approx(1, abs=1e-3)


def test_fill_and_batches_of_nothing_do_not_count(tmp_path):
    _, flat = row_batch(tmp_path, 24)
    model = make_experts()
    enable(model)
    tokens = flat.ids.shape[1]
    assert filled(flat).ids.shape[1] > tokens == flat.n_real
    assert nothing().n_real == 0
    balance = balance_of(model, 0.5, tokens, BEFORE)
    assert balance.tokens == tokens
    _, added = run_body(model, flat, None, balance)
    alone = balance.end()
    _, none = run_body(model, nothing(), None, balance)
    assert none.item() == 0
    assert balance.end() == alone
    none.backward()
    assert all(grad.eq(0).all() for grad in gradients(model).values())
    out = model.base_model(
        flat.ids, position_ids=flat.positions, document_lengths=flat.lengths, use_cache=False,
        output_router_logits=True,
    )  # fmt: skip
    plain = Balance(0.5, 4, 2, tokens, BEFORE).loss(out.router_logits, tokens)
    assert plain.item() == pytest.approx(added.item(), abs=1e-6)


def test_how_a_step_is_cut_changes_nothing(tmp_path):
    rows, whole = row_batch(tmp_path, 24)
    parts = [
        flatten(Batch(tuple(rows.row(j) for j in range(i, i + 4))), rows.languages)
        for i in range(0, 24, 4)
    ]
    model = make_experts()
    enable(model)

    def of(cut, before):
        balance = balance_of(model, 1.0, whole.n_real, before)
        model.zero_grad()
        for part in cut:
            run_body(model, part, None, balance)[1].backward()
        return balance.end(), torch.cat([g.flatten() for g in gradients(model).values()])

    told, counts = of([whole], BEFORE)[0]
    assert of(parts, BEFORE)[0] == (pytest.approx(told, abs=1e-5), counts)
    assert sum(counts[0]) == 2 * whole.n_real
    (_, one), (_, other) = of([whole], counts), of(parts, counts)
    assert torch.allclose(one, other, atol=1e-5)
    assert float(one.norm()) > 0.01


@pytest.mark.parametrize("how", ["full", "selective"])
def test_blocks_computed_again_give_the_same_gradient(tmp_path, how):
    _, flat = row_batch(tmp_path)
    found = []
    for again in ("none", how):
        model = make_experts("qwen3_moe").train()
        enable(model)
        prepare_blocks(model, Machine(activation_checkpointing=again))
        run_body(model, flat, None, balance_of(model, 1.0, flat.n_real, BEFORE))[1].backward()
        found.append(gradients(model))
    assert found[0].keys() == found[1].keys() != set()
    for name in found[0]:
        assert torch.allclose(found[0][name], found[1][name], atol=1e-6), name


def test_it_keeps_experts_at_work(tmp_path):
    rows = make_text_rows(tmp_path / "rows")
    without, with_it = (
        log(run(make_experts(), rows, tmp_path / f"w{c}", steps=25, router_aux_loss_coef=c))
        for c in (1e-9, 0.5)
    )
    assert without[0] == with_it[0]
    assert with_it[-1]["router_loss"] < with_it[0]["router_loss"]
    assert with_it[-1]["router_loss"] < without[-1]["router_loss"]
    assert with_it[-1]["busiest_expert"] < without[-1]["busiest_expert"]
    assert with_it[-1]["loss"] < 0.7 * with_it[0]["loss"]


class Stopped(Silent):
    """Progress that has enough after some steps."""

    def __init__(self, steps):
        self.left = steps

    @contextmanager
    def bar(self, title, total, unit, *, done=0):
        yield self

    def advance(self, amount=1, **notes):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_a_run_that_goes_on_knows_where_tokens_went(tmp_path, rows):
    section = {"router_aux_loss_coef": 0.5, "steps": 6, "micro": 32}
    whole = run(make_experts(), rows, tmp_path / "a", **section)
    often = Machine(device="cpu", threads=1, micro_batch_tokens=32, checkpoint_minutes=1e-9)
    config = TrainConfig(precision="fp32", learning_rate=1e-2, batch_tokens=128, steps=6,
                         router_aux_loss_coef=0.5)  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        train(make_experts(), rows, config, work=tmp_path / "b", seed=3, progress=Stopped(4),
              machine=often)  # fmt: skip
    assert 3 <= int(checkpoints(tmp_path / "b")[-1].name.split("-")[1]) < 6
    other = run(make_experts(), rows, tmp_path / "b", **section)
    assert log(other) == log(whole)
    assert all(torch.equal(w, other.weights[name]) for name, w in whole.weights.items())


def test_the_models_own_coefficient_is_the_default(tmp_path, rows):
    own = make_experts(router_aux_loss_coef=0.25)
    one = log(run(own, rows, tmp_path / "a"))
    assert one == log(
        run(make_experts(router_aux_loss_coef=0.1), rows, tmp_path / "b", router_aux_loss_coef=0.25)
    )
    off = log(run(make_experts(), rows, tmp_path / "c", router_aux_loss_coef=0.0))
    assert "router_loss" in one[0]
    assert "router_loss" not in off[0]
    assert one[0]["grad_norm"] == off[0]["grad_norm"]  # nothing is known of a step before
    assert one[1]["grad_norm"] != off[1]["grad_norm"]


def test_a_model_without_it_trains_without_and_refuses_one(tmp_path, rows):
    for model in (make_llama(), make_experts("deepseek_v3")):
        assert coefficient_of(model, None) == coefficient_of(model, 0.0) == 0
        with pytest.raises(TrainingError, match="no loss that spreads") as error:
            run(model, rows, tmp_path / "work", router_aux_loss_coef=0.01)
        assert "router_aux_loss_coef" in error.value.message


def test_it_reaches_adapters_and_pairs(tmp_path):
    rows = make_rows(tmp_path / "rows")
    lora = LoraConfig(rank=4, targets=["q_proj", "v_proj"])
    line = log(run(make_experts(), rows, tmp_path / "a", lora=lora, router_aux_loss_coef=0.1))[-1]
    assert line["router_loss"] > 0
    pairs = pairs_run.make_pair_rows(tmp_path / "pairs", 12)
    config = pairs_run.section(precision="fp32", router_aux_loss_coef=0.1, steps=2)
    found = train(
        make_experts(), pairs, config, work=tmp_path / "p", seed=3, progress=Silent(),
        machine=Machine(device="cpu", threads=1), objective=Preference(config, Silent(), None),
    )  # fmt: skip
    assert {"router_loss", "busiest_expert", "margin"} <= log(found)[-1].keys()
